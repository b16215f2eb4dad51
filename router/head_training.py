"""Trains linear heads and measures them: labelled texts and their vectors in, a `Head` and a `Report` out.

Deterministic: which part a row belongs to follows from its text (or its group), and the fit is convex. Knows nothing of
files, embedders or the command line.
"""

import hashlib
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

from experts.errors import InputError
from router.embed import DIMENSIONS
from router.head import Head, hashed

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

Part: TypeAlias = Literal["train", "calibrate", "test"]

_BINS = 15
_DENSE = 2**28
"""Numbers, 1 GiB of them, up to which vectors and words are fitted as one dense matrix: several times faster."""


def part_of(key: str) -> Part:
    """Of ten rows eight are trained on, one calibrates, one tests: told by a hash of the text, or of the row's group, so
    that neither a text nor a group is ever in two parts, in this file or the next."""
    place = hashlib.blake2b(key.strip().lower().encode("utf-8", "replace"), digest_size=8).digest()[0]
    return "test" if place < 26 else "calibrate" if place < 51 else "train"


def fit(
    name: str,
    texts: Sequence[str],
    labels: Sequence[str],
    vectors: "NDArray[np.float32]",
    *,
    buckets: int = 0,
    lexical: float = 1.0,
    strength: float = 10.0,
    balanced: bool = True,
    weights: Sequence[float] | None = None,
) -> Head:
    """A multinomial logistic regression over `vectors` [N, D] and, with `buckets`, hashed words; not calibrated yet.

    `lexical` is the weight of the words against the vector, `strength` the inverse of the L2 penalty; `balanced` makes
    rare labels count as much as common ones; a row of weight 2 counts as two rows. Blocks for seconds to minutes. Raises
    `InputError` for fewer than two labels.
    """
    import numpy as np
    from scipy.sparse import csr_matrix, hstack
    from sklearn.linear_model import LogisticRegression

    known = tuple(sorted(set(labels)))
    if len(known) < 2:
        raise InputError(f"a head needs texts of at least two labels; given: {', '.join(known) or 'none'}")
    features: Any = vectors.astype(np.float64)
    if buckets:
        words = _sparse(texts, buckets) * lexical
        if len(texts) * (DIMENSIONS + buckets) <= _DENSE:
            features = np.hstack([vectors, words.toarray().astype(np.float32)], dtype=np.float32)
        else:
            features = hstack([csr_matrix(features), words], format="csr")
    truth = np.array([known.index(label) for label in labels])
    counts = np.ones(len(truth)) if weights is None else np.array(weights, float)
    if balanced:
        counts *= (counts.sum() / len(known) / np.bincount(truth, counts))[truth]
    model = LogisticRegression(C=strength, max_iter=2000, tol=1e-5, random_state=0)
    model.fit(features, truth, sample_weight=counts)
    matrix, bias = model.coef_, model.intercept_
    if len(known) == 2:  # scikit-learn keeps one row for two labels
        matrix, bias = np.stack([-matrix[0] / 2, matrix[0] / 2]), np.array([-bias[0] / 2, bias[0] / 2])
    matrix = matrix.astype(np.float32)
    matrix[:, DIMENSIONS:] *= lexical
    return Head(name, known, matrix, bias.astype(np.float32), buckets)


def _sparse(texts: Sequence[str], buckets: int) -> Any:
    from scipy.sparse import csr_matrix

    places, values, ends = [], [], [0]
    for text in texts:
        row, weights = hashed(text, buckets)
        places += row
        values += weights
        ends.append(len(places))
    return csr_matrix((values, places, ends), shape=(len(texts), buckets))


def all_probabilities(head: Head, texts: Sequence[str], vectors: "NDArray[np.float32]") -> "NDArray[np.float32]":
    """`Head.probabilities` of each text, its vector in the row of the same number: [N, L]."""
    import numpy as np

    rows = [head.probabilities(vectors[at : at + 1], text)[0] for at, text in enumerate(texts)]
    return np.stack(rows) if rows else np.empty((0, len(head.labels)), np.float32)


