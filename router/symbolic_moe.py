"""Symbolic-MoE's recruiting exactly as published: profiles of ±1 a skill, nearest known skill, k draws with replacement.

arXiv 2503.05641, sections 3.1 and 3.2. Knows nothing of how skills were annotated or embedded, nor of calling anyone.
`router/skills.py` holds what we do instead; this is what it is measured against, and `variant: published`.
"""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from router.skill_annotation import counted

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

RECRUITS = 3
TEMPERATURE = 0.5


@dataclass(frozen=True, slots=True, eq=False)
class Profile:
    """What each expert got right less what it got wrong, by skill: `points` float64 [S, E]."""

    experts: tuple[str, ...]
    skills: tuple[str, ...]
    points: "NDArray[np.float64]"

    @classmethod
    def of(cls, annotated: Sequence[Sequence[str]], scores: "NDArray[np.float64]", experts: Sequence[str]) -> "Profile":
        """From items' skills and scores [N, E]: each skill of an item gains 1 where the expert was right (a score
        above one half), loses 1 where it was wrong."""
        import numpy as np

        skills = tuple(sorted({word for words in annotated for word in words}))
        table = counted(annotated, {word: i for i, word in enumerate(skills)})  # [N, S]
        return cls(tuple(experts), skills, table.T @ np.where(scores > 0.5, 1.0, -1.0))

    def matched(self, words: Sequence[str], nearest: Callable[[str], str | None]) -> list[int]:
        """Places of a query's skills; one that is not known becomes its nearest known one, None is left out."""
        at = {word: i for i, word in enumerate(self.skills)}
        known = (word if word in at else nearest(word) for word in words)
        return [at[word] for word in known if word is not None]

    def weights(self, skills: Sequence[int]) -> "NDArray[np.float64] | None":
        """Local times global suitability, float64 [E] summing to 1; None where no skill is known.

        Local is the sum of the points in the query's skills, global the sum of all, made positive where any is not,
        raised to 1/T and normalised. Experts whose local suitability is not above 0 have no weight; where nobody's is,
        it is shifted so that the lowest has 1.
        """
        import numpy as np

        if not skills:
            return None
        local = self.points[list(skills)].sum(axis=0)  # [E]
        total = self.points.sum(axis=0)
        if total.min() < 0:
            total = total - total.min() + 1
        shared = total ** (1 / TEMPERATURE)
        shared = shared / shared.sum() if shared.sum() else np.full(len(total), 1 / len(total))
        local = np.maximum(local, 0) if local.max() > 0 else local - local.min() + 1
        weights: NDArray[np.float64] = local * shared
        if not weights.sum():  # the only good ones have no global weight
            weights = local
        weights /= weights.sum()
        return weights


def recruits(weights: "NDArray[np.float64] | None", experts: int, random: Callable[[], float]) -> list[int]:
    """Three experts drawn *with replacement* by weight, one may come up twice; three distinct random ones where no
    skill of the query is known. `random` gives numbers in [0, 1)."""
    import numpy as np

    if weights is None:
        left = list(range(experts))
        return [left.pop(int(random() * len(left))) for _ in range(min(RECRUITS, experts))]
    ends = np.cumsum(weights)
    places = [int(np.searchsorted(ends, random() * ends[-1], side="right")) for _ in range(RECRUITS)]
    return [min(place, experts - 1) for place in places]


def majority(answers: Sequence[str | None]) -> str | None:
    """The answer given most often, the first of equals; None where nobody answered."""
    counts = Counter(answer for answer in answers if answer is not None)
    return counts.most_common(1)[0][0] if counts else None


def grouped(recruited: Mapping[str, Sequence[str]]) -> dict[str, list[str]]:
    """The published batch: from query → its recruits to expert → its queries, so that each expert is loaded once."""
    found: dict[str, list[str]] = {}
    for query, experts in recruited.items():
        for expert in dict.fromkeys(experts):
            found.setdefault(expert, []).append(query)
    return found
