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

MOST_OWED = 7.0
"""Never more calls too many or too few than this: so of any w requests in a row, share · w ± 14 are given."""
TRADES = 128
"""Requests over which a quality is kept."""
EVERY = 32
"""Requests after which it is worked out again."""


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
        due = self._owed + self.share
        if due > MOST_OWED or due - 1 < -MOST_OWED:
            yes = due > 0
        else:
            yes = rank >= 1 - self.share - GAIN * self._owed if 0 < self.share < 1 else self.share == 1
        self._owed = due - yes
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


class Trade:
    """What a cent is worth, so that choices keep a given part of the quality there is to be had, at the least cost.

    Called with every request's worth and cents, it says the weight w for which the choices argmax(worth - w · cents)
    over the last requests come to the quality asked for: between that of the cheapest (0) and that of the best (1).
    What was kept too little or too much so far is made up for. Not for several threads.
    """

    def __init__(self, quality: float) -> None:
        """`quality` in 0..1."""
        self.quality = quality
        self._rows: deque[tuple[NDArray[np.float64], NDArray[np.float64]]] = deque(maxlen=TRADES)
        self._owed = 0.0
        self._weight = 0.0
        self._left = 0

    def __call__(self, worth: "NDArray[np.float64]", cents: "NDArray[np.float64]") -> float:
        """The weight for this request, which is remembered; float64 [E] each, E may differ between requests."""
        if self.quality == 0:
            return 1e6
        self._rows.append((worth, cents))
        if self._left == 0:
            self._weight = self._solve()
            self._left = min(len(self._rows), EVERY)
        self._left -= 1
        low, high = worth[_cheapest(worth, cents)], worth.max()
        self._owed += low + self.quality * (high - low) - worth[(worth - self._weight * cents).argmax()]
        return self._weight

    def _solve(self) -> float:
        """Bisection: the dearer a cent, the less quality. A third of a millisecond."""
        import numpy as np

        most = max(len(worth) for worth, _ in self._rows)
        worth = np.full((len(self._rows), most), -1e9)  # [W, E]
        cents = np.zeros_like(worth)
        for at, (one, cost) in enumerate(self._rows):
            worth[at, : len(one)], cents[at, : len(one)] = one, cost
        lows = sum(float(one[_cheapest(one, cost)]) for one, cost in self._rows)
        highs = float(worth.max(axis=1).sum())
        if highs - lows < 1e-12:
            return 1e6
        wanted = lows + self.quality * (highs - lows) + min(self._owed, 0.1 * (highs - lows))
        few, many = 1e-6, 1e6
        rows = np.arange(len(worth))
        for _ in range(30):
            middle = (few * many) ** 0.5
            kept = worth[rows, (worth - middle * cents).argmax(axis=1)].sum()
            few, many = (middle, many) if kept >= wanted else (few, middle)
        return float(few)


def _cheapest(worth: "NDArray[np.float64]", cents: "NDArray[np.float64]") -> int:
    """The best of the cheapest."""
    import numpy as np

    return int(np.where(cents <= cents.min(), worth, -np.inf).argmax())


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
