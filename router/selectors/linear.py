"""One linear head per expert over the embedding and the text's traits (ridge regression on recorded scores)."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from router.card import Card
from router.fitting import Columns, chosen
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

_RIDGES = tuple(10.0**power for power in (1, 1.5, 2, 2.5, 3, 3.5, 4, 5))
_AXES = 384


class Params(LearnedParams):
    """A fitted model, and the text it judges."""


def build(params: Params, experts: Sequence[Card], tools: Tools) -> SelectLater:
    """Scores are predicted scores. Raises `ConfigError` where the model does not fit."""
    return by_prediction(params, experts, tools, "linear")


def fit(asked: Asked, scores: "Floats", experts: Sequence[str], *, seed: int = 0) -> Learned:
    """Ridge regression of every expert's score at once; the ridge is chosen by cross-validation."""
    ridge = chosen(asked, scores, _RIDGES, _for_each, seed=seed)
    columns = Columns.fit(asked, _AXES)
    weights, bias = heads(columns(asked), scores, [ridge])
    arrays: dict[str, Any] = {**columns.arrays(), "weights": weights[0].astype("float32"), "bias": bias}
    return Learned("linear", tuple(experts), arrays, {"ridge": ridge})


def predictor(learned: Learned) -> Predict:
    """Predicted scores, float64 [N, E]."""
    columns, arrays = Columns.of(learned.arrays), learned.arrays
    weights, bias = arrays["weights"], arrays["bias"]
    return lambda asked: (columns(asked) @ weights + bias).astype("float64")


def heads(x: "NDArray[np.float32]", scores: "Floats", ridges: Sequence[float]) -> "tuple[list[Floats], Floats]":
    """Weights [C, E] for each ridge, and the bias [E]; columns of `x` have mean 0."""
    import numpy as np

    wide = x.astype(np.float64)
    bias = scores.mean(axis=0)
    values, vectors = np.linalg.eigh(wide.T @ wide)
    turned = vectors.T @ (wide.T @ (scores - bias))
    return [vectors @ (turned / (values + ridge)[:, None]) for ridge in ridges], bias


def _for_each(asked: Asked, scores: "Floats", held: Asked, ridges: Sequence[float]) -> "list[Floats]":
    columns = Columns.fit(asked, _AXES)
    weights, bias = heads(columns(asked), scores, ridges)
    x = columns(held)
    return [x @ each + bias for each in weights]
