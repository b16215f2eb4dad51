"""Few hidden skills shared by all experts: reduced-rank regression of scores on the embedding and the text's traits.

A prompt is turned into R numbers, each expert has R weights: the bilinear model of RouteLLM's matrix factorisation
(arXiv 2406.18665, section 4.2) with a squared loss, for which the optimum has a closed form (Izenman 1975).
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from router.card import Card
from router.fitting import Columns, chosen
from router.learned import Learned, Predict
from router.outcomes import Asked
from router.predicted import NEEDS, LearnedParams, by_prediction
from router.selectors import SelectLater
from router.selectors.linear import heads
from router.tools import Tools

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

COST = "neural"
NEEDS = NEEDS
EXAMPLE: dict[str, object] = {}

_RANKS = (1, 2, 3, 4, 6, 8)
_RIDGES = (100.0, 1000.0, 10000.0)
_AXES = 384


class Params(LearnedParams):
    """A fitted model, and the text it judges."""


def build(params: Params, experts: Sequence[Card], tools: Tools) -> SelectLater:
    """Scores are predicted scores. Raises `ConfigError` where the model does not fit."""
    return by_prediction(params, experts, tools, "matrix_factorisation")


def fit(asked: Asked, scores: "Floats", experts: Sequence[str], *, seed: int = 0) -> Learned:
    """Rank and ridge are chosen together by cross-validation."""
    ranks = [rank for rank in _RANKS if rank < len(experts)] or [1]
    settings = [(rank, ridge) for rank in ranks for ridge in _RIDGES]
    rank, ridge = chosen(asked, scores, settings, _for_each, seed=seed)
    columns = Columns.fit(asked, _AXES)
    prompts, skills, bias = _factors(columns(asked), scores, [(rank, ridge)])[0]
    arrays: dict[str, Any] = {
        **columns.arrays(),
        "prompts": prompts.astype("float32"),
        "skills": skills.astype("float32"),
        "bias": bias,
    }
    return Learned("matrix_factorisation", tuple(experts), arrays, {"rank": rank, "ridge": ridge})


def predictor(learned: Learned) -> Predict:
    """Predicted scores, float64 [N, E]."""
    columns, arrays = Columns.of(learned.arrays), learned.arrays
    prompts, skills, bias = arrays["prompts"], arrays["skills"], arrays["bias"]
    return lambda asked: (columns(asked) @ prompts @ skills + bias).astype("float64")


def _factors(
    x: "NDArray[np.float32]", scores: "Floats", settings: Sequence[tuple[int, float]]
) -> "list[tuple[Floats, Floats, Floats]]":
    """For each (rank, ridge): what turns prompts [C, R], the experts' weights [R, E], the bias [E]."""
    import numpy as np

    made = []
    for rank, ridge in settings:
        (weights,), bias = heads(x, scores, [ridge])
        _, vectors = np.linalg.eigh((x @ weights).T @ (x @ weights))
        main = vectors[:, ::-1][:, :rank]  # [E, R]
        made.append((weights @ main, main.T, bias))
    return made


def _for_each(asked: Asked, scores: "Floats", held: Asked, settings: Sequence[tuple[int, float]]) -> "list[Floats]":
    columns = Columns.fit(asked, _AXES)
    x = columns(held)
    return [x @ prompts @ skills + bias for prompts, skills, bias in _factors(columns(asked), scores, settings)]
