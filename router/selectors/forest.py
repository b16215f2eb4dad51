"""A forest of randomised trees over the embedding's main axes and the text's traits (extra-trees, Geurts et al. 2006).

Trees find the kinds of tasks by themselves and differ inside each only where the record bears it. They are split on
what tells experts apart, not on how hard a prompt is: a leaf holds the mean scores of its prompts.
"""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from pydantic import Field

from router.card import Card
from router.fitting import Columns, centred, chosen
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

TREES = 200
LEAVES = (10, 25, 60)
"""Fewest prompts in a leaf, to choose from: the more chance there is in outcomes, the larger a leaf must be."""
AXES = 60
TRIED = 0.3
"""Share of the columns tried at a split. Like the trees and the axes, by cross-validation on llmrouter's training part."""
_TRIAL_TREES = 30


class Params(LearnedParams):
    """A fitted model, and the text it judges."""

    model: str = Field("routing.safetensors", description="file written by `madrigal router fit --selector forest`")


def build(params: Params, experts: Sequence[Card], tools: Tools) -> SelectLater:
    """Scores are predicted scores, 0..1. Raises `ConfigError` where the model does not fit."""
    return by_prediction(params, experts, tools, "forest")


def fit(asked: Asked, scores: "Floats", experts: Sequence[str], *, seed: int = 0) -> Learned:
    """Grow the trees; half a minute for ten thousand prompts. The size of leaves is chosen by cross-validation."""
    import numpy as np

    def for_each(asked: Asked, scores: "Floats", held: Asked, leaves: Sequence[int]) -> "list[Floats]":
        columns = Columns.fit(asked, AXES)
        x, y = columns(asked), columns(held)
        guesses = (_grown(x, scores, _TRIAL_TREES, leaf, seed).predict(y) for leaf in leaves)
        return [guess.reshape(len(y), -1) for guess in guesses]

    leaves = [leaf for leaf in LEAVES if leaf * 4 <= len(scores)] or [max(1, len(scores) // 4)]
    leaf = chosen(asked, scores, leaves, for_each, k=3, seed=seed)
    columns = Columns.fit(asked, AXES)
    x = columns(asked)
    forest = _grown(x, scores, TREES, leaf, seed)
    left, right, feature, threshold, values, roots = [], [], [], [], [], []
    base = 0
    for grown in forest.estimators_:
        tree = grown.tree_
        inner = tree.children_left >= 0
        here = np.arange(base, base + tree.node_count)
        left.append(np.where(inner, tree.children_left + base, here))
        right.append(np.where(inner, tree.children_right + base, here))
        feature.append(np.where(inner, tree.feature, 0))
        threshold.append(np.where(inner, tree.threshold, np.inf))
        values.append(_means(grown.apply(x), scores, tree.node_count))
        roots.append(base)
        base += tree.node_count
    arrays: dict[str, Any] = {
        **columns.arrays(),
        "left": np.concatenate(left).astype(np.int32),
        "right": np.concatenate(right).astype(np.int32),
        "feature": np.concatenate(feature).astype(np.int16),
        "threshold": np.concatenate(threshold).astype(np.float32),
        "values": np.concatenate(values).astype(np.float16),
        "roots": np.array(roots, np.int32),
    }
    return Learned("forest", tuple(experts), arrays, {"trees": TREES, "leaf": leaf})


def _grown(x: "NDArray[np.float32]", scores: "Floats", trees: int, leaf: int, seed: int) -> Any:
    from sklearn.ensemble import ExtraTreesRegressor

    forest = ExtraTreesRegressor(trees, min_samples_leaf=leaf, max_features=TRIED, random_state=seed, n_jobs=-1)
    return forest.fit(x, centred(scores))


def predictor(learned: Learned) -> Predict:
    """The mean over all trees of the scores in the leaf that a prompt falls into, float64 [N, E]."""
    columns, arrays = Columns.of(learned.arrays), learned.arrays
    return lambda asked: walk(arrays, columns(asked))


def walk(arrays: "Mapping[str, NDArray[Any]]", x: "NDArray[np.float32]") -> "Floats":
    """All prompts down all trees at once, one level a step. A leaf leads to itself."""
    import numpy as np

    left, right, feature, threshold = (arrays[name] for name in ("left", "right", "feature", "threshold"))
    made = np.empty((len(x), arrays["values"].shape[1]))
    for at in range(0, len(x), 256):
        part = x[at : at + 256]
        rows = np.arange(len(part))[:, None]
        node = np.broadcast_to(arrays["roots"], (len(part), len(arrays["roots"])))  # [B, T]
        while True:
            below = np.where(part[rows, feature[node]] <= threshold[node], left[node], right[node])
            if np.array_equal(below, node):
                break
            node = below
        made[at : at + 256] = arrays["values"][node].astype(np.float32).mean(axis=1)
    return made


def _means(leaves: "NDArray[np.intp]", scores: "Floats", nodes: int) -> "Floats":
    """Mean scores of the prompts in each node that is a leaf, [nodes, E]."""
    import numpy as np

    counts = np.bincount(leaves, minlength=nodes)
    sums = np.stack([np.bincount(leaves, weights=column, minlength=nodes) for column in scores.T], axis=1)
    made: Floats = sums / np.maximum(counts, 1)[:, None]
    return made
