"""Learning from a log in which each prompt has one answer: estimates against a world where all is known."""

import numpy as np
import pytest

from experts.errors import InputError
from router import metrics
from router.logged import estimated
from router.selectors import linear
from tests.router.worlds import EXPERTS, world

FULL, VECTORS = world(1500, seed=4)


def log(shares: list[float]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Who answered, how well, and how likely that was: who is drawn depends on the prompt."""
    random = np.random.default_rng(5)
    kinds = np.array([sorted(set(FULL.groups)).index(group) for group in FULL.groups])
    chances = np.array([np.roll(shares, kind) for kind in kinds])
    expert = np.array([random.choice(3, p=row) for row in chances])
    rows = np.arange(len(FULL))
    return expert, FULL.scores[rows, expert], chances[rows, expert]


def test_estimates_are_right_on_average_though_the_log_is_lopsided() -> None:
    expert, scores, propensity = log([0.8, 0.1, 0.1])
    naive = np.array([scores[expert == e].mean() for e in range(3)])
    fair = estimated(VECTORS, expert, scores, propensity, 3).mean(axis=0)
    truth = FULL.scores.mean(axis=0)
    assert np.abs(naive - truth).max() > 0.15, "this log misleads who believes it"
    assert np.abs(fair - truth).max() < 0.06


def test_what_is_learned_from_the_log_routes_well() -> None:
    expert, scores, propensity = log([0.5, 0.3, 0.2])
    learned = linear.fit(FULL.asked(VECTORS), estimated(VECTORS, expert, scores, propensity, 3), EXPERTS)
    test, vectors = world(300, seed=6)
    got = metrics.earned(test.scores, metrics.best(linear.predictor(learned)(test.asked(vectors)))).mean()
    assert got > 0.8, "the best single expert has about 0.5"


def test_an_expert_nobody_judged_is_named_a_problem() -> None:
    expert, scores, propensity = log([0.5, 0.3, 0.2])
    with pytest.raises(InputError, match="at least 20 judged answers") as error:
        estimated(VECTORS, expert, scores, propensity, 4)
    assert "--pool" in str(error.value.remedy)
