"""Passages of one collection in memory, found by their words (BM25) and by their meaning (vectors), both ranks fused.

Knows nothing of databases or of who may search. An index is never changed: a search that runs keeps the one it began with.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from router.lexical import stems, weights

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

By = Literal["hybrid", "words", "vectors"]
"""What passages are found by; `hybrid` is both."""

_RRF = 60
"""The constant of reciprocal rank fusion, as published."""
_POOL = 50
"""How many of each ranking are fused."""


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
    """A passage that was found: its fused score, and its cosine to the question."""

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

        Source: Cormack, Clarke and Büttcher, Reciprocal Rank Fusion (SIGIR 2009): a passage's score is the sum of
        1 / (60 + rank) over the rankings that hold it.
        """
        import numpy as np

        if self._matrix is None:
            return []
        similar = self._matrix @ vector  # [N]
        worded = np.zeros(len(self.passages), np.float32)
        for stem in set(stems(question)):
            for at, weight in self._weights.get(stem, ()):
                worded[at] += weight
        rankings = [_first(similar)] if by != "words" else []
        rankings += [[at for at in _first(worded) if worded[at] > 0]] if by != "vectors" else []
        fused: dict[int, float] = {}
        for ranking in rankings:
            for rank, at in enumerate(ranking, 1):
                fused[at] = fused.get(at, 0.0) + 1 / (_RRF + rank)
        best = sorted(fused, key=lambda at: (-fused[at], -similar[at]))[:most]
        return [Hit(self.passages[at], fused[at], float(similar[at])) for at in best]


def _first(scores: "NDArray[np.float32]") -> list[int]:
    """Places of the highest scores, highest first."""
    import numpy as np

    many = min(_POOL, len(scores))
    top = np.argpartition(-scores, many - 1)[:many]
    return [int(at) for at in top[np.argsort(-scores[top], kind="stable")]]
