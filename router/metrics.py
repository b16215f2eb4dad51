"""Measures of routing on recorded outcomes: pure functions of numbers. Knows nothing of prompts or selectors.

Shapes: N prompts, E experts; `choice` int [N] is the expert routed to; all qualities are in 0..1.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

RESAMPLES = 2000


def earned(scores: "Floats", choice: "NDArray[Any]") -> "Floats":
    """What each prompt scored with the expert it was routed to: float64 [N]."""
    import numpy as np

    got: Floats = scores[np.arange(len(scores)), choice]
    return got


def best(predicted: "Floats") -> "NDArray[np.intp]":
    """The expert of the highest predicted score, the first of equals: int [N] of float [N, E]."""
    choice: NDArray[np.intp] = predicted.argmax(axis=1)
    return choice


def gap_at_oracle(got: float, single: float, oracle: float) -> float:
    """The part of the way from the best single expert to the oracle that is still missing: 0 is the oracle, 1 no
    better than the single one (LLMRouterBench's reading). 0 where there is no way to go."""
    return (oracle - got) / (oracle - single) if oracle > single else 0.0


def interval(differences: "Floats", *, seed: int = 0, resamples: int = RESAMPLES) -> tuple[float, float]:
    """The 95% percentile bootstrap interval of the mean of paired differences, or of any mean: float [N] to bounds."""
    import numpy as np

    random = np.random.default_rng(seed)
    n = len(differences)
    means = np.empty(resamples)
    for i in range(resamples):
        means[i] = differences[random.integers(0, n, n)].mean()
    low, high = np.percentile(means, [2.5, 97.5])
    return float(low), float(high)


def shares(choice: "NDArray[Any]", experts: Sequence[str]) -> dict[str, float]:
    """The share of calls per expert, only those that are called."""
    import numpy as np

    counts = np.bincount(choice, minlength=len(experts))
    return {name: float(count) / len(choice) for name, count in zip(experts, counts, strict=True) if count}


@dataclass(frozen=True, slots=True, eq=False)
class Curve:
    """Quality and cost of routing as ever more calls go to the dearer experts: float64 [K] each, `cost` rising.

    `share` float64 [K] is that of calls to the strong expert, for pairs; else None.
    """

    cost: "Floats"
    quality: "Floats"
    share: "Floats | None" = None


def pair_curve(weak: "Floats", strong: "Floats", wants: "Floats") -> Curve:
    """RouteLLM's call curve: the k prompts with the highest `wants` go to the strong expert, for k = 0..N.

    Equal wishes share their place: the quality within a tie is the line between its ends, so that order in the file
    can neither help nor harm.
    """
    import numpy as np

    order = np.argsort(-wants, kind="stable")
    gains = np.concatenate([[0.0], np.cumsum((strong - weak)[order])])
    sorted_ = wants[order]
    ends = np.concatenate([[0], np.flatnonzero(np.diff(sorted_)) + 1, [len(wants)]])
    k = np.arange(len(wants) + 1)
    quality = weak.mean() + np.interp(k, ends, gains[ends]) / len(wants)
    share = k / len(wants)
    return Curve(share, quality, share)


def apgr(curve: Curve) -> float:
    """RouteLLM's average performance gap recovered: the mean over the call curve of the part of the gap between weak
    and strong that is recovered (arXiv 2406.18665, section 3.2). Random routing has 0.5."""
    import numpy as np

    weak, strong = curve.quality[0], curve.quality[-1]
    return float(np.trapezoid((curve.quality - weak) / (strong - weak), curve.cost))


def cpt(curve: Curve, part: float) -> float:
    """RouteLLM's call-performance threshold: the smallest share of strong calls that recovers `part` of the gap."""
    import numpy as np

    recovered = (curve.quality - curve.quality[0]) / (curve.quality[-1] - curve.quality[0])
    return float(curve.cost[np.flatnonzero(recovered >= part - 1e-12)[0]])


def cost_curve(predicted: "Floats", scores: "Floats", costs: "Floats", points: int = 101) -> Curve:
    """Routing by predicted score less λ times cost, λ from infinity to 0: each point a mean quality and mean cost.

    `predicted`, `scores`, `costs` float [N, E]; the costs used to choose are each expert's mean, as no router knows
    beforehand how long an answer will be.
    """
    import numpy as np

    usual = costs.mean(axis=0)  # [E]
    scale = (np.ptp(predicted) + 1e-12) / (np.ptp(usual) + 1e-30)
    trades = scale * np.concatenate([np.logspace(3, -4, points - 1), [0.0]])
    rows = np.arange(len(scores))
    made = np.array(
        [
            (costs[rows, choice].mean(), scores[rows, choice].mean())
            for choice in ((predicted - trade * usual).argmax(axis=1) for trade in trades)
        ]
    )
    order = np.lexsort((made[:, 1], made[:, 0]))
    return Curve(made[order, 0], made[order, 1])


def aiq(curve: Curve, dearest: float) -> float:
    """RouterBench's average improvement in quality (arXiv 2403.12031, section 3): the area under the non-decreasing
    convex hull of (cost, quality), extended flat to the cost `dearest`, over the range of cost."""
    import numpy as np

    x, y = hull(curve)
    if x[-1] < dearest:
        x, y = np.append(x, dearest), np.append(y, y[-1])
    return float(np.trapezoid(y, x) / (x[-1] - x[0])) if x[-1] > x[0] else float(y[-1])


def hull(curve: Curve) -> tuple["Floats", "Floats"]:
    """The non-decreasing upper convex hull of a curve's points: costs and qualities, rising."""
    import numpy as np

    points: list[tuple[float, float]] = []
    for x, y in sorted(zip(curve.cost.tolist(), curve.quality.tolist(), strict=True), key=lambda p: (p[0], -p[1])):
        if points and y <= points[-1][1]:
            continue
        while len(points) > 1 and _above(points[-2], (x, y), points[-1]):
            points.pop()
        points.append((x, y))
    return np.array([x for x, _ in points]), np.array([y for _, y in points])


def _above(left: tuple[float, float], right: tuple[float, float], middle: tuple[float, float]) -> bool:
    """Whether the line from left to right runs above, or through, the point between them."""
    return (right[1] - left[1]) * (middle[0] - left[0]) >= (middle[1] - left[1]) * (right[0] - left[0])
