"""Ridge regression on hashed terms: against a closed form, and what `letters` and `words` take for a term."""

from typing import Any

import numpy as np
import pytest

from router import terms
from router.selectors import letters, words

PROMPTS = [
    f"{a} {b} {c}" for a in ("red", "old", "deep") for b in ("river", "moon") for c in ("sings", "sinks", "sung")
]


def table(counted: Any) -> np.ndarray:
    """Dense TF-IDF rows of unit length, made the slow way: float64 [N, B]."""
    counts = np.zeros((len(PROMPTS), terms.BUCKETS))
    for row, text in enumerate(PROMPTS):
        at, values = counted(text)
        counts[row, at] = values
    seen = (counts > 0).sum(axis=0)
    x = counts * np.where(seen > 1, np.log((1 + len(PROMPTS)) / (1 + seen)) + 1, 0)
    return x / np.linalg.norm(x, axis=1, keepdims=True)


@pytest.mark.parametrize("counted", [letters.counted, words.counted])
def test_weights_are_those_of_ridge_regression(counted: Any) -> None:
    scores = np.random.default_rng(0).random((len(PROMPTS), 3))
    rarity, made, bias = terms.fit(PROMPTS, counted, scores, [0.5, 5.0])
    x = table(counted)
    for ridge, weights in zip((0.5, 5.0), made, strict=True):
        exact = x @ x.T @ np.linalg.solve(x @ x.T + ridge * np.eye(len(x)), scores - scores.mean(axis=0))
        got = terms.predict(PROMPTS, counted, rarity, weights, bias) - scores.mean(axis=0)
        assert np.abs(got - exact).max() < 3e-3, "conjugate gradients stop at a thousandth"


def test_a_blank_stands_only_at_the_ends_of_a_run() -> None:
    """Runs of "ab c" padded to " ab c ": 2 and 3 and 4 letters within " ab " (3 + 2 + 1) and " c " (2 + 1)."""
    assert len(letters.counted("ab c")[0]) == 9
    assert set(letters.counted("ab")[0]) | set(letters.counted("c")[0]) == set(letters.counted("ab c")[0])


def test_case_and_kinds_of_blanks_do_not_matter() -> None:
    one, other = letters.counted("Two  words\n"), letters.counted(" two\twords")
    assert all(np.array_equal(a, b) for a, b in zip(one, other, strict=True))


@pytest.mark.parametrize("text", ["", "   ", "\ud800", "日本語", "?" * 20_000])
def test_any_text_has_terms_that_can_be_predicted_from(text: str) -> None:
    scores = np.random.default_rng(0).random((len(PROMPTS), 2))
    for counted in (letters.counted, words.counted):
        rarity, (weights,), bias = terms.fit(PROMPTS, counted, scores, [1.0])
        made = terms.predict([text], counted, rarity, weights, bias)
        assert made.shape == (1, 2) and np.isfinite(made).all()


def test_a_prompt_without_known_terms_gets_mean_scores() -> None:
    scores = np.random.default_rng(0).random((len(PROMPTS), 2))
    rarity, (weights,), bias = terms.fit(PROMPTS, words.counted, scores, [1.0])
    assert np.array_equal(terms.predict(["zebra"], words.counted, rarity, weights, bias)[0], scores.mean(axis=0))
