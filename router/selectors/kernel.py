"""Kernel ridge regression of every expert's score: embedding and traits alike, a Gaussian kernel over both.

Fits smooth regions of any shape; the kernel is the product of one over embeddings and one over traits, so only what is
alike in meaning and in form counts. Many prompts are stood for by a sample of them (Nyström; Rudi et al. 2015).
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from router.card import Card
from router.fitting import Columns
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
RIDGE = 3.0
EMBEDDING, TRAITS = 1.0, 1.0
"""How fast likeness falls with the squared distance of unit vectors, and with the mean squared one of traits. These
and the ridge by cross-validation on the part of llmrouter to be fitted on."""


class Params(LearnedParams):
    """A fitted model, and the text it judges."""


def build(params: Params, experts: Sequence[Card], tools: Tools) -> SelectLater:
    """Scores are predicted scores. Raises `ConfigError` where the model does not fit."""
    return by_prediction(params, experts, tools, "kernel", predictor)


def fit(asked: Asked, scores: "Floats", experts: Sequence[str], *, seed: int = 0) -> Learned:
    """Solve for the weights of a random sample of prompts; half a minute for ten thousand."""
    import numpy as np
    from scipy.linalg import cho_factor, cho_solve

    columns = Columns.fit(asked, 1)
    points = np.sort(np.random.default_rng(seed).permutation(len(asked))[:POINTS])
    known = (asked.vectors[points], _traits(columns, asked.take(points)))
    bias = scores.mean(axis=0)
    among = likeness(*known, *known)  # [M, M]
    left, right = RIDGE * among, np.zeros((len(points), scores.shape[1]))
    for at in range(0, len(asked), 2048):
        part = asked.take(range(at, min(at + 2048, len(asked))))
        like = likeness(part.vectors, _traits(columns, part), *known)  # [B, M]
        left += like.T @ like
        right += like.T @ (scores[at : at + 2048] - bias)
    left[np.diag_indices(len(left))] += 1e-4 * np.trace(left) / len(left)
    weights = cho_solve(cho_factor(left.astype(np.float64), lower=True), right)
    arrays: dict[str, Any] = {
        **columns.arrays(),
        "vectors": known[0].astype(np.float16),
        "traits": known[1].astype(np.float16),
        "weights": weights.astype(np.float32),
        "bias": bias,
    }
    return Learned("kernel", tuple(experts), arrays, {"ridge": RIDGE, "points": len(points)})


def predictor(learned: Learned) -> Predict:
    """Predicted scores, float64 [N, E]."""
    import numpy as np

    columns, arrays = Columns.of(learned.arrays), learned.arrays
    vectors, traits = arrays["vectors"].astype(np.float32), arrays["traits"].astype(np.float32)
    weights, bias = arrays["weights"], arrays["bias"]

    def predict(asked: Asked) -> "Floats":
        made = np.empty((len(asked), len(bias)))
        for at in range(0, len(asked), 2048):
            part = asked.take(range(at, min(at + 2048, len(asked))))
            made[at : at + 2048] = likeness(part.vectors, _traits(columns, part), vectors, traits) @ weights + bias
        return made

    return predict


def likeness(
    a: "NDArray[np.float32]", a_traits: "NDArray[np.float32]", b: "NDArray[np.float32]", b_traits: "NDArray[np.float32]"
) -> "NDArray[np.float32]":
    """The kernel between every row of a and every row of b, 0..1: float32 [A, B]."""
    import numpy as np

    squares = (a_traits**2).sum(axis=1)[:, None] + (b_traits**2).sum(axis=1) - 2 * a_traits @ b_traits.T
    made: NDArray[np.float32] = np.exp(
        -EMBEDDING * (2 - 2 * a @ b.T) - TRAITS / a_traits.shape[1] * np.maximum(squares, 0)
    )
    return made


def _traits(columns: Columns, asked: Asked) -> "NDArray[np.float32]":
    return columns(asked)[:, : -columns.axes.shape[1]]
