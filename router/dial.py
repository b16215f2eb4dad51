"""Shares that hold: which requests go to the strong expert so that a given part of them does, whatever comes.

One pass, causal: a decision is made of scores seen so far and never revised. State is bounded and kept per process.
Knows nothing of where the scores come from.
"""

from bisect import bisect_left, bisect_right, insort
from collections import deque
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from router import metrics
from router.outcomes import Outcomes

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

WINDOW = 1000
"""Scores that are remembered."""
PRIOR = 50
"""How many of them the scores of the fit stand for, at the start."""
GAIN = 0.02
"""How far one call too many, or too few, moves the threshold, as a share of all scores. The number of calls owed then
strays by about √(share · (1 - share) / (2 · GAIN)), 2.3 calls at a share of 30%."""


class Dial:
    """Says yes to a given share of scores, the higher ones first.

    A score is placed among the last ones: yes if its rank is within the share. What was given too much or too little
    so far shifts the bar, so the share holds also where scores drift, and in every stretch. Not for several threads.
    """

    def __init__(self, share: float, prior: Sequence[float] = ()) -> None:
        """`share` in 0..1; `prior` are scores of like prompts, used until enough have been seen."""
        self.share = share
        self._owed = 0.0
        """Calls that should have been yes and were not; negative: too many were."""
        step = max(1, len(prior) // PRIOR)
        self._order: deque[float] = deque(sorted(prior)[step // 2 :: step])
        self._sorted = sorted(self._order)

    def __call__(self, score: float) -> bool:
        """Decide for the next score, and remember it."""
        rank = self.rank(score)
        yes = rank >= 1 - self.share - GAIN * self._owed if 0 < self.share < 1 else self.share == 1
        self._owed += self.share - yes
        if len(self._order) >= WINDOW:
            del self._sorted[bisect_left(self._sorted, self._order.popleft())]
        self._order.append(score)
        insort(self._sorted, score)
        return yes

    def rank(self, score: float) -> float:
        """The share of remembered scores below, equals counting half: 0..1, 0.5 where nothing is remembered."""
        if not self._sorted:
            return 0.5
        return (bisect_left(self._sorted, score) + bisect_right(self._sorted, score)) / (2 * len(self._sorted))


def online(
    test: Outcomes, predicted: "NDArray[np.float64]", share: float, *, window: int = 200, seed: int = 0
) -> dict[str, Any]:
    """One causal pass over recorded outcomes in their order: the share of calls that went to the strongest expert (the
    one predicted to be best on average in the first place), the least and the most in any `window`, and the quality
    beside a random choice with the same share. The others' best predicted expert answers the rest.
    """
    import numpy as np

    strong = int(predicted.mean(axis=0).argmax())
    rest = predicted.copy()
    rest[:, strong] = -np.inf
    second = rest.argmax(axis=1)
    rows = np.arange(len(test))
    wants = predicted[rows, strong] - predicted[rows, second]
    dial = Dial(share)
    yes = np.array([dial(float(score)) for score in wants])
    got = metrics.earned(test.scores, np.where(yes, strong, second))
    given = float(yes.mean())
    chance = given * test.scores[:, strong] + (1 - given) * test.scores[rows, second]
    sums = np.convolve(yes, np.ones(min(window, len(yes))), "valid") / min(window, len(yes))
    low, high = metrics.interval(got - chance, seed=seed)
    return {
        "strong": test.experts[strong],
        "asked": share,
        "given": given,
        "window": window,
        "least": float(sums.min()),
        "most": float(sums.max()),
        "accuracy": float(got.mean()),
        "random": float(chance.mean()),
        "over_random": {"mean": float((got - chance).mean()), "low": low, "high": high},
    }
