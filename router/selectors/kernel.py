"""Kernel ridge regression of every expert's score: embedding and traits alike, a Gaussian kernel over both.

Fits smooth regions of any shape; the kernel is the product of one over embeddings and one over traits, so only what is
alike in meaning and in form counts. Many prompts are stood for by a sample of them (Nyström; Rudi et al. 2015).
"""

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

POINTS = 2500
"""Prompts that stand for all."""
_TRIAL_POINTS = 800
EMBEDDING = 1.0
"""How fast likeness falls with the squared distance of unit vectors."""
_SETTINGS = ((1.0, 3.0), (1.0, 10.0), (0.3, 3.0), (0.3, 10.0), (0.1, 10.0), (0.1, 30.0))
"""To choose from: how fast likeness falls with the mean squared distance of traits, and the ridge. How much form tells
depends on the prompts: much where they come from many sources, little within one examination."""


class Params(LearnedParams):
    """A fitted model, and the text it judges."""


def build(params: Params, experts: Sequence[Card], tools: Tools) -> SelectLater:
    """Scores are predicted scores. Raises `ConfigError` where the model does not fit."""
    return by_prediction(params, experts, tools, "kernel")


def fit(asked: Asked, scores: "Floats", experts: Sequence[str], *, seed: int = 0) -> Learned:
    """Solve for the weights of a random sample of prompts; half a minute for ten thousand. Ridge and the part of form
    are chosen by cross-validation."""
    import numpy as np

    setting = chosen(asked, scores, _SETTINGS, _for_each, k=3, seed=seed)
    columns, points = _sampled(asked, POINTS, seed)
    traits, ridge = setting
    ((_, weights),) = _solved(asked, scores, columns, points, traits, [ridge])
    arrays: dict[str, Any] = {
        **columns.arrays(),
        "vectors": points.vectors.astype(np.float16),
        "traits": _traits(columns, points).astype(np.float16),
        "weights": weights.astype(np.float32),
        "bias": scores.mean(axis=0),
    }
    return Learned("kernel", tuple(experts), arrays, {"ridge": ridge, "traits": traits, "points": len(points)})


def _sampled(asked: Asked, most: int, seed: int) -> tuple[Columns, Asked]:
    import numpy as np

    points = np.sort(np.random.default_rng(seed).permutation(len(asked))[:most])
    return Columns.fit(asked, 1), asked.take(points)


def _solved(
    asked: Asked, scores: "Floats", columns: Columns, points: Asked, traits: float, ridges: Sequence[float]
) -> "list[tuple[float, Floats]]":
    """Each ridge with the weights of the points, float64 [M, E]."""
    import numpy as np
    from scipy.linalg import cho_factor, cho_solve

    known = (points.vectors, _traits(columns, points))
    among = likeness(*known, *known, traits)  # [M, M]
    squares, right = np.zeros_like(among), np.zeros((len(points), scores.shape[1]))
    bias = scores.mean(axis=0)
    for at in range(0, len(asked), 2048):
        part = asked.take(range(at, min(at + 2048, len(asked))))
        like = likeness(part.vectors, _traits(columns, part), *known, traits)  # [B, M]
        squares += like.T @ like
        right += like.T @ (scores[at : at + 2048] - bias)
    made = []
    for ridge in ridges:
        left = squares + ridge * among
        left[np.diag_indices(len(left))] += 1e-4 * np.trace(left) / len(left)
        made.append((ridge, cho_solve(cho_factor(left.astype(np.float64), lower=True), right)))
    return made


def _for_each(asked: Asked, scores: "Floats", held: Asked, settings: Sequence[tuple[float, float]]) -> "list[Floats]":
    columns, points = _sampled(asked, _TRIAL_POINTS, 0)
    known = (points.vectors, _traits(columns, points))
    found: dict[tuple[float, float], Floats] = {}
    for traits in {traits for traits, _ in settings}:
        like = likeness(held.vectors, _traits(columns, held), *known, traits)
        ridges = [ridge for each, ridge in settings if each == traits]
        for ridge, weights in _solved(asked, scores, columns, points, traits, ridges):
            found[traits, ridge] = like @ weights + scores.mean(axis=0)
    return [found[setting] for setting in settings]


def predictor(learned: Learned) -> Predict:
    """Predicted scores, float64 [N, E]."""
    import numpy as np

    columns, arrays = Columns.of(learned.arrays), learned.arrays
    vectors, traits = arrays["vectors"].astype(np.float32), arrays["traits"].astype(np.float32)
    weights, bias, fall = arrays["weights"], arrays["bias"], learned.settings["traits"]

    def predict(asked: Asked) -> "Floats":
        made = np.empty((len(asked), len(bias)))
        for at in range(0, len(asked), 2048):
            part = asked.take(range(at, min(at + 2048, len(asked))))
            like = likeness(part.vectors, _traits(columns, part), vectors, traits, fall)
            made[at : at + 2048] = like @ weights + bias
        return made

    return predict


def likeness(
    a: "NDArray[np.float32]",
    a_traits: "NDArray[np.float32]",
    b: "NDArray[np.float32]",
    b_traits: "NDArray[np.float32]",
    fall: float,
) -> "NDArray[np.float32]":
    """The kernel between every row of a and every row of b, 0..1: float32 [A, B]. `fall`: how fast it falls with the
    distance of traits."""
    import numpy as np

    squares = (a_traits**2).sum(axis=1)[:, None] + (b_traits**2).sum(axis=1) - 2 * a_traits @ b_traits.T
    made: NDArray[np.float32] = np.exp(
        -EMBEDDING * (2 - 2 * a @ b.T) - fall / a_traits.shape[1] * np.maximum(squares, 0)
    )
    return made


def _traits(columns: Columns, asked: Asked) -> "NDArray[np.float32]":
    return columns(asked)[:, : -columns.axes.shape[1]]
