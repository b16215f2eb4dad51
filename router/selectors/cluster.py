"""By kinds of prompts: k-means over embedding and traits, each expert's mean score in the prompt's cluster, shrunk.

Coarse structure is where most of the gain of routing comes from (LLMRouterBench). A cluster's mean is trusted as far
as its prompts bear it out: with n of them it counts n / (n + shrinkage) against the mean over all.
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

_CLUSTERS = (4, 8, 16, 32, 64)
_SHRINKAGE = 20.0
_AXES = 60


class Params(LearnedParams):
    """A fitted model, and the text it judges."""


def build(params: Params, experts: Sequence[Card], tools: Tools) -> SelectLater:
    """Scores are shrunk mean scores, 0..1. Raises `ConfigError` where the model does not fit."""
    return by_prediction(params, experts, tools, "cluster")


def fit(asked: Asked, scores: "Floats", experts: Sequence[str], *, seed: int = 0) -> Learned:
    """Cluster the prompts; how many clusters is chosen by cross-validation."""

    def for_each(asked: Asked, scores: "Floats", held: Asked, counts: Sequence[int]) -> "list[Floats]":
        columns = Columns.fit(asked, _AXES)
        x, y = columns(asked), columns(held)
        return [_means(y, *_clusters(x, scores, count, seed)) for count in counts]

    counts = [count for count in _CLUSTERS if count * 4 <= len(scores)] or [1]
    count = chosen(asked, scores, counts, for_each, seed=seed)
    columns = Columns.fit(asked, _AXES)
    centres, means = _clusters(columns(asked), scores, count, seed)
    arrays: dict[str, Any] = {**columns.arrays(), "centres": centres, "means": means}
    return Learned("cluster", tuple(experts), arrays, {"clusters": count, "shrinkage": _SHRINKAGE})


def predictor(learned: Learned) -> Predict:
    """The means of the nearest cluster, float64 [N, E]."""
    columns, arrays = Columns.of(learned.arrays), learned.arrays
    return lambda asked: _means(columns(asked), arrays["centres"], arrays["means"])


def _clusters(x: "NDArray[np.float32]", scores: "Floats", count: int, seed: int) -> "tuple[NDArray[Any], Floats]":
    """Centres [K, C] and shrunk mean scores [K, E]."""
    import numpy as np
    from sklearn.cluster import KMeans

    found = KMeans(count, n_init=2, random_state=seed).fit(x)
    sizes = np.bincount(found.labels_, minlength=count)[:, None]
    sums = np.stack([np.bincount(found.labels_, weights=column, minlength=count) for column in scores.T], axis=1)
    means: Floats = (sums + _SHRINKAGE * scores.mean(axis=0)) / (sizes + _SHRINKAGE)
    return found.cluster_centers_.astype(np.float32), means


def _means(x: "NDArray[np.float32]", centres: "NDArray[Any]", means: "Floats") -> "Floats":
    nearest = ((centres**2).sum(axis=1) - 2 * x @ centres.T).argmin(axis=1)
    made: Floats = means[nearest]
    return made
