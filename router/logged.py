"""Learning from a log in which every prompt was answered by one expert only: what the others would have scored.

The doubly robust estimate (Dudík, Langford and Li 2011, arXiv 1103.4601): a guess for every expert from the prompts it
did answer, corrected where it answered this one, in inverse proportion to how likely that was. It is right on average
if either the guesses or the propensities are. Knows nothing of stores.
"""

from typing import TYPE_CHECKING

from experts.errors import InputError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

LEAST_PROPENSITY = 0.05
"""Less likely choices count as if they had been this likely: some bias for much less variance."""
RIDGE = 10.0
FOLDS = 5
FEWEST = 20
"""Judged answers that an expert must have."""


def estimated(
    vectors: "NDArray[np.float32]", expert: "NDArray[np.intp]", scores: "Floats", propensity: "Floats", count: int
) -> "Floats":
    """Estimated scores of all `count` experts on all prompts, float64 [N, E]; single ones may leave 0..1.

    `vectors` float32 [N, D]; `expert` int [N] is who answered, `scores` float [N] in 0..1 how well, `propensity` float
    [N] in (0, 1] how likely it was that this expert would. Raises `InputError` where an expert has too few answers.
    """
    import numpy as np

    n = len(scores)
    answered = np.bincount(expert, minlength=count)
    if answered.min() < FEWEST:
        raise InputError(
            f"every expert needs at least {FEWEST} judged answers to be learned about; the fewest are {answered.min()}",
            remedy="Explore more (`select: bandit` or `weighted`), or leave the expert out with --pool.",
        )
    fold = np.random.default_rng(0).permutation(n) % FOLDS
    guess = np.empty((n, count))
    for column in range(count):
        mine = expert == column
        for held in range(FOLDS):
            learn = mine & (fold != held)
            guess[fold == held, column] = _ridge(vectors[learn], scores[learn], vectors[fold == held])
    weight = 1 / np.maximum(propensity, LEAST_PROPENSITY)
    rows = np.arange(n)
    guess[rows, expert] += weight * (scores - guess[rows, expert])
    return guess


def _ridge(x: "NDArray[np.float32]", y: "Floats", asked: "NDArray[np.float32]") -> "Floats":
    import numpy as np

    mean, centre = y.mean(), x.mean(axis=0)
    wide = (x - centre).astype(np.float64)
    among = wide @ wide.T  # [M, M]: fewer rows than columns are usual
    among[np.diag_indices(len(among))] += RIDGE
    made: Floats = np.clip(mean + (asked - centre) @ (wide.T @ np.linalg.solve(among, y - mean)), 0, 1)
    return made
