"""Several learned selectors together: the weighted mean of their predictions, weights from held-out ones (stacking).

Weights are those that best predict, without going below 0, what tells experts apart on prompts that the members were
not fitted on (Breiman 1996, "Stacked regressions").
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from experts import registry
from router.card import Card
from router.fitting import centred, folds
from router.learned import Learned, Predict
from router.outcomes import Asked
from router.predicted import NEEDS, LearnedParams, by_prediction
from router.selectors import SelectLater
from router.tools import Tools

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

COST = "neural"
NEEDS = NEEDS
EXAMPLE: dict[str, object] = {}

MEMBERS = ("forest", "kernel", "words", "letters", "knn")
_FOLDS = 4
_ENOUGH = 3000
"""Prompts from which on one fold held out says enough about the weights."""
_LEAST = 0.02
"""Members of a smaller weight are left out: they would cost time and say nothing."""


class Params(LearnedParams):
    """A fitted model, and the text it judges."""


def build(params: Params, experts: Sequence[Card], tools: Tools) -> SelectLater:
    """Scores are predicted scores. Raises `ConfigError` where the model does not fit."""
    return by_prediction(params, experts, tools, "ensemble")


def fit(
    asked: Asked, scores: "Floats", experts: Sequence[str], *, seed: int = 0, members: Sequence[str] = MEMBERS
) -> Learned:
    """Fit every member on four folds for the weights (of many prompts, one third is held out once), and once on
    everything."""
    import numpy as np
    from scipy.optimize import nnls

    files = {name: registry.load("router.selectors", name) for name in members}
    mean = scores.mean(axis=0)
    guesses: dict[str, list[Floats]] = {name: [] for name in members}
    truths: list[Floats] = []
    if len(scores) >= 2 * _FOLDS:
        many = len(scores) >= _ENOUGH
        parts = list(folds(len(scores), 3 if many else _FOLDS, seed))[: 1 if many else _FOLDS]
        for learn, held in parts:
            truths.append(centred(scores[held] - mean).ravel())
            for name, file in files.items():
                learned = file.fit(asked.take(learn), scores[learn], experts, seed=seed)
                guesses[name].append(centred(file.predictor(learned)(asked.take(held)) - mean).ravel())
        x = np.stack([np.concatenate(guesses[name]) for name in members], axis=1)
        weights = dict(zip(members, nnls(x, np.concatenate(truths))[0].tolist(), strict=True))
    else:
        weights = dict.fromkeys(members, 1 / len(members))
    kept = {name: weight for name, weight in weights.items() if weight >= _LEAST} or {members[0]: 1.0}
    arrays: dict[str, Any] = {"mean": mean}
    settings: dict[str, Any] = {"weights": {name: round(weight, 4) for name, weight in kept.items()}, "members": {}}
    for name in kept:
        learned = files[name].fit(asked, scores, experts, seed=seed)
        arrays |= {f"{name}/{key}": array for key, array in learned.arrays.items()}
        settings["members"][name] = dict(learned.settings)
    return Learned("ensemble", tuple(experts), arrays, settings)


def predictor(learned: Learned) -> Predict:
    """Mean scores, and of each member its weight times how it departs from them: float64 [N, E]."""
    members = [
        (weight, registry.load("router.selectors", name).predictor(_member(learned, name)))
        for name, weight in learned.settings["weights"].items()
    ]
    mean = learned.arrays["mean"]

    def predict(asked: Asked) -> "Floats":
        asked = asked.read()
        made: Floats = mean + sum(weight * (each(asked) - mean) for weight, each in members)
        return made

    return predict


def _member(learned: Learned, name: str) -> Learned:
    arrays = {
        key.removeprefix(f"{name}/"): array for key, array in learned.arrays.items() if key.startswith(f"{name}/")
    }
    return Learned(name, learned.experts, arrays, learned.settings["members"][name])
