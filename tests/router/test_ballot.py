"""The vote of recruits: who counts how much, and what is learned from answers to profile items."""

import numpy as np
import pytest
from scipy.optimize import minimize

from router import ballot
from router.ballot import Ballot, fit

LETTERS = "ABCDEFGHIJ"


def odds(*likely: float) -> np.ndarray:
    p = np.array(likely)
    return np.log(p / (1 - p))


def answered(n: int, accuracy: list[float], *, twins: bool = False, seed: int = 0):  # type: ignore[no-untyped-def]
    """Answers to questions of ten options; with `twins` the last two experts say the same, right or wrong."""
    random = np.random.default_rng(seed)
    truth = random.integers(0, 10, n)
    said = np.empty((n, len(accuracy)), int)
    for e, p in enumerate(accuracy):
        wrong = (truth + random.integers(1, 10, n)) % 10
        said[:, e] = np.where(random.random(n) < p, truth, wrong)
    if twins:
        said[:, -1] = said[:, -2]
    return [[LETTERS[letter] for letter in row] for row in said], said == truth[:, None]


def test_without_learning_votes_weigh_by_log_odds() -> None:
    plain = Ballot.plain(3)
    assert plain.judge(["A", "B", "B"], odds(0.5, 0.5, 0.5), [0, 1, 2]).answer == "B"
    assert plain.judge(["A", "B", "B"], odds(0.97, 0.3, 0.3), [0, 1, 2]).answer == "A"
    assert plain.judge(["A", "B"], odds(0.4, 0.4, 0.4), [2, 0]).answer == "A", "the first of equals"


def test_one_who_gave_no_answer_has_no_vote() -> None:
    verdict = Ballot.plain(3).judge([None, "B", None], odds(0.9, 0.2, 0.9), [0, 1, 2])
    assert verdict.answer == "B"
    assert set(verdict.shares) == {"B"}
    nobody = Ballot.plain(3).judge([None, None], odds(0.5, 0.5, 0.5), [0, 1])
    assert (nobody.answer, nobody.confidence) == (None, 0.0)


def test_confidence_is_the_share_of_votes_that_are_right() -> None:
    answers, right = answered(1500, [0.6, 0.5, 0.4, 0.4])
    fitted = fit(answers[:1000], right[:1000], np.tile(odds(0.6, 0.5, 0.4, 0.4), (1000, 1)), recruits=3)
    verdicts = [fitted.judge(row[:3], odds(0.6, 0.5, 0.4, 0.4), [0, 1, 2]) for row in answers[1000:]]
    good = [
        any(r and a == v.answer for a, r in zip(row[:3], ok[:3], strict=True))
        for row, ok, v in zip(answers[1000:], right[1000:], verdicts, strict=True)
    ]
    assert np.mean([v.confidence for v in verdicts]) == pytest.approx(np.mean(good), abs=0.05)
    assert all(0 < v.confidence < 1 and sum(v.shares.values()) < 1 for v in verdicts), "all may be wrong"


def test_two_that_always_agree_count_less_than_two_that_need_not() -> None:
    likely = odds(0.55, 0.5, 0.4, 0.4)
    for twins, winner in ((False, "B"), (True, "A")):
        answers, right = answered(1500, [0.55, 0.5, 0.4, 0.4], twins=twins)
        fitted = fit(answers, right, np.tile(likely, (1500, 1)), recruits=4)
        assert fitted.judge(["A", "B", "B"], likely, [0, 2, 3]).answer == winner


def test_a_label_given_too_readily_counts_less() -> None:
    answers, right = answered(1500, [0.5, 0.5, 0.5])
    random = np.random.default_rng(3)
    for row, ok in zip(answers, right, strict=True):
        for e in range(3):
            if not ok[e] and random.random() < 0.5:
                row[e] = "A"
    right &= np.array(
        [[a != "A" or r for a, r in zip(row, ok, strict=True)] for row, ok in zip(answers, right, strict=True)]
    )
    fitted = fit(answers, right, np.tile(odds(0.5, 0.5, 0.5), (1500, 1)), recruits=2)
    assert fitted.labels == tuple(LETTERS)
    even = odds(0.5, 0.5, 0.5)
    assert fitted.judge(["A", "C"], even, [0, 1]).answer == "C"
    assert fitted.judge(["C", "A"], even, [0, 1]).answer == "C"


def test_answers_in_free_words_need_no_labels() -> None:
    answers, right = answered(200, [0.6, 0.5, 0.5])
    free = [[f"{said} of question {i}" for said in row] for i, row in enumerate(answers)]
    fitted = fit(free, right, np.tile(odds(0.6, 0.5, 0.5), (200, 1)))
    assert fitted.labels == ()
    assert fitted.judge(["x", "y", "y"], odds(0.6, 0.5, 0.5), [0, 1, 2]).answer == "y"


def test_without_any_answers_the_plain_weights_remain() -> None:
    fitted = fit([[None, None]] * 5, np.zeros((5, 2), bool), np.zeros((5, 2)))
    assert np.array_equal(fitted.weights, Ballot.plain(2).weights)


def test_the_logit_is_the_optimum_that_scipy_finds() -> None:
    random = np.random.default_rng(0)
    tables = [random.normal(size=(random.integers(2, 5), 6)) for _ in range(60)]
    truths = [int(random.integers(0, len(table))) for table in tables]
    prior, ridge = random.normal(size=6), np.full(6, 2.0)

    def loss(weights: np.ndarray) -> float:
        scores = [table @ weights for table in tables]
        fits = sum(np.log(np.exp(s).sum()) - s[t] for s, t in zip(scores, truths, strict=True))
        return float(fits + 0.5 * (ridge * (weights - prior) ** 2).sum())

    reference = minimize(loss, np.zeros(6), tol=1e-12).x
    assert ballot._logit(tables, truths, prior, ridge) == pytest.approx(reference, abs=1e-4)
