"""By words: ridge regression of every expert's score on the words and word pairs of the prompt (TF-IDF, hashed).

Reads what a sentence embedding blurs: rare names, a field's terms, the wording of one examination. Needs no embedding.
"""

import math
import re
import zlib
from collections import Counter
from collections.abc import Sequence
from itertools import pairwise
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

_WORD = re.compile(r"\w+")


class Params(LearnedParams):
    """A fitted model, and the text it judges."""


def build(params: Params, experts: Sequence[Card], tools: Tools) -> SelectLater:
    """Scores are predicted scores. Raises `ConfigError` where the model does not fit."""
    return by_prediction(params, experts, tools, "words")


def fit(asked: Asked, scores: "Floats", experts: Sequence[str], *, seed: int = 0) -> Learned:
    """The ridge is chosen by cross-validation."""
    return terms.learned("words", asked, counted, scores, experts, seed)


def predictor(learned: Learned) -> Predict:
    """Predicted scores, float64 [N, E]."""
    return terms.predictor(learned, counted)


def counted(text: str) -> "Row":
    """Buckets of a text's words and word pairs, with 1 + log(how often)."""
    import numpy as np

    words = _WORD.findall(read(text).lower())
    counts = Counter([*words, *(f"{a} {b}" for a, b in pairwise(words))])
    made: dict[int, float] = {}
    for term, count in counts.items():
        bucket = zlib.crc32(term.encode("utf-8", "replace")) % BUCKETS
        made[bucket] = made.get(bucket, 0.0) + 1 + math.log(count)
    return np.fromiter(made, np.int64, len(made)), np.fromiter(made.values(), np.float32, len(made))
