"""Shares and qualities that hold, also where scores are unlike those that were expected."""

import numpy as np
import pytest

from router.dial import Dial, Trade, online
from tests.router.worlds import world

SCORES = {
    "as expected": lambda random, n: random.normal(0, 1, n),
    "far above the prior": lambda random, n: random.normal(50, 1, n),
    "drifting": lambda random, n: random.normal(0, 1, n) + np.arange(n) / 200,
    "jumping": lambda random, n: random.normal(0, 1, n) + 10 * (np.arange(n) > n / 2),
    "two values": lambda random, n: random.integers(0, 2, n),
    "all alike": lambda random, n: np.zeros(n),
}


@pytest.mark.parametrize("kind", SCORES)
@pytest.mark.parametrize("share", [0.05, 0.3, 0.8])
def test_the_share_holds_in_the_whole_and_in_every_window(kind: str, share: float) -> None:
    random = np.random.default_rng(3)
    dial = Dial(share, random.normal(0, 1, 500).tolist())
    yes = np.array([dial(float(score)) for score in SCORES[kind](random, 1500)])
    assert yes.mean() == pytest.approx(share, abs=0.01)
    windows = np.convolve(yes, np.ones(200), "valid") / 200
    assert np.abs(windows - share).max() <= 0.07 + 1e-9


def test_the_higher_scores_get_it() -> None:
    random = np.random.default_rng(4)
    scores = random.normal(0, 1, 3000)
    dial = Dial(0.3)
    yes = np.array([dial(float(score)) for score in scores])
    top = scores >= np.quantile(scores, 0.7)
    assert (yes == top).mean() > 0.93


def test_none_and_all() -> None:
    assert not any(map(Dial(0.0), range(100)))
    assert all(map(Dial(1.0), range(100)))


def test_it_remembers_a_bounded_number_of_scores() -> None:
    dial = Dial(0.5)
    for score in range(3000):
        dial(float(score))
    assert dial.rank(2500.0) == pytest.approx(0.5, abs=0.01), "the last thousand"


def test_a_decision_never_looks_ahead() -> None:
    scores = np.random.default_rng(5).normal(0, 1, 400).tolist()
    one, other = Dial(0.3), Dial(0.3)
    assert [one(s) for s in scores][:200] == [other(s) for s in scores[:200]]


@pytest.mark.parametrize("quality", [0.0, 0.5, 0.9, 1.0])
def test_a_quality_is_kept_at_less_than_the_full_cost(quality: float) -> None:
    random = np.random.default_rng(6)
    trade = Trade(quality)
    cents = np.array([0.1, 1.0, 5.0])
    rows = np.clip(random.normal([0.5, 0.6, 0.7], 0.2, (1500, 3)), 0, 1)
    rows[750:] *= 0.5
    choice = np.array([(worth - trade(worth, cents) * cents).argmax() for worth in rows])
    kept, best = rows[np.arange(1500), choice].mean(), rows.max(axis=1).mean()
    assert (kept - rows[:, 0].mean()) / (best - rows[:, 0].mean()) == pytest.approx(quality, abs=0.03)
    if quality < 1:
        assert cents[choice].mean() < 0.8 * cents[rows.argmax(axis=1)].mean()


def test_online_reports_share_windows_and_quality_beside_chance() -> None:
    outcomes, _ = world(2000, experts=["poet", "coder"])
    told = online(outcomes, outcomes.scores + np.random.default_rng(0).normal(0, 0.1, outcomes.scores.shape), 0.3)
    assert told["given"] == pytest.approx(0.3, abs=0.03)
    assert 0.22 <= told["least"] <= told["most"] <= 0.38
    assert told["over_random"]["low"] > 0.1, "it was shown the outcomes"
