"""By words: ridge regression of every expert's score on the words and word pairs of the prompt (TF-IDF, hashed).

Reads what a sentence embedding blurs: rare names, a field's terms, the wording of one examination. Needs no embedding.
"""

import math
import re
import zlib
from collections import Counter
from collections.abc import Sequence
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from router.card import Card
from router.fitting import chosen
from router.learned import Learned, Predict
from router.outcomes import Asked
from router.predicted import NEEDS, LearnedParams, by_prediction
from router.selectors import SelectLater
from router.tools import Tools
from router.traits import READ_CHARACTERS

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

COST = "neural"
NEEDS = NEEDS
EXAMPLE: dict[str, object] = {}

BUCKETS = 1 << 17
"""Columns that words are hashed to."""
_RIDGES = (3.0, 10.0, 30.0)
_WORD = re.compile(r"\w+")


class Params(LearnedParams):
    """A fitted model, and the text it judges."""


def build(params: Params, experts: Sequence[Card], tools: Tools) -> SelectLater:
    """Scores are predicted scores. Raises `ConfigError` where the model does not fit."""
    return by_prediction(params, experts, tools, "words", predictor)


def fit(asked: Asked, scores: "Floats", experts: Sequence[str], *, seed: int = 0) -> Learned:
    """The ridge is chosen by cross-validation."""
    ridge = chosen(asked, scores, _RIDGES, _for_each, k=3, seed=seed)
    rarity, (weights,), bias = _fitted(asked, scores, [ridge])
    arrays: dict[str, Any] = {"rarity": rarity.astype("float16"), "weights": weights.astype("float16"), "bias": bias}
    return Learned("words", tuple(experts), arrays, {"ridge": ridge})


def predictor(learned: Learned) -> Predict:
    """Predicted scores, float64 [N, E]."""
    arrays = learned.arrays
    rarity, weights = arrays["rarity"].astype("float32"), arrays["weights"].astype("float32")
    return lambda asked: _predict(asked.prompts, rarity, weights, arrays["bias"])


def counted(text: str) -> dict[int, float]:
    """Buckets of a text's words and word pairs, with 1 + log(how often)."""
    if len(text) > READ_CHARACTERS:
        text = text[: READ_CHARACTERS * 2 // 3] + text[-READ_CHARACTERS // 3 :]
    words = _WORD.findall(text.lower())
    counts = Counter([*words, *(f"{a} {b}" for a, b in pairwise(words))])
    made: dict[int, float] = {}
    for term, count in counts.items():
        bucket = zlib.crc32(term.encode("utf-8", "replace")) % BUCKETS
        made[bucket] = made.get(bucket, 0.0) + 1 + math.log(count)
    return made


def _predict(
    prompts: Sequence[str], rarity: "NDArray[np.float32]", weights: "NDArray[np.float32]", bias: "Floats"
) -> "Floats":
    import numpy as np

    made = np.tile(bias, (len(prompts), 1))
    for row, text in enumerate(prompts):
        found = counted(text)
        if not found:
            continue
        at = np.fromiter(found, np.intp, len(found))
        x = np.fromiter(found.values(), np.float32, len(found)) * rarity[at]
        length = float(np.sqrt(x @ x))
        if length:
            made[row] += (x / length) @ weights[at]
    return made


def _fitted(
    asked: Asked, scores: "Floats", ridges: Sequence[float]
) -> "tuple[NDArray[np.float32], list[Floats], Floats]":
    """Inverse document frequency [B], weights [B, E] for each ridge, bias [E]. Words of one prompt only count nothing:
    they say nothing of others."""
    import numpy as np
    from scipy.sparse import csr_matrix
    from sklearn.linear_model import Ridge

    rows = [counted(text) for text in asked.prompts]
    indptr = np.cumsum([0, *map(len, rows)])
    columns = np.fromiter((bucket for row in rows for bucket in row), np.int32, indptr[-1])
    values = np.fromiter((value for row in rows for value in row.values()), np.float64, indptr[-1])
    seen = np.bincount(columns, minlength=BUCKETS)
    rarity = np.where(seen > 1, np.log((1 + len(rows)) / (1 + seen)) + 1, 0.0).astype(np.float32)
    values *= rarity[columns]
    lengths = np.sqrt(np.bincount(np.repeat(np.arange(len(rows)), np.diff(indptr)), values**2, len(rows)))
    values /= np.repeat(np.maximum(lengths, 1e-12), np.diff(indptr))
    x = csr_matrix((values, columns, indptr), (len(rows), BUCKETS))
    bias = scores.mean(axis=0)
    made = [
        Ridge(ridge, solver="sparse_cg", fit_intercept=False, tol=1e-3).fit(x, scores - bias).coef_ for ridge in ridges
    ]
    return rarity, [np.atleast_2d(coefficients).T for coefficients in made], bias


def _for_each(asked: Asked, scores: "Floats", held: Asked, ridges: Sequence[float]) -> "list[Floats]":
    rarity, weights, bias = _fitted(asked, scores, ridges)
    return [_predict(held.prompts, rarity, each.astype("float32"), bias) for each in weights]
