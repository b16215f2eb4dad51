"""Symbolic-MoE's published recruiting, on a profile worked out by hand."""

import random
from collections import Counter

import numpy as np
import pytest

from router.symbolic_moe import Profile, grouped, majority, recruits

# items: two of algebra, one of both, one of history; scores of the experts a, b, c
ANNOTATED = [("algebra",), ("algebra",), ("algebra", "history"), ("history",)]
SCORES = np.array([[1, 1, 0], [1, 0, 0], [1, 0, 0], [0, 1, 0]], float)
PROFILE = Profile.of(ANNOTATED, SCORES, "abc")


def test_a_skill_gains_a_point_when_right_and_loses_one_when_wrong() -> None:
    assert PROFILE.skills == ("algebra", "history")
    assert PROFILE.points.tolist() == [[3, -1, -3], [0, 0, -2]]


def test_weights_are_local_times_squared_global_suitability() -> None:
    # totals 3, -1, -5 are shifted by 6 to 9, 5, 1; squares 81, 25, 1 of 107
    assert PROFILE.weights([0]) == pytest.approx([1, 0, 0]), "only a is above 0 in algebra"
    both = Profile.of([("x",)] * 5, np.array([[1, 1, 0]] * 4 + [[1, 0, 0]], float), "abc")  # points 5, 3, -5
    expected = np.array([5 * 11**2, 3 * 9**2, 0])
    assert both.weights([0]) == pytest.approx(expected / expected.sum()), "totals 5, 3, -5 are shifted by 6"


def test_where_nobody_is_above_zero_the_lowest_is_shifted_to_one() -> None:
    # history: 0, 0, -2 → 3, 3, 1; times 81, 25, 1
    expected = np.array([3 * 81, 3 * 25, 1])
    assert PROFILE.weights([1]) == pytest.approx(expected / expected.sum())


def test_an_unknown_skill_becomes_its_nearest_known_one() -> None:
    near = {"equations": "algebra"}.get
    assert PROFILE.matched(["equations", "history", "cooking"], near) == [0, 1], "cooking has none"
    assert PROFILE.weights([]) is None


def test_three_are_drawn_with_replacement_by_weight() -> None:
    draw = random.Random(1).random
    weights = np.array([0.7, 0.2, 0.1])
    drawn = [recruits(weights, 3, draw) for _ in range(4000)]
    counts = Counter(e for three in drawn for e in three)
    assert [counts[e] / 12000 for e in range(3)] == pytest.approx([0.7, 0.2, 0.1], abs=0.02)
    twice = np.mean([len(set(three)) < 3 for three in drawn])
    assert twice == pytest.approx(1 - 6 * 0.7 * 0.2 * 0.1, abs=0.02), "the flaw: one expert comes up more than once"
    assert recruits(np.array([0.0, 1.0, 0.0]), 3, lambda: 1 - 2**-53) == [1, 1, 1]


def test_without_a_known_skill_three_distinct_ones_are_drawn() -> None:
    draw = random.Random(1).random
    drawn = [recruits(None, 5, draw) for _ in range(500)]
    assert all(len(set(three)) == 3 for three in drawn)
    assert {e for three in drawn for e in three} == set(range(5))
    assert sorted(recruits(None, 2, draw)) == [0, 1]


def test_the_majority_is_the_answer_given_most_often_the_first_of_equals() -> None:
    assert majority(["B", "A", "A"]) == "A"
    assert majority(["B", "A", None]) == "B"
    assert majority([None, None]) is None


def test_a_batch_asks_each_expert_once_for_all_of_its_queries() -> None:
    assert grouped({"q1": ["a", "b", "a"], "q2": ["b"]}) == {"a": ["q1"], "b": ["q1", "q2"]}
