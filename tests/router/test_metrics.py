"""Measures of routing against closed forms."""

import numpy as np
import pytest

from router import metrics
from router.metrics import Curve

WEAK, STRONG = np.array([1.0, 0, 0, 0]), np.array([1.0, 1, 1, 0])


def test_the_perfect_router_recovers_the_gap_with_the_fewest_calls() -> None:
    curve = metrics.pair_curve(WEAK, STRONG, STRONG - WEAK)
    assert metrics.cpt(curve, 0.5) == 0.25 and metrics.cpt(curve, 0.8) == 0.5 and metrics.cpt(curve, 1.0) == 0.5
    assert metrics.apgr(curve) == pytest.approx(0.75)  # rises to 1 at half of the calls, then stays


def test_random_and_reversed_routing() -> None:
    assert metrics.apgr(metrics.pair_curve(WEAK, STRONG, np.zeros(4))) == pytest.approx(0.5)
    assert metrics.apgr(metrics.pair_curve(WEAK, STRONG, WEAK - STRONG)) == pytest.approx(0.25)


def test_ties_cannot_profit_from_the_order_of_rows() -> None:
    wants = np.array([2.0, 1, 1, 1])
    one = metrics.pair_curve(WEAK, STRONG, wants)
    other = metrics.pair_curve(WEAK[[0, 3, 2, 1]], STRONG[[0, 3, 2, 1]], wants)
    assert np.allclose(one.quality, other.quality)


def test_gap_at_oracle() -> None:
    assert metrics.gap_at_oracle(0.6, 0.5, 0.9) == pytest.approx(0.75)
    assert metrics.gap_at_oracle(0.9, 0.5, 0.9) == 0
    assert metrics.gap_at_oracle(0.5, 0.5, 0.5) == 0


def test_the_interval_is_that_of_the_mean() -> None:
    sample = np.random.default_rng(1).normal(0.3, 1, 400)
    low, high = metrics.interval(sample)
    error = sample.std(ddof=1) / 20
    assert low == pytest.approx(sample.mean() - 1.96 * error, abs=0.02)
    assert high == pytest.approx(sample.mean() + 1.96 * error, abs=0.02)
    assert metrics.interval(sample) == (low, high), "seeded"


def test_aiq_is_the_area_under_the_hull_extended_flat() -> None:
    curve = Curve(np.array([1.0, 2, 3, 4]), np.array([0.2, 0.1, 0.6, 0.5]))
    x, y = metrics.hull(curve)
    assert x.tolist() == [1, 3] and y.tolist() == [0.2, 0.6], "dominated points are none of it"
    assert metrics.aiq(curve, 5.0) == pytest.approx((2 * 0.4 + 2 * 0.6) / 4)


def test_shares() -> None:
    assert metrics.shares(np.array([0, 2, 2, 2]), "abc") == {"a": 0.25, "c": 0.75}


def test_the_cost_curve_runs_from_the_cheapest_to_the_best() -> None:
    scores = np.array([[0.0, 1], [1, 1], [0, 1]])
    costs = np.array([[1.0, 10]] * 3)
    curve = metrics.cost_curve(scores, scores, costs)
    assert (curve.cost[0], curve.quality[0]) == (1.0, pytest.approx(1 / 3))
    assert curve.quality.max() == 1
    assert curve.cost[curve.quality == 1].min() == pytest.approx(7), "the second prompt needs no dear call"
