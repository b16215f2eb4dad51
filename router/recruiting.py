"""Recruiting by skill: who is asked for one prompt, when enough of them have answered, and what their answers add up to.

Puts `router/skills.py` (who is good at it) and `router/ballot.py` (how answers are weighed) into one small model, and
keeps Symbolic-MoE's published way beside ours. Knows nothing of calling anyone.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from router import ballot as voting
from router import skills as profiles
from router import symbolic_moe
from router.ballot import Ballot, Verdict
from router.fitting import folds
from router.learned import Learned
from router.outcomes import Asked
from router.skill_annotation import nearest, vocabulary
from router.skills import Skills
from router.symbolic_moe import Profile

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

SELECTOR = "skills"
MOST = 5
"""Recruits for one prompt, unless asked otherwise."""
_FOLDS = 10


@dataclass(frozen=True, slots=True, eq=False)
class Lineup:
    """Who is asked, best first: their names, and `odds` float64 [E], every expert's log-odds of being right."""

    names: tuple[str, ...]
    odds: "Floats"


@dataclass(frozen=True, slots=True, eq=False)
class Recruiter:
    """A fitted model. `published` is the same evidence as Symbolic-MoE keeps it."""

    skills: Skills
    ballot: Ballot
    published: Profile

    @property
    def experts(self) -> tuple[str, ...]:
        """In the order of all arrays."""
        return self.skills.experts

    def lineup(self, vector: "NDArray[np.float32]", among: Sequence[str] | None = None, most: int = MOST) -> Lineup:
        """The `most` distinct experts, of `among`, most likely to be right on a prompt float32 [D]."""
        likely = self.skills.predict(vector[None])[0]
        known = [self.experts.index(name) for name in among] if among is not None else range(len(self.experts))
        first = sorted(known, key=lambda e: -likely[e])[:most]
        return Lineup(tuple(self.experts[e] for e in first), log_odds(likely))

    def vote(self, lineup: Lineup, answers: Sequence[str | None]) -> Verdict:
        """Weigh the answers of the first so many of a line-up, in its order; None: no answer."""
        recruits = [self.experts.index(name) for name in lineup.names[: len(answers)]]
        return self.ballot.judge(answers, lineup.odds, recruits)

    def enough(self, lineup: Lineup, answers: Sequence[str | None], sure: float) -> bool:
        """Whether to stop asking: all have been asked, or what they said is right with probability `sure` or more."""
        return len(answers) >= len(lineup.names) or self.vote(lineup, answers).confidence >= sure

    def published_weights(self, vectors: "NDArray[np.float32]") -> "list[Floats | None]":
        """Symbolic-MoE's weights float64 [E] for each prompt float32 [N, D], its skills read off by the embedder; None
        where none of them is known."""
        import numpy as np

        at = {name: i for i, name in enumerate(self.skills.names)}
        known = self.skills.vectors[[at[name] for name in self.published.skills]]  # [K, D]

        def match(word: str) -> str | None:
            return self.published.skills[int(np.argmax(known @ self.skills.vectors[at[word]]))] if len(known) else None

        words = nearest(vectors, self.skills.vectors, self.skills.names)
        return [self.published.weights(self.published.matched(each, match)) for each in words]

    def learned(self) -> Learned:
        """As a file keeps it."""
        s, b, p = self.skills, self.ballot, self.published
        arrays: dict[str, Any] = {
            "vectors": s.vectors.astype("float16"),
            "overall": s.overall,
            "centre": s.centre,
            "level": s.level,
            "tilt": s.tilt,
            "right": s.right.astype("float32"),
            "items": s.items,
            "ballot": b.weights,
            "habits": b.habits,
            "points": p.points.astype("int32"),
        }
        settings = {"skills": list(s.names), "labels": list(b.labels), "published": list(p.skills)}
        return Learned(SELECTOR, s.experts, arrays, settings)

    @classmethod
    def of(cls, learned: Learned) -> "Recruiter":
        """That of a file."""
        wide = {name: array.astype("float64") for name, array in learned.arrays.items()}
        skills = Skills(
            learned.experts,
            tuple(learned.settings["skills"]),
            wide["vectors"].astype("float32"),
            *(wide[name] for name in ("overall", "centre", "level", "tilt", "right", "items")),
        )
        ballot = Ballot(wide["ballot"], wide["habits"], tuple(learned.settings["labels"]))
        return cls(skills, ballot, Profile(learned.experts, tuple(learned.settings["published"]), wide["points"]))


def fit(
    asked: Asked,
    scores: "Floats",
    experts: Sequence[str],
    *,
    answers: "Sequence[Sequence[str | None]] | None" = None,
    names: Sequence[str] | None = None,
    skills: "NDArray[np.float32] | None" = None,
    recruits: int = MOST,
    seed: int = 0,
) -> Recruiter:
    """Learn from what experts scored on profile items: float64 [N, E] without gaps, above one half is right.

    With `answers` the vote is learned too: from predictions for each item made without it (ten folds). `names` with their
    vectors `skills` float32 [S, D] are the vocabulary (annotated skills, for example); default: the one shipped, which
    is embedded here and now: blocks for seconds the first time.
    """
    import numpy as np

    if skills is None or names is None:
        names, skills = shipped()
    skills = skills.astype(np.float16).astype(np.float32)  # as the file keeps them
    fitted = profiles.fit(asked.vectors, scores, experts, names, skills)
    vote = Ballot.plain(len(experts))
    if answers is not None and len(scores) >= 2 * _FOLDS:
        odds = np.empty_like(scores)
        for rows, held in folds(len(scores), _FOLDS, seed):
            without = profiles.fit(asked.vectors[rows], scores[rows], experts, names, skills)
            odds[held] = log_odds(without.predict(asked.vectors[held]))
        vote = voting.fit(answers, scores > 0.5, odds, recruits=recruits, seed=seed)
    words = nearest(asked.vectors, skills, names)
    return Recruiter(fitted, vote, Profile.of(words, scores, experts))


def shipped() -> "tuple[tuple[str, ...], NDArray[np.float32]]":
    """The vocabulary that comes with Madrigal, and its vectors float32 [S, D] (computed once, kept on disk). Blocks."""
    from router.vectors import vectors

    words = vocabulary()
    return tuple(words), vectors(list(words.values()))


def published_lineup(
    recruiter: Recruiter, vector: "NDArray[np.float32]", random: Callable[[], float]
) -> tuple[str, ...]:
    """Symbolic-MoE's three recruits for one prompt, one perhaps more than once."""
    weights = recruiter.published_weights(vector[None])[0]
    return tuple(recruiter.experts[e] for e in symbolic_moe.recruits(weights, len(recruiter.experts), random))


def log_odds(likely: "Floats") -> "Floats":
    """ln(p / (1 - p))."""
    import numpy as np

    odds: Floats = np.log(likely / (1 - likely))
    return odds


def without_answers(recruiter: Recruiter) -> Recruiter:
    """The same profile, its votes weighed by log-odds alone."""
    return replace(recruiter, ballot=Ballot.plain(len(recruiter.experts)))
