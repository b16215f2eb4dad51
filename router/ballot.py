"""The vote of a few recruits: whose answer to take, and how likely it is to be right.

Weighs each voter by its log-odds of being right on this prompt, knows which experts err alike and which answers
are given too readily (many favour the first option), and has learned all of it from answers to profile items. Reads
only the recruits' answers. Knows nothing of skills or of calling anyone.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

LABELS = 26
"""Up to so many different answers in all of a profile are a closed set of labels, as the letters of a test."""
_COPIES = 10
"""Random line-ups of recruits that each profile item is also learned from, so that every pair is met."""
_TRUST = 0.7
_RIDGE_COMMON, _RIDGE_AGREE, _RIDGE_EXPERT, _RIDGE_PAIR = 20.0, 5.0, 5.0, 5.0
"""Start of the learned trust in log-odds, and what it costs to leave it: chosen by cross-validation on the profile."""


@dataclass(frozen=True, slots=True, eq=False)
class Verdict:
    """The answer to take (None where nobody answered), the probability that it is right, and each answer's."""

    answer: str | None
    confidence: float
    shares: dict[str, float]


@dataclass(frozen=True, slots=True, eq=False)
class Ballot:
    """How answers of E experts are weighed. `weights` float64 [4 + E + E(E-1)/2]: trust in log-odds and in the rarity
    of a label, agreement as such, "none of these", each expert, each pair. `habits` float64 [E, L]: how an expert's
    wrong answers fall on the `labels`; L is 0 for answers in free words."""

    weights: "Floats"
    habits: "Floats"
    labels: tuple[str, ...]

    @classmethod
    def plain(cls, experts: int) -> "Ballot":
        """Weighs by log-odds alone: where no answers to profile items are known."""
        import numpy as np

        pairs = experts * (experts - 1) // 2
        weights = np.zeros(4 + experts + pairs)
        weights[:2] = _TRUST
        return cls(weights, np.zeros(0), ())

    def judge(self, answers: Sequence[str | None], odds: "Floats", recruits: Sequence[int]) -> Verdict:
        """Weigh `answers[i]`, that of expert `recruits[i]` (None: it gave none). `odds` float64 [E] are the log-odds of
        being right, of all experts. Equal answers must be equal strings. Of equally likely ones the first wins."""
        import numpy as np

        given = [(expert, answer) for expert, answer in zip(recruits, answers, strict=True) if answer is not None]
        choices = tuple(dict.fromkeys(answer for _, answer in given))
        if not choices:
            return Verdict(None, 0.0, {})
        features = _features(dict(given), choices, odds, self.habits, self.labels)
        score = features @ self.weights  # [choices and none]
        likely = np.exp(score - score.max())
        likely /= likely.sum()
        at = int(likely[:-1].argmax())
        return Verdict(choices[at], float(likely[at]), dict(zip(choices, likely[:-1].tolist(), strict=True)))


def fit(
    answers: "Sequence[Sequence[str | None]]",
    right: "NDArray[Any]",
    odds: "Floats",
    *,
    recruits: int = 5,
    seed: int = 0,
) -> Ballot:
    """Learn from profile items: what every expert answered [N][E], whether that was right bool [N, E], and the log-odds
    float64 [N, E] that were predicted *without the item itself*.

    A conditional logit over the answers given and "none of them", with ridges toward weighing by log-odds (McFadden
    1974; the correlations of Dawid and Skene's raters are in the weights of pairs). `recruits` is the usual number.
    """
    import numpy as np

    n, experts = right.shape
    labels = _labels(answers)
    habits = _habits(answers, right, labels)
    random = np.random.default_rng(seed)
    prior, ridge = _prior(experts)
    tables: list[Floats] = []
    truths: list[int] = []
    for row in range(n):
        lineups = [np.argsort(-odds[row], kind="stable")[:recruits]]
        lineups += [random.permutation(experts)[:recruits] for _ in range(_COPIES if experts > recruits else 0)]
        for lineup in lineups:
            given = {int(e): answer for e in lineup if (answer := answers[row][e]) is not None}
            choices = tuple(dict.fromkeys(given.values()))
            correct = {given[e] for e in given if right[row, e]}
            if not choices or len(correct) > 1:  # no vote, or several answers that all count as right
                continue
            tables.append(_features(given, choices, odds[row], habits, labels))
            truths.append(choices.index(correct.pop()) if correct else len(choices))
    copies = len(tables) / max(n, 1)
    return Ballot(_logit(tables, truths, prior, ridge * copies), habits, labels)


