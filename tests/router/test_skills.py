"""Skill profiles: they find specialists where there are any, find none where there are none, and say why."""

import numpy as np
import pytest
from scipy import stats

from router.skills import fit, strength
from tests.router.worlds import EXPERTS, world

AXES = np.linalg.qr(np.random.default_rng(99).normal(size=(384, 3)))[0].T.astype(np.float32)  # of the world's kinds
OTHERS = np.linalg.qr(np.random.default_rng(5).normal(size=(384, 9)))[0].T.astype(np.float32)
SKILLS = np.concatenate([AXES, OTHERS])
NAMES = (*("verse", "sums", "code"), *(f"other {i}" for i in range(9)))


def profile(n: int = 400, mix: bool = False):  # type: ignore[no-untyped-def]
    outcomes, vectors = world(n, seed=1)
    scores = np.random.default_rng(2).permutation(outcomes.scores) if mix else outcomes.scores
    return fit(vectors, scores, EXPERTS, NAMES, SKILLS), scores


def test_specialists_are_found() -> None:
    fitted, _ = profile()
    likely = fitted.predict(AXES)
    assert likely.argmax(axis=1).tolist() == [0, 1, 2], "each expert on its own kind"
    assert fitted.predict(AXES, caution=1.0).max() == pytest.approx(0.9, abs=0.08)


def test_where_skills_tell_nothing_everybody_is_judged_by_its_overall_accuracy() -> None:
    fitted, scores = profile(mix=True)
    likely = fitted.predict(world(200, seed=3)[1])
    assert np.abs(likely - scores.mean(axis=0)).max() < 0.05, "the true differences by kind are 0.6"


def test_few_items_are_believed_less_than_many() -> None:
    few, many = profile(25)[0], profile(400)[0]
    spread = [np.ptp(fitted.predict(AXES), axis=1).mean() for fitted in (few, many)]
    assert spread[0] < spread[1]
    overall = fit(world(4, seed=1)[1], np.array([[1, 0, 0]] * 4, float), EXPERTS, NAMES, SKILLS).overall
    assert overall == pytest.approx((np.array([4, 0, 0]) + 20 / 3) / 24), "as if 20 items more had gone averagely"


def test_the_table_is_the_mean_of_a_beta_posterior() -> None:
    fitted, scores = profile()
    prior = strength(fitted.right, fitted.items, fitted.overall)
    expected = (fitted.right[0, 1] + prior * fitted.overall[1]) / (fitted.items[0] + prior)
    assert fitted.table()[0, 1] == pytest.approx(expected)
    assert fitted.table()[0].argmax() == 0, "verse is the poet's"
    assert fitted.items[:3].sum() >= len(scores), "each item counts in its nearest two to five skills"


def test_the_priors_strength_is_the_most_likely_of_a_beta_binomial() -> None:
    random = np.random.default_rng(0)
    items = random.integers(5, 60, 300).astype(float)
    overall = np.array([0.4, 0.6])
    for true in (4.0, 32.0):
        rates = random.beta(true * overall, true * (1 - overall), size=(300, 2))
        right = random.binomial(items[:, None].astype(int), rates).astype(float)
        grid = [2.0**power for power in range(1, 10)]
        reference = [stats.betabinom.logpmf(right, items[:, None], s * overall, s * (1 - overall)).sum() for s in grid]
        assert strength(right, items, overall) == grid[int(np.argmax(reference))] == true


def test_the_reason_names_the_nearest_skills_with_their_evidence() -> None:
    fitted, _ = profile()
    told = fitted.reason(AXES[1], 1, most=1)
    assert told.startswith(f"sums {fitted.table()[1, 1]:.2f} over {fitted.items[1]:.0f} items, overall 0.")
