"""What neural signals share: a text's windows read by a head, and exemplars embedded once. Knows no signal.

Everything here goes through the injected embedder, which computes each text once, whoever asks.
"""

import asyncio
import math
import re
from collections.abc import Awaitable, Callable, Sequence
from typing import TYPE_CHECKING, ParamSpec, TypeVar, cast

from router.head import Head
from router.tools import Embedder, Tools

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

FEW = 4
"""Windows read of a long text where its subject is asked for: the first, the last and two between."""
ALL = 16
"""Windows read of a long text where no part may hide: some 3,700 tokens whole, of longer texts as many at even distances."""

WINDOWS_A_SUSPECT = 4
"""Of so many windows one more sentence is read alone, beside the first."""
SUSPICION = 2.5
"""Logits that the words of a sentence must add for the label against `safe`, to be read alone."""
SENTENCE_MARGIN = 2.5
"""Logits by which a sentence read alone must be surer than a window, to count as much."""

_SENTENCE_WORDS = 40
"""Words of a sentence that are read at once; a longer one is cut there."""
_SHORT_WORDS = 5
"""A sentence with fewer words is read with the next one."""
_END = re.compile(
    r"(?<=[.!?:;])\s|\n"
)  # one blank at a time: a run of them is searched once, not from each of its places

P = ParamSpec("P")
T = TypeVar("T")


def embedder_of(tools: Tools) -> Embedder:
    """The embedder; that it is there follows from `NEEDS`."""
    assert tools.embedding is not None, "NEEDS has embedding, which the compiler checks"
    return tools.embedding


async def shares(embedder: Embedder, head: Head, text: str, *, most: int = FEW) -> dict[str, float]:
    """The probability of each of a head's labels for a text, the mean over its windows."""
    found = head.probabilities(await embedder.windows(text, most), text).mean(axis=0)
    return {label: float(share) for label, share in zip(head.labels, found, strict=True)}


async def worst(embedder: Embedder, head: Head, text: str, safe: str, *, most: int = ALL) -> dict[str, float]:
    """The probabilities of the part of a text that is least likely to be `safe`: a window or a suspect sentence."""
    windows = await embedder.pieces(text, most)
    parts = [*windows, *await _aside(windows, suspects, head, windows, safe)]
    vectors = await embedder.embed(parts)
    row = await _aside(windows, worst_of, head, parts, vectors, len(windows), safe)
    return {label: float(share) for label, share in zip(head.labels, row, strict=True)}


async def _aside(windows: Sequence[str], work: Callable[P, T], *args: P.args, **named: P.kwargs) -> T:
    """What `work` gives: for more than `FEW` windows from a thread, as some fifty milliseconds would hold up everybody."""
    return await asyncio.to_thread(work, *args, **named) if len(windows) > FEW else work(*args, **named)


def worst_of(
    head: Head, parts: Sequence[str], vectors: "NDArray[np.float32]", windows: int, safe: str
) -> "NDArray[np.float32]":
    """The probabilities, [L], of the part least likely to be `safe`; `vectors` [P, D] are those of the parts, the first
    `windows` of which are windows.

    A sentence, out of its context, says less: it counts for the head's label `alone` only, everything else in it is
    taken for safe, and it must be surer by `SENTENCE_MARGIN`.
    """
    import numpy as np

    rows = np.concatenate([head.probabilities(vectors[at : at + 1], part) for at, part in enumerate(parts)])  # [P, L]
    at_safe = head.labels.index(safe)
    if head.alone is not None and len(parts) > windows:
        kept = rows[windows:, head.labels.index(head.alone)].copy()
        rows[windows:] = 0
        rows[windows:, head.labels.index(head.alone)] = kept
        rows[windows:, at_safe] = (1 - kept) * math.exp(SENTENCE_MARGIN)
        rows /= rows.sum(axis=1, keepdims=True)
    found: NDArray[np.float32] = rows[rows[:, at_safe].argmin()]
    return found


def suspects(head: Head, windows: Sequence[str], safe: str) -> list[str]:
    """The sentences of a text's windows whose words alone speak most for the head's label `alone` and against `safe`.

    One line among many harmless ones hardly moves the vector of its window, and to read every sentence alone would cost
    as much as the windows do: so the head's hashed words, which need no vector, choose one, and one more for every
    `WINDOWS_A_SUSPECT` windows. None where the text is one sentence, no words say `SUSPICION`, or the head has no
    `alone` or no words.
    """
    if head.alone is None or not head.buckets:
        return []
    at, at_safe = head.labels.index(head.alone), head.labels.index(safe)
    found: dict[str, float] = {}
    for sentence in dict.fromkeys(one for window in windows for one in sentences(window)):
        added = head.words(sentence)
        found[sentence] = float(added[at] - added[at_safe])
    if len(found) < 2:
        return []
    ranked = sorted(found, key=lambda sentence: -found[sentence])[: 1 + len(windows) // WINDOWS_A_SUSPECT]
    return [sentence for sentence in ranked if found[sentence] > SUSPICION]


def sentences(text: str) -> list[str]:
    """The text in pieces of a sentence's size, nothing left out but blanks."""
    found: list[str] = []
    words: list[str] = []
    for sentence in _END.split(text):
        words += sentence.split()
        cuts = range(0, len(words) - _SENTENCE_WORDS, _SENTENCE_WORDS)
        found += (" ".join(words[at : at + _SENTENCE_WORDS]) for at in cuts)
        words = words[len(cuts) * _SENTENCE_WORDS :]
        if len(words) >= _SHORT_WORDS:
            found.append(" ".join(words))
            words = []
    if words:
        found.append(" ".join(words))
    return found


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
