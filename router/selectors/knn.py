"""By the most similar recorded prompts: each expert's mean score on them. Knows nothing beyond what was recorded.

The plainest learned router, and the one that others must beat (arXiv 2505.12601): cosine over the sentence embedding.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from router.card import Card
from router.fitting import chosen
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

_NEIGHBOURS = (10, 20, 40, 80, 160, 320)


class Params(LearnedParams):
    """A fitted model, and the text it judges."""


def build(params: Params, experts: Sequence[Card], tools: Tools) -> SelectLater:
    """Scores are mean recorded scores of the neighbours, 0..1. Raises `ConfigError` where the model does not fit."""
    return by_prediction(params, experts, tools, "knn")


def fit(asked: Asked, scores: "Floats", experts: Sequence[str], *, seed: int = 0) -> Learned:
    """Remember the prompts' vectors and scores; how many neighbours count is chosen by cross-validation."""
    import numpy as np

    options = [k for k in _NEIGHBOURS if k * 2 <= len(scores)] or [max(1, len(scores) // 2)]
    k = chosen(asked, scores, options, _for_each, by="choice" if len(experts) > 2 else "error", seed=seed)
    arrays = {"vectors": asked.vectors.astype(np.float16), "scores": scores.astype(np.float16)}
    return Learned("knn", tuple(experts), arrays, {"neighbours": k})


def predictor(learned: Learned) -> Predict:
    """Mean score of the nearest, float64 [N, E]."""
    import numpy as np

    known, scores = learned.arrays["vectors"].astype(np.float32), learned.arrays["scores"].astype(np.float64)
    k = int(learned.settings["neighbours"])
    return lambda asked: neighbours(asked.vectors, known, scores, (k,))[0]


def neighbours(
    vectors: "NDArray[np.float32]", known: "NDArray[np.float32]", scores: "Floats", counts: Sequence[int]
) -> "list[Floats]":
    """For each count the mean scores [N, E] of so many nearest; vectors are of unit length."""
    import numpy as np

    most = max(counts)
    found: list[list[Floats]] = [[] for _ in counts]
    for at in range(0, len(vectors), 512):
        like = vectors[at : at + 512] @ known.T  # [B, M]
        near = np.argpartition(-like, most - 1, axis=1)[:, :most] if most < len(known) else np.argsort(-like, axis=1)
        near = np.take_along_axis(near, np.argsort(-np.take_along_axis(like, near, 1), axis=1, kind="stable"), 1)
        for means, count in zip(found, counts, strict=True):
            means.append(scores[near[:, :count]].mean(axis=1))
    return [np.concatenate(means) if means else np.empty((0, scores.shape[1])) for means in found]


def _for_each(asked: Asked, scores: "Floats", held: Asked, counts: Sequence[int]) -> "list[Floats]":
    return neighbours(held.vectors, asked.vectors, scores, [min(count, len(scores)) for count in counts])
