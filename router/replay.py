"""Offline evaluation: what selectors would have scored on recorded outcomes, beside what anybody could have.

A selector is fitted on one part and asked about another, of which it gets prompts and vectors only (`Asked`): groups,
scores and answers of what is routed never reach it. Knows nothing of requests or of how prompts become vectors.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from types import ModuleType
from typing import TYPE_CHECKING, Any

from experts import registry
from experts.errors import InputError
from router import metrics
from router.fitting import folds
from router.outcomes import Asked, Outcomes

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

Note = Callable[[str], None]
"""Told what is being done, for progress."""


@dataclass(frozen=True, slots=True, eq=False)
class Fold:
    """Rows to fit on, what selectors see of them, and rows to route."""

    fit: Outcomes
    known: Asked
    asked: Asked


@dataclass(frozen=True, slots=True, eq=False)
class Replay:
    """Outcomes to route, N prompts by E experts, and what was predicted for each of them by whom.

    `single` is the expert that was best where selectors were fitted, for every prompt (it may differ by fold).
    """

    test: Outcomes
    single: "NDArray[np.intp]"
    predicted: "Mapping[str, Floats]"
    settings: Mapping[str, Any] = field(default_factory=dict)


def fitters() -> dict[str, ModuleType]:
    """The selectors that can be fitted on outcomes, by name."""
    names = registry.known("router.selectors")
    files = {name: registry.load("router.selectors", name) for name in names}
    return {name: file for name, file in files.items() if hasattr(file, "fit")}


def check(selectors: Sequence[str], known: Mapping[str, Any]) -> None:
    """Raise `InputError` unless all of them are known: before the minutes that embeddings and fits take."""
    if strangers := [name for name in selectors if name not in known]:
        raise InputError(f"{', '.join(strangers)} cannot be fitted on outcomes", remedy=f"Known: {', '.join(known)}.")


def run(
    selectors: Sequence[str],
    test: Outcomes,
    test_vectors: "NDArray[np.float32]",
    fit: "tuple[Outcomes, NDArray[np.float32]] | None",
    *,
    k: int = 5,
    seed: int = 0,
    known: Mapping[str, Any] | None = None,
    note: Note = lambda text: None,
) -> Replay:
    """Fit every selector on `fit` and ask it about `test`; without `fit`, on the other folds of `test`, `k` times.

    `known` are the files to choose from, by default `fitters()`.

    Blocks for as long as they take to fit. Raises `InputError` for unknown selectors and for other experts in `fit`.
    """
    import numpy as np

    known = fitters() if known is None else known
    check(selectors, known)
    if fit is not None:
        fit = fit[0].pool(test.experts), fit[1]
    predicted = {name: np.zeros_like(test.scores) for name in selectors}
    single = np.zeros(len(test), np.intp)
    settings: dict[str, Any] = {}
    for rows, fold in _folds(test, test_vectors, fit, k, seed):
        single[rows] = fold.fit.scores.mean(axis=0).argmax()
        for name in selectors:
            note(f"fitting {name} on {len(fold.fit)} prompts")
            learned = known[name].fit(fold.known, fold.fit.scores, list(test.experts), seed=seed)
            predicted[name][rows] = known[name].predictor(learned)(fold.asked)
            settings[name] = dict(learned.settings)
    return Replay(test, single, predicted, settings)


def _folds(
    test: Outcomes,
    vectors: "NDArray[np.float32]",
    fit: "tuple[Outcomes, NDArray[np.float32]] | None",
    k: int,
    seed: int,
) -> "Iterator[tuple[NDArray[np.intp], Fold]]":
    import numpy as np

    asked = test.asked(vectors).read()
    if fit is not None:
        yield np.arange(len(test)), Fold(fit[0], fit[0].asked(fit[1]).read(), asked)
        return
    for learn, held in folds(len(test), k, seed):
        yield held, Fold(test.take(learn), asked.take(learn), asked.take(held))


def report(replay: Replay, prices: "Floats | None" = None, *, seed: int = 0) -> dict[str, Any]:
    """Baselines and measures of every selector, JSON-able: the contract of `madrigal evaluate routing --json`.

    `prices` float64 [E] are USD per call (or in any unit) for the cost curves where the outcomes hold no costs. Each
    selector's `over_best_single` and `over_knn` are mean paired differences with 95% bootstrap intervals.
    """
    test = replay.test
    base = baselines(replay, seed)
    single = metrics.earned(test.scores, replay.single)
    knn = metrics.earned(test.scores, metrics.best(replay.predicted["knn"])) if "knn" in replay.predicted else None
    costs = spent(test, prices)
    told: dict[str, Any] = {}
    for name, predicted in replay.predicted.items():
        choice = metrics.best(predicted)
        got = metrics.earned(test.scores, choice)
        low, high = metrics.interval(got, seed=seed)
        one: dict[str, Any] = {
            "accuracy": float(got.mean()),
            "low": low,
            "high": high,
            "gain_at_best": float(got.mean() - single.mean()),
            "gap_at_oracle": metrics.gap_at_oracle(float(got.mean()), float(single.mean()), base["oracle"]["accuracy"]),
            "over_best_single": _difference(got - single, seed),
            "settings": replay.settings.get(name, {}),
            "calls": metrics.shares(choice, test.experts),
        }
        if knn is not None and name != "knn":
            one["over_knn"] = _difference(got - knn, seed)
        if len(test.experts) == 2:
            one |= pair(test, predicted)
        if costs is not None:
            curve = metrics.cost_curve(predicted, test.scores, costs)
            one["aiq"] = metrics.aiq(curve, float(costs.mean(axis=0).max()))
            one["cost_per_prompt"] = float(metrics.earned(costs, choice).mean())
        told[name] = one
    return {"n": len(test), "experts": list(test.experts), "baselines": base, "selectors": told}


def baselines(replay: Replay, seed: int = 0) -> dict[str, Any]:
    """What needs no router (`best_single`, picked where selectors are fitted; `random`), and two that cheat: `oracle`
    and, where true groups are recorded, `best_per_group` (each group's best expert, in hindsight)."""
    import numpy as np

    test = replay.test
    single = metrics.earned(test.scores, replay.single)
    low, high = metrics.interval(single, seed=seed)
    names = [test.experts[i] for i in np.unique(replay.single)]
    told: dict[str, Any] = {
        "best_single": {"accuracy": float(single.mean()), "low": low, "high": high, "experts": names},
        "random": {"accuracy": float(test.scores.mean())},
        "oracle": {"accuracy": float(test.scores.max(axis=1).mean()), "cheats": True},
    }
    if any(test.groups):
        groups = np.unique([group or "" for group in test.groups], return_inverse=True)[1]
        sums = np.stack([np.bincount(groups, weights=column) for column in test.scores.T], axis=1)
        told["best_per_group"] = {"accuracy": float(sums.max(axis=1).sum() / len(test)), "cheats": True}
    return told


def pair(test: Outcomes, predicted: "Floats") -> dict[str, float]:
    """RouteLLM's measures for two experts; the strong one is the better on these outcomes, as there."""
    weak, strong = ends(test)
    curve = metrics.pair_curve(test.scores[:, weak], test.scores[:, strong], predicted[:, strong] - predicted[:, weak])
    return {"apgr": metrics.apgr(curve), "cpt50": metrics.cpt(curve, 0.5), "cpt80": metrics.cpt(curve, 0.8)}


def ends(test: Outcomes) -> tuple[int, int]:
    """Column of the weaker and of the stronger of two experts."""
    means = test.scores.mean(axis=0)
    return (0, 1) if means[0] <= means[1] else (1, 0)


def spent(test: Outcomes, prices: "Floats | None") -> "Floats | None":
    """Cost of every call, float64 [N, E]: as recorded, else the price of each expert; None where neither is known."""
    import numpy as np

    if test.costs is not None:
        return test.costs
    return np.broadcast_to(prices, test.scores.shape) if prices is not None else None


def _difference(differences: "Floats", seed: int) -> dict[str, float]:
    low, high = metrics.interval(differences, seed=seed)
    return {"mean": float(differences.mean()), "low": low, "high": high}
