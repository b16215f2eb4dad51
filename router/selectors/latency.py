"""By speed: the expert whose recent calls gave their first token soonest. Knows nothing of the request."""

from collections.abc import Sequence

from pydantic import Field

from experts.spec import Frozen
from router.card import Card
from router.selectors import Ask, Score, Select, Selection
from router.tools import Tools

COST = "cheap"
NEEDS: frozenset[str] = frozenset()
EXAMPLE: dict[str, object] = {}


class Params(Frozen):
    """How close two experts must be to count as equally fast, and how experts not called lately are tried."""

    tolerance: float = Field(
        0.1, ge=0, description="experts at most this much slower than the fastest (0.1: 10%) count as equals"
    )
    explore: float = Field(
        0.05, ge=0, le=1, description="share of requests that go to an expert not called lately, if there is one"
    )


def build(params: Params, experts: Sequence[Card], tools: Tools) -> Select:
    """Scores are seconds below none. Equals keep the decision's order. Those not called lately come last, but for the
    requests that explore; the propensity says which those were."""

    def select(ask: Ask) -> Selection:
        seconds = {card.name: tools.latency(card.name) for card in ask.candidates}
        known = {name: s for name, s in seconds.items() if s is not None}
        unknown = [name for name in seconds if name not in known]
        fastest = min(known.values(), default=0.0)

        def place(name: str) -> float:
            return fastest if known[name] <= fastest * (1 + params.tolerance) else known[name]

        ranked = [
            Score(name, -known[name], f"{1e3 * known[name]:.0f} ms to the first token")
            for name in sorted(known, key=place)
        ]
        new = [Score(name, -max(known.values(), default=0.0), "not called lately") for name in unknown]
        if not (ranked and new and params.explore):
            return Selection([*ranked, *new])
        if ask.random() < params.explore:
            first = new[int(ask.random() * len(new))]
            rest = [score for score in new if score is not first]
            tried = Score(first.expert, first.score, "not called lately: tried")
            return Selection([tried, *ranked, *rest], params.explore / len(new))
        return Selection([*ranked, *new], 1 - params.explore)

    return select