def calibrated(probabilities: "NDArray[np.float32]", labels: Sequence[int]) -> float:
    """The temperature that makes these probabilities likeliest for the true labels (Guo et al. 2017); 1 for none.

    Searched between 1/8 and 8. The probabilities are those of a head of temperature 1.
    """
    import numpy as np

    if not len(labels):
        return 1.0
    logits = np.log(np.maximum(probabilities.astype(np.float64), 1e-12))  # [N, L], up to a constant per row
    rows = np.arange(len(labels))

    def loss(exponent: float) -> float:
        scaled = logits / 2**exponent
        return float(np.mean(np.logaddexp.reduce(scaled, axis=1) - scaled[rows, list(labels)]))

    low, high, golden = -3.0, 3.0, (math.sqrt(5) - 1) / 2
    while high - low > 1e-4:
        a, b = high - golden * (high - low), low + golden * (high - low)
        low, high = (low, b) if loss(a) < loss(b) else (a, high)
    return float(2 ** ((low + high) / 2))


@dataclass(frozen=True, slots=True)
class Report:
    """How a head did on rows. `confusion[true][said]` counts rows; `ece` is the expected calibration error, 0..1.

    `auc` is of each label against the others: how often a row of it has a higher probability of it than another row;
    None where there are no rows of both.
    """

    rows: int
    accuracy: float
    low: float
    high: float
    ece: float
    labels: tuple[str, ...]
    confusion: tuple[tuple[int, ...], ...]
    auc: tuple[float | None, ...]

    def recall(self, label: int) -> tuple[int, int]:
        """(found, all) rows of a label."""
        return self.confusion[label][label], sum(self.confusion[label])

    def false_positives(self, label: int) -> tuple[int, int]:
        """(wrongly called so, all) rows of other labels."""
        others = [row for true, row in enumerate(self.confusion) if true != label]
        return sum(row[label] for row in others), sum(map(sum, others))


def report(known: Sequence[str], probabilities: "NDArray[np.float32]", labels: Sequence[int]) -> Report:
    """Accuracy (with its 95% interval), calibration and confusion of probabilities [N, L]; N may be 0."""
    import numpy as np

    truth = np.array(labels, int)
    said = probabilities.argmax(axis=1) if len(truth) else truth
    confusion = np.zeros((len(known), len(known)), int)
    np.add.at(confusion, (truth, said), 1)
    right, number = int((said == truth).sum()), len(truth)
    low, high = interval(right, number)
    return Report(
        number,
        right / number if number else 0.0,
        low,
        high,
        _ece(probabilities, said == truth) if number else 0.0,
        tuple(known),
        tuple(tuple(int(count) for count in row) for row in confusion),
        tuple(_auc(probabilities[:, label], truth == label) for label in range(len(known))),
    )


def _auc(scores: "NDArray[np.float32]", true: "NDArray[np.bool_]") -> float | None:
    """The area under the ROC curve, ties counted half (Hanley and McNeil 1982); None without both kinds of rows."""
    from scipy.stats import rankdata

    hits, others = int(true.sum()), int((~true).sum())
    if not hits or not others:
        return None
    return float((rankdata(scores)[true].sum() - hits * (hits + 1) / 2) / (hits * others))


def _ece(probabilities: "NDArray[np.float32]", right: "NDArray[np.bool_]") -> float:
    """Expected calibration error over 15 bins of equal width (Naeini et al. 2015)."""
    import numpy as np

    sure = probabilities.max(axis=1)
    bins = np.minimum((sure * _BINS).astype(int), _BINS - 1)
    gaps = (
        abs(float(sure[at].mean()) - float(right[at].mean())) * at.mean()
        for at in (bins == one for one in range(_BINS))
        if at.any()
    )
    return float(sum(gaps))


def interval(hits: int, number: int) -> tuple[float, float]:
    """Wilson's 95% interval of a share (Wilson 1927); (0, 1) for nothing counted."""
    if not number:
        return 0.0, 1.0
    z, share = 1.959964, hits / number
    middle = share + z * z / (2 * number)
    spread = z * math.sqrt(share * (1 - share) / number + z * z / (4 * number * number))
    scale = 1 + z * z / number
    return max(0.0, (middle - spread) / scale), min(1.0, (middle + spread) / scale)
