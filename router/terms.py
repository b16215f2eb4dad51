"""Ridge regression of scores on a text's terms (words, or runs of letters), hashed into columns and weighed by rarity.

What `words` and `letters` share. Knows nothing of what a term is: each hands in a function from a text to the columns
that it fills.
"""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, TypeAlias

from router.fitting import chosen
from router.learned import Learned, Predict
from router.outcomes import Asked

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from scipy.sparse import csr_matrix

    Floats = NDArray[np.float64]
    Row: TypeAlias = tuple[NDArray[np.int64], NDArray[np.float32]]

BUCKETS = 1 << 17
"""Columns that terms are hashed to."""
_RIDGES = (3.0, 10.0, 30.0)
_TOLERANCE = 1e-3
_STEPS = 100

Counted = Callable[[str], "Row"]
"""From a text to its columns, each once, and a value above 0 for each."""


def learned(
    selector: str, asked: Asked, counted: Counted, scores: "Floats", experts: Sequence[str], seed: int
) -> Learned:
    """The model of a selector that reads these terms; the ridge is chosen by cross-validation."""
    ridge, (rarity, weights, bias) = chosen_fit(asked, counted, scores, _RIDGES, seed)
    arrays: dict[str, Any] = {"rarity": rarity.astype("float16"), "weights": weights.astype("float16"), "bias": bias}
    return Learned(selector, tuple(experts), arrays, {"ridge": ridge})


def predictor(learned: Learned, counted: Counted) -> Predict:
    """What predicts with such a model."""
    arrays = learned.arrays
    rarity, weights = arrays["rarity"].astype("float32"), arrays["weights"].astype("float32")
    return lambda asked: predict(asked.prompts, counted, rarity, weights, arrays["bias"])


def predict(
    prompts: Sequence[str], counted: Counted, rarity: "NDArray[Any]", weights: "NDArray[Any]", bias: "Floats"
) -> "Floats":
    """Predicted scores float64 [N, E]; `rarity` [B], `weights` [B, E] and `bias` [E] as `fit` gives them."""
    import numpy as np

    made = np.tile(bias, (len(prompts), 1))
    for row, text in enumerate(prompts):
        at, counts = counted(text)
        x = counts * rarity[at]
        length = float(np.sqrt(x @ x))
        if length:
            made[row] += (x / length) @ weights[at]
    return made


def chosen_fit(
    asked: Asked, counted: Counted, scores: "Floats", ridges: Sequence[float], seed: int
) -> "tuple[float, tuple[NDArray[np.float32], Floats, Floats]]":
    """The ridge chosen by cross-validation, and the rarity, weights and bias of `fit` with it."""
    rows = {text: counted(text) for text in asked.prompts}  # each is read once, however often it is fitted on

    def for_each(asked: Asked, scores: "Floats", held: Asked, ridges: Sequence[float]) -> "list[Floats]":
        rarity, weights, bias = fit(asked.prompts, rows.__getitem__, scores, ridges)
        return [predict(held.prompts, rows.__getitem__, rarity, each, bias) for each in weights]

    ridge = chosen(asked, scores, ridges, for_each, k=3, seed=seed)
    rarity, (weights,), bias = fit(asked.prompts, rows.__getitem__, scores, [ridge])
    return ridge, (rarity, weights, bias)


def fit(
    prompts: Sequence[str], counted: Counted, scores: "Floats", ridges: Sequence[float]
) -> "tuple[NDArray[np.float32], list[Floats], Floats]":
    """Inverse document frequency [B], weights [B, E] for each ridge, bias [E]. Terms of one prompt only count nothing:
    they say nothing of others."""
    import numpy as np
    from scipy.sparse import csr_matrix

    rows = [counted(text) for text in prompts]
    ends = np.cumsum([0, *(len(at) for at, _ in rows)])
    columns = np.concatenate([at for at, _ in rows])
    seen = np.bincount(columns, minlength=BUCKETS)
    rarity = np.where(seen > 1, np.log((1 + len(rows)) / (1 + seen)) + 1, 0.0).astype(np.float32)
    values = np.concatenate([counts for _, counts in rows]) * rarity[columns]
    of = np.repeat(np.arange(len(rows)), np.diff(ends))
    values /= np.repeat(np.maximum(np.sqrt(np.bincount(of, values**2, len(rows))), 1e-12), np.diff(ends))
    x = csr_matrix((values.astype(np.float32), columns, ends), (len(rows), BUCKETS))
    bias = scores.mean(axis=0)
    weights, start = [], np.zeros_like(scores)
    for ridge in sorted(ridges, reverse=True):  # the smoothest first: each start is near its end
        start = _solved(x, scores - bias, ridge, start)
        weights.append((ridge, x.T @ start))
    return rarity, [dict(weights)[ridge] for ridge in ridges], bias


def _solved(x: "csr_matrix", target: "Floats", ridge: float, start: "Floats") -> "Floats":
    """Dual weights α [N, E] of (x xᵀ + ridge) α = target, by conjugate gradients, all columns at once."""
    import numpy as np

    turned = x.T.tocsr()

    def applied(a: "Floats") -> "Floats":
        made: Floats = x @ (turned @ a.astype(np.float32)) + ridge * a
        return made

    found = start.copy()
    rest = target - applied(found)
    way = rest.copy()
    size = np.square(rest).sum(axis=0)  # [E]
    enough = _TOLERANCE**2 * np.square(target).sum(axis=0)
    for _ in range(_STEPS):
        if (size <= enough).all():
            break
        pushed = applied(way)
        step = size / np.maximum((way * pushed).sum(axis=0), 1e-30)
        found += step * way
        rest -= step * pushed
        now = np.square(rest).sum(axis=0)
        way = rest + now / np.maximum(size, 1e-30) * way
        size = now
    return found
