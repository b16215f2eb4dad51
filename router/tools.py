"""What signals and selectors may be handed beyond the prompt. Knows no implementation: they are injected."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:  # a policy without neural signals never loads numpy
    import numpy as np
    from numpy.typing import NDArray


class Embedder(Protocol):
    """Turns texts into vectors; the one effect that the router knows of."""

    async def embed(self, texts: Sequence[str]) -> "NDArray[np.float32]":
        """Unit vectors, one row a text, float32 [N, D]. Computed off the event loop, batched across requests."""

    async def windows(self, text: str, most: int = 16) -> "NDArray[np.float32]":
        """A text of any length: unit vectors of its pieces, float32 [W, D], 1 ≤ W ≤ `most`; one that fits is one piece."""

    async def pieces(self, text: str, most: int = 16) -> list[str]:
        """The pieces themselves, in their order."""


@dataclass(frozen=True, slots=True)
class Reward:
    """What the users of an expert's answers thought of them: how many said so, and the mean of their scores, 0..1."""

    count: float = 0.0
    mean: float = 0.0


@dataclass(frozen=True, slots=True)
class Tools:
    """Everything that may be injected; what a signal or selector lists in its `NEEDS` is checked to be there."""

    embedding: Embedder | None = None
    folder: Path = Path()
    """Where relative paths of a policy start: the folder of its file."""
    load: Callable[[str], int | None] = lambda expert: None
    """An expert's calls in flight and waiting, now; None where that is not known, as without a server."""
    latency: Callable[[str], float | None] = lambda expert: None
    """Seconds to the first token of an expert's recent calls; None where there were none."""
    reward: Callable[[str], Reward] = lambda expert: Reward()
    """The feedback on an expert's answers, as it is known by now."""
