"""Learning online from feedback: mostly the expert that users rate best, sometimes another. Knows nothing of the request.

Epsilon-greedy with a decaying, bounded share of exploration (Auer et al. 2002): every draw comes from the generator it
is handed, and the probability of the expert put first is told exactly, so the log can be learned from off-policy.
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
    """How much is explored, and what is believed before anybody has said anything."""

    explore: float = Field(0.1, ge=0, le=1, description="largest share of requests that go to a random expert")
    least: float = Field(0.01, ge=0, le=1, description="smallest share of requests that go to a random expert")
    decay: float = Field(
        100.0, gt=0, description="judged answers per expert after which exploration is halved; it falls as 1/n"
    )
    prior: float = Field(0.5, ge=0, le=1, description="mean score, 0..1, of an expert nobody has judged yet")
    strength: float = Field(2.0, gt=0, description="how many judged answers the prior counts for")


def build(params: Params, experts: Sequence[Card], tools: Tools) -> Select:
    """Scores are mean feedback, 0..1, drawn to the prior; equals keep the decision's order."""

    def select(ask: Ask) -> Selection:
        judged = {card.name: tools.reward(card.name) for card in ask.candidates}
        scores = []
        for name, reward in judged.items():
            weight = reward.count + params.strength
            mean = (reward.count * reward.mean + params.strength * params.prior) / weight
            scores.append(Score(name, mean, f"mean feedback {mean:.3f} after {reward.count:.0f} judged answers"))
        scores.sort(key=lambda score: -score.score)
        fewest = min(reward.count for reward in judged.values())
        share = max(min(params.least, params.explore), params.explore / (1 + fewest / params.decay))
        at_random = share / len(scores)
        if ask.random() >= share:
            return Selection(scores, 1 - share + at_random)
        first = scores[min(int(ask.random() * len(scores)), len(scores) - 1)]
        tried = Score(first.expert, first.score, f"drawn at random, as {share:.1%} of requests are: {first.why}")
        rest = [score for score in scores if score is not first]
        return Selection([tried, *rest], at_random + (1 - share if first is scores[0] else 0.0))

    return select