def _features(
    given: dict[int, str], choices: tuple[str, ...], odds: "Floats", habits: "Floats", labels: tuple[str, ...]
) -> "Floats":
    """What speaks for each choice, and last for none of them: float64 [C + 1, F], in the order of `Ballot.weights`."""
    import numpy as np

    experts = len(odds)
    table = np.zeros((len(choices) + 1, 4 + experts + experts * (experts - 1) // 2))
    table[-1, 3] = 1
    label = {name: i for i, name in enumerate(labels)}
    for row, choice in enumerate(choices):
        voters = sorted(expert for expert, answer in given.items() if answer == choice)
        table[row, 0] = odds[voters].sum()
        if choice in label:
            table[row, 1] = -len(voters) * np.log(habits[label[choice]])
        else:  # as rare as one of ten
            table[row, 1] = len(voters) * np.log(10)
        table[row, 2] = len(voters) * (len(voters) - 1) / 2
        table[row, [4 + expert for expert in voters]] = 1
        for low, high in combinations(voters, 2):
            table[row, 4 + experts + high * (high - 1) // 2 + low] = 1
    return table


def _prior(experts: int) -> tuple["Floats", "Floats"]:
    """Where the weights start, and their ridges."""
    import numpy as np

    pairs = experts * (experts - 1) // 2
    prior = np.concatenate([[_TRUST, _TRUST, 0.0, 0.0], np.zeros(experts + pairs)])
    common = [_RIDGE_COMMON, _RIDGE_COMMON, _RIDGE_AGREE, 0.1]
    return prior, np.concatenate([common, np.full(experts, _RIDGE_EXPERT), np.full(pairs, _RIDGE_PAIR)])


def _labels(answers: "Sequence[Sequence[str | None]]") -> tuple[str, ...]:
    """The closed set of answers, sorted; empty where they are too many to be one."""
    found = {answer for row in answers for answer in row if answer is not None}
    return tuple(sorted(found)) if len(found) <= LABELS else ()


def _habits(answers: "Sequence[Sequence[str | None]]", right: "NDArray[Any]", labels: tuple[str, ...]) -> "Floats":
    """The share of wrong answers that falls on each label, float64 [L]: of all experts together, as each one's own
    habits told nothing more in cross-validation."""
    import numpy as np

    wrong = Counter(
        answer for row, good in zip(answers, right, strict=True) for answer, ok in zip(row, good, strict=True) if not ok
    )
    counts = np.array([wrong.get(label, 0) + 1.0 for label in labels])
    return counts / counts.sum() if labels else counts


def _logit(tables: "list[Floats]", truths: list[int], prior: "Floats", ridge: "Floats") -> "Floats":
    """The conditional logit's weights, by Newton's method: convex, so the start does not matter."""
    import numpy as np

    if not tables:
        return prior
    wide = max(map(len, tables))
    x = np.zeros((len(tables), wide, len(prior)))  # [M, C, F]
    there = np.zeros((len(tables), wide), bool)
    for row, table in enumerate(tables):
        x[row, : len(table)] = table
        there[row, : len(table)] = True
    rows = np.arange(len(tables))
    won = x[rows, truths]  # [M, F]

    def likely(weights: "Floats") -> "Floats":
        score = np.where(there, x @ weights, -np.inf)
        p: Floats = np.exp(score - score.max(axis=1, keepdims=True))
        p /= p.sum(axis=1, keepdims=True)
        return p

    def loss(weights: "Floats") -> float:
        return float(
            -np.log(likely(weights)[rows, truths] + 1e-300).sum() + 0.5 * (ridge * (weights - prior) ** 2).sum()
        )

    weights = prior.copy()
    for _ in range(50):
        p = likely(weights)
        mean = np.einsum("mc,mcf->mf", p, x)
        slope = (mean - won).sum(axis=0) + ridge * (weights - prior)
        flat = (x * np.sqrt(p)[:, :, None]).reshape(-1, len(prior))
        curve = flat.T @ flat - mean.T @ mean + np.diag(ridge)
        step = np.linalg.solve(curve, slope)
        size, before = 1.0, loss(weights)
        while size > 1e-4 and loss(weights - size * step) > before:
            size /= 2
        weights = weights - size * step
        if np.abs(size * step).max() < 1e-6:
            break
    return weights
