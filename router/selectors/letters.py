"""By runs of letters: ridge regression of every expert's score on two to five characters within words (TF-IDF, hashed).

Reads what words are too rare to tell: stems, endings, notation, numbers, formulas, the typing of one source. Needs no
embedding.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from router import terms
from router.card import Card
from router.learned import Learned, Predict
from router.outcomes import Asked
from router.predicted import NEEDS, LearnedParams, by_prediction
from router.selectors import SelectLater
from router.terms import BUCKETS
from router.tools import Tools
from router.traits import read

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from router.terms import Row

    Floats = NDArray[np.float64]

COST = "neural"
NEEDS = NEEDS
EXAMPLE: dict[str, object] = {}

_LENGTHS = (2, 3, 4, 5)
_PRIME = 0x9E3779B97F4A7C15
"""Any odd number that spreads bits well: 2⁶⁴ divided by the golden ratio."""


class Params(LearnedParams):
    """A fitted model, and the text it judges."""


def build(params: Params, experts: Sequence[Card], tools: Tools) -> SelectLater:
    """Scores are predicted scores. Raises `ConfigError` where the model does not fit."""
    return by_prediction(params, experts, tools, "letters")


def fit(asked: Asked, scores: "Floats", experts: Sequence[str], *, seed: int = 0) -> Learned:
    """The ridge is chosen by cross-validation."""
    return terms.learned("letters", asked, counted, scores, experts, seed)


def predictor(learned: Learned) -> Predict:
    """Predicted scores, float64 [N, E]."""
    return terms.predictor(learned, counted)


def counted(text: str) -> "Row":
    """Buckets of a text's runs of letters, with 1 + log(how often). A blank stands only at a run's ends: it marks where
    a word begins or ends."""
    import numpy as np

    plain = f" {' '.join(read(text).lower().split())} "
    letters = np.frombuffer(plain.encode("utf-32-le", "replace"), np.uint32).astype(np.uint64)  # [L]
    inner = np.cumsum(letters == ord(" "))  # blanks up to here
    found = []
    for n in _LENGTHS:
        runs = len(letters) - n + 1
        if runs <= 0:
            break
        hashed = np.full(runs, n, np.uint64)
        for i in range(n):
            hashed = (hashed ^ letters[i : i + runs]) * _PRIME
            hashed ^= hashed >> np.uint64(29)
        found.append(hashed[inner[n - 2 : n - 2 + runs] == inner[:runs]])
    buckets, counts = np.unique(np.concatenate(found) % np.uint64(BUCKETS), return_counts=True)
    return buckets.astype(np.int64), (1 + np.log(counts)).astype(np.float32)
