"""The order of a cascade: from cheap to dear. For strategies that stop at the first good answer.

Knows nothing of the request, nor of when an answer is good enough: that is the strategy's.
"""

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
    """What a call is taken to hold."""

    answer_tokens: int = Field(
        300, ge=1, description="tokens of an answer that a price is worked out for, where the request sets no limit"
    )


def build(params: Params, experts: Sequence[Card], tools: Tools) -> Select:
    """Scores are US dollars of this call below none. Equals, such as experts without a price, keep the decision's
    order, so list free ones from small to large."""

    def select(ask: Ask) -> Selection:
        prompt = ask.prompt.tokens
        answer = min(ask.prompt.max_tokens or params.answer_tokens, params.answer_tokens)
        scores = []
        for card in ask.candidates:
            usd = card.price.cost_usd(prompt, answer)
            scores.append(Score(card.name, -usd, f"about {usd:.3g} USD a call" if usd else "without a price"))
        return Selection(sorted(scores, key=lambda score: -score.score))

    return select
