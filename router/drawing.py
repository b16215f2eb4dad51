"""Charts of a replay, drawn with matplotlib into a file. Knows nothing of where the numbers come from."""

from pathlib import Path
from typing import TYPE_CHECKING

from experts.errors import InputError
from router import metrics
from router.replay import Replay, ends

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


def cost_quality(replay: Replay, costs: "NDArray[np.float64] | None", path: Path) -> None:
    """Quality against cost: a curve per selector, a point per model, the oracle as a line. Blocks.

    For two models without costs, the cost is the share of calls to the stronger one. The kind of file follows from its
    suffix (.png, .svg, .pdf). Raises `InputError` where nothing is known of the costs of more than two models.
    """
    import numpy as np
    from matplotlib.figure import Figure

    test = replay.test
    pair = len(test.experts) == 2
    shares = pair and costs is None
    if costs is None:
        if not pair:
            raise InputError(
                "quality against cost cannot be drawn: the outcomes hold no costs",
                remedy="Give the price of each model with --prices.",
            )
        costs = np.ones_like(test.scores)
        if pair:
            costs[:, ends(test)[0]] = 0.0
    figure = Figure(figsize=(8, 5), dpi=150, layout="constrained")
    axes = figure.add_subplot()
    for name, predicted in sorted(replay.predicted.items()):
        if pair:
            weak, strong = ends(test)
            curve = metrics.pair_curve(
                test.scores[:, weak], test.scores[:, strong], predicted[:, strong] - predicted[:, weak]
            )
            x = costs[:, weak].mean() + curve.cost * (costs[:, strong].mean() - costs[:, weak].mean())
            y = curve.quality
        else:
            x, y = metrics.hull(metrics.cost_curve(predicted, test.scores, costs))
        axes.plot(x, 100 * y, label=name, linewidth=1.5, marker="." if len(x) < 50 else None)
    for name, x, y in zip(test.experts, costs.mean(axis=0), test.scores.mean(axis=0), strict=True):
        axes.plot([x], [100 * y], "k.", markersize=5)
        axes.annotate(name, (x, 100 * y), fontsize=6, xytext=(3, -7), textcoords="offset points")
    axes.axhline(
        100 * test.scores.max(axis=1).mean(), color="grey", linestyle=":", linewidth=1, label="oracle (cheats)"
    )
    units = "mean cost of a call, USD" if test.costs is not None else "mean price, USD per million tokens"
    axes.set_xlabel("share of strong calls" if shares else units)
    axes.set_ylabel("accuracy, %")
    axes.legend(fontsize=7)
    axes.grid(alpha=0.3)
    figure.savefig(path)
