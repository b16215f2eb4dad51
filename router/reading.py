"""What neural signals share: a text's windows read by a head, and exemplars embedded once. Knows no signal.

Everything here goes through the injected embedder, which computes each text once, whoever asks.
"""

from collections.abc import Awaitable, Callable, Sequence
from typing import TYPE_CHECKING, Literal, TypeAlias, cast

from router.head import Head
from router.tools import Embedder, Tools

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

FEW = 4
"""Windows read of a long text where its subject is asked for: the first, the last and two between."""
ALL = 16
"""Windows read of a long text where no part may hide: some 3,700 tokens whole, of longer texts as many at even distances."""

Over: TypeAlias = Literal["mean", "max"]


def embedder_of(tools: Tools) -> Embedder:
    """The embedder; that it is there follows from `NEEDS`."""
    assert tools.embedding is not None, "NEEDS has embedding, which the compiler checks"
    return tools.embedding


async def shares(embedder: Embedder, head: Head, text: str, *, most: int = FEW) -> dict[str, float]:
    """The probability of each of a head's labels for a text, the mean over its windows."""
    found = head.probabilities(await embedder.windows(text, most), text).mean(axis=0)
    return {label: float(share) for label, share in zip(head.labels, found, strict=True)}


async def worst(embedder: Embedder, head: Head, text: str, safe: str, *, most: int = ALL) -> dict[str, float]:
    """The probabilities of the window that is least likely to be `safe`."""
    pieces = await embedder.pieces(text, most)
    vectors = await embedder.embed(pieces)
    rows = [head.probabilities(vectors[at : at + 1], piece)[0] for at, piece in enumerate(pieces)]
    row = min(rows, key=lambda shares: float(shares[head.labels.index(safe)]))
    return {label: float(share) for label, share in zip(head.labels, row, strict=True)}


def best(shares: dict[str, float]) -> tuple[str, float]:
    """The likeliest label and its probability; the first of equals."""
    return max(shares.items(), key=lambda item: item[1])


def exemplars(embedder: Embedder, texts: Sequence[str]) -> "Callable[[], Awaitable[NDArray[np.float32]]]":
    """A function that gives the vectors of fixed texts, [N, D]: computed at its first call, then kept."""
    kept: list[NDArray[np.float32]] = []

    async def vectors() -> "NDArray[np.float32]":
        if not kept:
            kept.append(await embedder.embed(texts))
        return kept[0]

    return vectors


async def similarities(
    embedder: Embedder, text: str, vectors: "Callable[[], Awaitable[NDArray[np.float32]]]", *, most: int = FEW
) -> "NDArray[np.float32]":
    """Cosine of a text with each exemplar, [N]: that of the text's window which is nearest to it."""
    windows, known = await embedder.windows(text, most), await vectors()
    return cast("NDArray[np.float32]", (windows @ known.T).max(axis=0))
