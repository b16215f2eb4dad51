"""Replay of recruiting on recorded answers: what votes of a few experts would have been right, variant by variant.

Recruits are chosen from prompts alone; a vote reads the answers of its own recruits and nothing else. Knows nothing of
requests or of how prompts become vectors.
"""

import random
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from experts.errors import InputError
from router import metrics
from router.fitting import folds
from router.outcomes import Outcomes
from router.recruiting import MOST, Lineup, Recruiter, fit, published_lineup, without_answers
from router.symbolic_moe import RECRUITS, majority

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

DRAWS = 20
"""Times that the published variant is drawn for each prompt; its accuracy is the mean over them."""

Variant = Callable[[Recruiter, "NDArray[np.float32]", "_Answers"], tuple[float, float]]
"""One prompt's (share right, calls made) under one way of recruiting and voting."""


class _Answers:
    """What the experts of one prompt said. Gives out only what is asked for, and knows what is right."""

    def __init__(self, said: Sequence[str | None], scores: "Floats", experts: Sequence[str]) -> None:
        self._said = dict(zip(experts, said, strict=True))
        self._score: dict[str, float] = dict(zip(experts, scores.tolist(), strict=True))

    def of(self, names: Sequence[str]) -> list[str | None]:
        return [self._said[name] for name in names]

    def score(self, names: Sequence[str], answer: str | None) -> float:
        """1 where one of these experts gave this answer and was right."""
        return float(
            any(self._said[name] == answer and self._score[name] > 0.5 for name in names if answer is not None)
        )

    def alone(self, name: str) -> float:
        return self._score[name]


def report(
    test: Outcomes,
    vectors: "NDArray[np.float32]",
    learn: "tuple[Outcomes, NDArray[np.float32]] | None",
    *,
    most: int = MOST,
    sure: float = 0.6,
    k: int = 5,
    seed: int = 0,
) -> dict[str, Any]:
    """Accuracy of every variant with 95% bootstrap intervals, its calls for a prompt, and paired differences from the
    published variant and from the best single expert of the fit. JSON-able.

    Fitted on `learn`, else on the other of `k` folds of `test`. Raises `InputError` where no answers are recorded.
    """
    import numpy as np

    if test.answers is None or (learn is not None and learn[0].answers is None):
        raise InputError("these outcomes hold no answers to vote on", remedy='Rows need "answers": {model: text}.')
    variants = _variants(most, sure, seed)
    right = {name: np.zeros(len(test)) for name in variants}
    calls = {name: np.zeros(len(test)) for name in variants}
    for rows, recruiter in _fitted(test, vectors, learn, most, k, seed):
        for row in rows:
            answers = _Answers(test.answers[row], test.scores[row], test.experts)
            for name, variant in variants.items():
                right[name][row], calls[name][row] = variant(recruiter, vectors[row], answers)
    oracle = test.scores.max(axis=1)
    told = {name: _one(right[name], calls[name], right, seed) for name in variants}
    return {
        "n": len(test),
        "experts": list(test.experts),
        "oracle": {"accuracy": float(oracle.mean())},
        "variants": told,
    }


def _variants(most: int, sure: float, seed: int) -> dict[str, Variant]:
    def single(recruiter: Recruiter, vector: "NDArray[np.float32]", answers: _Answers) -> tuple[float, float]:
        return answers.alone(recruiter.experts[int(recruiter.skills.overall.argmax())]), 1

    def routed(recruiter: Recruiter, vector: "NDArray[np.float32]", answers: _Answers) -> tuple[float, float]:
        return answers.alone(recruiter.lineup(vector, most=1).names[0]), 1

    draw = random.Random(seed).random

    def published(recruiter: Recruiter, vector: "NDArray[np.float32]", answers: _Answers) -> tuple[float, float]:
        drawn = [published_lineup(recruiter, vector, draw) for _ in range(DRAWS)]
        return sum(answers.score(names, majority(answers.of(names))) for names in drawn) / DRAWS, RECRUITS

    def distinct(recruiter: Recruiter, vector: "NDArray[np.float32]", answers: _Answers) -> tuple[float, float]:
        names = recruiter.lineup(vector, most=RECRUITS).names
        return answers.score(names, majority(answers.of(names))), len(names)

    def vote(recruiter: Recruiter, lineup: Lineup, answers: _Answers, asked: int) -> tuple[float, float]:
        names = lineup.names[:asked]
        return answers.score(names, recruiter.vote(lineup, answers.of(names)).answer), len(names)

    def odds(recruiter: Recruiter, vector: "NDArray[np.float32]", answers: _Answers) -> tuple[float, float]:
        return vote(without_answers(recruiter), recruiter.lineup(vector, most=most), answers, most)

    def learned(recruiter: Recruiter, vector: "NDArray[np.float32]", answers: _Answers) -> tuple[float, float]:
        return vote(recruiter, recruiter.lineup(vector, most=most), answers, most)

    def adapted(recruiter: Recruiter, vector: "NDArray[np.float32]", answers: _Answers) -> tuple[float, float]:
        lineup = recruiter.lineup(vector, most=most)
        asked = 1
        while not recruiter.enough(lineup, answers.of(lineup.names[:asked]), sure):
            asked += 1
        return vote(recruiter, lineup, answers, asked)

    return {
        "best single": single,
        "routed single": routed,
        "published": published,
        f"distinct {RECRUITS}, majority": distinct,
        f"distinct {most}, log-odds": odds,
        f"distinct {most}, learned vote": learned,
        f"up to {most}, learned vote, {sure:g} sure": adapted,
    }


def _fitted(
    test: Outcomes,
    vectors: "NDArray[np.float32]",
    learn: "tuple[Outcomes, NDArray[np.float32]] | None",
    most: int,
    k: int,
    seed: int,
) -> "list[tuple[NDArray[np.intp], Recruiter]]":
    """Rows of `test`, and what was fitted without them."""
    import numpy as np

    def made(outcomes: Outcomes, known: "NDArray[np.float32]") -> Recruiter:
        return fit(
            outcomes.asked(known), outcomes.scores, test.experts, answers=outcomes.answers, recruits=most, seed=seed
        )

    if learn is not None:
        return [(np.arange(len(test)), made(learn[0].pool(test.experts), learn[1]))]
    return [(held, made(test.take(rows), vectors[rows])) for rows, held in folds(len(test), k, seed)]


def _one(right: "Floats", calls: "Floats", others: "dict[str, Floats]", seed: int) -> dict[str, Any]:
    low, high = metrics.interval(right, seed=seed)
    told: dict[str, Any] = {"accuracy": float(right.mean()), "low": low, "high": high, "calls": float(calls.mean())}
    for name, key in (("published", "over_published"), ("best single", "over_best_single")):
        difference = right - others[name]
        low, high = metrics.interval(difference, seed=seed)
        told[key] = {"mean": float(difference.mean()), "low": low, "high": high}
    return told
