"""Passages of one collection in memory, found by their words (BM25) and by their meaning (vectors), or both.

Knows nothing of databases or of who may search. An index is never changed: a search that runs keeps the one it began with.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from router.lexical import rarity, stems, weights

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

By = Literal["hybrid", "words", "vectors"]
"""What passages are found by; `hybrid` is both."""


@dataclass(frozen=True, slots=True, eq=False)
class Passage:
    """A piece of a document: where it stands, what it says, what it is embedded as (float32 [D], a unit vector)."""

    document: str
    seq: int
    title: str | None
    url: str | None
    text: str
    vector: "NDArray[np.float32]"
    stems: Counter[str]

    @classmethod
    def of(
        cls, document: str, seq: int, title: str | None, url: str | None, text: str, vector: "NDArray[np.float32]"
    ) -> "Passage":
        """With its words counted. Blocks: stemming takes about as long as reading."""
        return cls(document, seq, title, url, text, vector, Counter(stems(embedded_as(title, text))))


@dataclass(frozen=True, slots=True)
class Hit:
    """A passage that was found: its score, and its cosine to the question."""

    passage: Passage
    score: float
    similarity: float


def embedded_as(title: str | None, text: str) -> str:
    """What of a passage is embedded and searched: its document's title tells what "it" is."""
    return f"{title[:100]}\n{text}" if title else text


class Index:
    """Built once, in a thread: counting words of 10,000 passages takes seconds."""

    def __init__(self, passages: Sequence[Passage]) -> None:
        import numpy as np

        self.passages = tuple(passages)
        self._matrix = np.stack([one.vector for one in passages]) if passages else None  # [N, D]
        self._weights = weights([one.stems for one in passages]) if passages else {}

    def search(self, question: str, vector: "NDArray[np.float32]", most: int, by: By = "hybrid") -> list[Hit]:
        """The best passages, best first. Blocks for milliseconds.

        A passage's score by vectors is its cosine to the question, c in -1..1. By words it is its BM25 score as a share of
        what a passage of average length with every word of the question would get, at most 1: w. Both: c + w², so that
        words count where a passage has most of them and common ones alone do not. Reciprocal rank fusion did worse: it
        takes two middling ranks for better than one first (docs/benchmarks.md).
        """
        import numpy as np

        if self._matrix is None:
            return []
        similar = self._matrix @ vector  # [N]
        scores = similar if by == "vectors" else self._worded(question)
        if by == "hybrid":
            scores = similar + np.minimum(scores, 1.0) ** 2
        many = min(most, len(scores))
        top = np.argpartition(-scores, many - 1)[:many]
        best = top[np.argsort(-scores[top], kind="stable")]
        return [
            Hit(self.passages[at], float(scores[at]), float(similar[at]))
            for at in best
            if by != "words" or scores[at] > 0
        ]

    def _worded(self, question: str) -> "NDArray[np.float32]":
        """Of every passage the share of the question's words it has, by BM25; float32 [N], 1 for all of them in a passage
        of average length."""
        import numpy as np

        found = np.zeros(len(self.passages), np.float32)
        whole = 0.0
        for stem in set(stems(question)):
            holding = self._weights.get(stem, ())
            whole += rarity(len(self.passages), len(holding))
            for at, weight in holding:
                found[at] += weight
        return found / np.float32(whole) if whole else found
