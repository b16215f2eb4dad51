"""Skill profiles: how good each expert is at what a prompt asks for, shrunk by how much evidence there is.

What differs from Symbolic-MoE (`router/symbolic_moe.py`): a prompt belongs to every skill a little, an expert's
record in a skill counts only as far as the data show that experts differ by skill at all, and recruits are distinct.
Knows nothing of where outcomes come from, of answers (`router/ballot.py`) or of calling anyone.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from router.skill_annotation import counted, nearest, shares

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

PRIOR_ITEMS = 20.0
"""An expert's overall accuracy counts as if so many further items had gone as experts do on average."""
CAUTION = 0.5
"""Part of the estimated difference by skill that is acted on: the largest of many estimates is too high (chosen by
cross-validation on 349 profile items, over the ten small models and twelve random pools)."""
SIGNALS = (0.0, 0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0)
"""Ratios of signal to noise that are weighed by their marginal likelihood; 0 says that skills do not matter."""
LEAST, MOST = 0.02, 0.98


@dataclass(frozen=True, slots=True, eq=False)
class Skills:
    """A fitted profile of E experts over S skills, D numbers a vector.

    `vectors` float32 [S, D]; `overall` float64 [E] accuracy; `level` float64 [S] and `tilt` float64 [S, E] are weights
    over a prompt's skills: of how easy it is for all, and of how experts differ; `centre` float64 [S] is the mean
    prompt. `right` float64 [S, E] and `items` float64 [S] are the evidence: how many items whose nearest two to five skills
    hold this one were solved, and seen.
    """

    experts: tuple[str, ...]
    names: tuple[str, ...]
    vectors: "NDArray[np.float32]"
    overall: "Floats"
    centre: "Floats"
    level: "Floats"
    tilt: "Floats"
    right: "Floats"
    items: "Floats"

    def predict(self, vectors: "NDArray[np.float32]", *, caution: float = CAUTION) -> "Floats":
        """Probability that each expert is right, float64 [N, E] in 0.02..0.98, for prompts float32 [N, D]."""
        import numpy as np

        at = features(shares(vectors, self.vectors)) - self.centre  # [N, S]
        guess = self.overall + (at @ self.level)[:, None] + caution * (at @ self.tilt)
        return np.clip(guess, LEAST, MOST)

    def table(self) -> "Floats":
        """Accuracy by skill and expert, shrunk toward the expert's overall accuracy: float64 [S, E] in 0..1.

        The mean of a Beta posterior; the prior's strength is the one most likely to have made these counts (empirical
        Bayes over all skills of all experts).
        """
        prior = strength(self.right, self.items, self.overall)
        shrunk: Floats = (self.right + prior * self.overall) / (self.items[:, None] + prior)
        return shrunk

    def reason(self, vector: "NDArray[np.float32]", expert: int, most: int = 2, table: "Floats | None" = None) -> str:
        """Why this expert got its score on a prompt float32 [D]: "algebra 0.71 over 38 items, geometry 0.66 over 21"."""
        import numpy as np

        table = self.table() if table is None else table
        near = np.argsort(-(self.vectors @ vector), kind="stable")[:most]
        told = [f"{self.names[s]} {table[s, expert]:.2f} over {self.items[s]:.0f} items" for s in near]
        return ", ".join([*told, f"overall {self.overall[expert]:.2f}"])


def fit(
    vectors: "NDArray[np.float32]",
    scores: "Floats",
    experts: Sequence[str],
    names: Sequence[str],
    skills: "NDArray[np.float32]",
) -> Skills:
    """Fit profiles on items: vectors float32 [N, D], scores float64 [N, E] in 0..1; skills float32 [S, D] with names.

    Scores are split into how easy an item was for all, and how experts differed on it. Each is regressed on the item's
    skills with the ridge that the data call for: several ratios of signal to noise, weighed by marginal likelihood,
    separately along the main directions in which experts differ. Where skills tell nothing, nothing is predicted by them.
    """
    import numpy as np

    share = shares(vectors, skills)  # [N, S]
    at = features(share)
    centre = at.mean(axis=0)
    at = at - centre
    overall = (scores.sum(axis=0) + PRIOR_ITEMS * scores.mean()) / (len(scores) + PRIOR_ITEMS)  # [E]
    rest = scores - scores.mean(axis=0)
    easy = rest.mean(axis=1)  # [N]
    differ = rest - easy[:, None]  # [N, E]
    _, turn = np.linalg.eigh(differ.T @ differ)
    values, rows = np.linalg.eigh(at @ at.T)
    values = np.maximum(values, 0)
    level = at.T @ _dual(easy, values, rows)
    tilt = sum(np.outer(at.T @ _dual(differ @ axis, values, rows), axis) for axis in turn.T)
    counts = counted(nearest(vectors, skills, names), {name: i for i, name in enumerate(names)})  # [N, S]
    return Skills(
        tuple(experts),
        tuple(names),
        skills,
        overall,
        centre,
        level,
        np.asarray(tilt),
        counts.T @ scores,
        counts.sum(axis=0),
    )


def features(share: "Floats") -> "Floats":
    """Shares as coordinates, whose products say how alike two prompts' skills are (Bhattacharyya's coefficient)."""
    import numpy as np

    root: Floats = np.sqrt(share)
    return root


def strength(right: "Floats", items: "Floats", overall: "Floats") -> float:
    """The prior's weight in items, of a grid from 2 to 512: the most likely one under a Beta-binomial of the counts."""
    from math import lgamma

    import numpy as np

    def log_beta(a: "Floats", b: "Floats") -> float:
        pairs = zip(a.ravel().tolist(), b.ravel().tolist(), strict=True)
        return sum(lgamma(x) + lgamma(y) - lgamma(x + y) for x, y in pairs)

    seen = items >= 1
    right, wrong = right[seen], items[seen, None] - right[seen]
    mean = np.broadcast_to(np.clip(overall, LEAST, MOST), right.shape)

    def likelihood(prior: float) -> float:
        a, b = prior * mean, prior * (1 - mean)
        return log_beta(right + a, np.maximum(wrong, 0) + b) - log_beta(a, b)

    return max((float(2**power) for power in range(1, 10)), key=likelihood)


def _dual(target: "Floats", values: "Floats", rows: "Floats") -> "Floats":
    """Dual weights [N] of a ridge regression on a kernel with these eigenvalues and eigenvectors, averaged over
    `SIGNALS` by marginal likelihood."""
    import numpy as np

    turned = rows.T @ target  # [N]
    n = len(target)
    if not turned.any():
        return np.zeros(n)
    fits, likely = [], []
    for ratio in SIGNALS:
        variance = 1 + ratio * values
        fits.append(ratio * turned / variance)
        likely.append(-0.5 * (n * np.log(np.mean(turned**2 / variance)) + np.log(variance).sum()))
    weight = np.exp(np.array(likely) - max(likely))
    made: Floats = rows @ (np.array(fits).T @ (weight / weight.sum()))
    return made
