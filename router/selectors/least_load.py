"""By load: the expert with the fewest calls in flight and waiting. Knows nothing of the request."""

from collections.abc import Sequence

from experts.spec import Frozen
from router.card import Card
from router.selectors import Ask, Score, Select, Selection
from router.tools import Tools

COST = "cheap"
NEEDS: frozenset[str] = frozenset()
EXAMPLE: dict[str, object] = {}


class Params(Frozen):
    """It has no parameters: of equals the first of `use` is taken."""


def build(params: Params, experts: Sequence[Card], tools: Tools) -> Select:
    """Scores are calls below none, so 0 is idle. An expert of unknown load counts as idle."""

    def select(ask: Ask) -> Selection:
        calls = [(card.name, tools.load(card.name)) for card in ask.candidates]
        scores = [
            Score(name, -float(n or 0), "its load is not known" if n is None else f"calls on it now: {n}")
            for name, n in calls
        ]
        return Selection(sorted(scores, key=lambda score: -score.score))

    return select
