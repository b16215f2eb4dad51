"""The order in which the decision lists its experts. Knows nothing of them."""

from collections.abc import Sequence

from experts.spec import Frozen
from router.card import Card
from router.selectors import Ask, Score, Select, Selection
from router.tools import Tools

COST = "cheap"
NEEDS: frozenset[str] = frozenset()
EXAMPLE: dict[str, object] = {}


class Params(Frozen):
    """It has no parameters: `use` is the ranking."""


def build(params: Params, experts: Sequence[Card], tools: Tools) -> Select:
    """The n-th of `use` scores 1/n, whoever else was dropped."""
    scores = {card.name: Score(card.name, 1 / place, f"number {place} of use") for place, card in enumerate(experts, 1)}

    def select(ask: Ask) -> Selection:
        return Selection([scores[card.name] for card in ask.candidates])

    return select
