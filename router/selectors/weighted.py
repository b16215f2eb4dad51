"""A draw with fixed shares, for trials and for spreading load. Knows nothing of the request."""

import math
from collections.abc import Mapping, Sequence

from pydantic import Field, field_validator

from experts.errors import ConfigError
from experts.spec import Frozen, Name
from router.card import Card
from router.selectors import Ask, Score, Select, Selection
from router.tools import Tools

COST = "cheap"
NEEDS: frozenset[str] = frozenset()
EXAMPLE = {"weights": {"a": 9, "b": 1}}


class Params(Frozen):
    """Weights need not sum to one; only their ratios count."""

    weights: Mapping[Name, float] = Field(
        min_length=1, description="share of first calls per expert; one that is not named is only a fallback"
    )

    @field_validator("weights")
    @classmethod
    def _usable(cls, weights: Mapping[str, float]) -> Mapping[str, float]:
        for name, weight in weights.items():
            if not (math.isfinite(weight) and weight >= 0):
                raise ValueError(f"the weight of {name} must be a finite number of at least 0, not {weight}")
        if not any(weights.values()):
            raise ValueError("at least one weight must be above 0")
        return weights


def build(params: Params, experts: Sequence[Card], tools: Tools) -> Select:
    """Draws one candidate with its share of the candidates' weights; the rest follow by weight, then in their order.

    The share drawn with is the selection's propensity, exactly. Where all candidates have weight 0, their order
    decides. Raises `ConfigError` for weights of experts that the decision does not use.
    """
    weights = {card.name: float(params.weights.get(card.name, 0.0)) for card in experts}
    if strangers := [name for name in params.weights if name not in weights]:
        raise ConfigError(
            f"weights are given for {', '.join(strangers)}, which the decision does not use",
            remedy=f"It uses {', '.join(weights)}.",
        )

    def select(ask: Ask) -> Selection:
        drawn = [weights[card.name] for card in ask.candidates]
        total = math.fsum(drawn)
        shares = [weight / total if total else 0.0 for weight in drawn]
        scores = [Score(c.name, s, f"a share of {s:.3g}") for c, s in zip(ask.candidates, shares, strict=True)]
        if not total:
            return Selection(scores)
        first = _draw(shares, ask.random())
        others = [i for i in range(len(scores)) if i != first]
        others.sort(key=lambda i: -shares[i])  # stable: equal shares keep their order
        winner = scores[first]
        chosen = Score(winner.expert, winner.score, f"drawn with {winner.why}")
        return Selection([chosen, *(scores[i] for i in others)], propensity=winner.score)

    return select


def _draw(shares: Sequence[float], point: float) -> int:
    """Index of the share that `point` in [0, 1) falls on; never one of 0, however the sum rounds."""
    last = 0
    for i, share in enumerate(shares):
        if share <= 0:
            continue
        last = i
        if point < share:
            return i
        point -= share
    return last
