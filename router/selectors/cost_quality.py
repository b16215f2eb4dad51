"""By what is predicted and what it costs: quality against price and time, with a share or a quality that holds.

    neither    the best of: predicted score - price_weight · US cents - latency_weight · seconds
    share      that part of the requests goes to one strong expert: those that gain most from it (RouteLLM's question)
    quality    the cheapest choice that keeps this part of what the best predicted experts gain over the cheapest

Both are recalibrated with every request, so they hold also where prompts are unlike those that were fitted on. State
is one bounded window per policy and process; it begins with the model's held-out predictions.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from pydantic import Field, model_validator

from experts.errors import ConfigError
from experts.spec import Name
from router.card import Card
from router.dial import Dial, Trade
from router.learned import HELD_OUT, Learned, Predict
from router.predicted import NEEDS, LearnedParams, load_model, predictor_of, scores
from router.selectors import Ask, Score, Selection, SelectLater
from router.tools import Tools

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

COST = "neural"
NEEDS = NEEDS
EXAMPLE: dict[str, object] = {"quality": 0.9}


class Params(LearnedParams):
    """What is to hold, and what price and time are worth. The model may be that of any learned selector."""

    share: float | None = Field(None, ge=0, le=1, description="share of requests that go to the strong expert, 0..1")
    strong: Name | None = Field(None, description="the strong expert; default: the dearest, else the best predicted")
    quality: float | None = Field(
        None, ge=0, le=1, description="part of the predicted gain of the best experts over the cheapest that is kept"
    )
    price_weight: float = Field(0.0, ge=0, description="predicted score, 0..1, given up to save one US cent a call")
    latency_weight: float = Field(0.0, ge=0, description="predicted score given up for a first token one second sooner")
    answer_tokens: int = Field(300, ge=1, description="tokens of an answer that a price is worked out for")

    @model_validator(mode="after")
    def _one(self) -> "Params":
        if self.share is not None and self.quality is not None:
            raise ValueError("only one of share and quality can hold: give one of them")
        return self


def build(params: Params, experts: Sequence[Card], tools: Tools) -> SelectLater:
    """Scores are predicted scores less what price and time take off; whom a share or a quality puts first, is first.

    Raises `ConfigError` where the model does not fit, for a strong expert that the decision does not use, and for a
    quality where no expert has a price.
    """
    learned = load_model(params, experts, tools, None)
    predict = predictor_of(params, learned)
    if params.quality is not None and not any(card.price.input or card.price.output for card in experts):
        raise ConfigError(
            "a quality to keep at the least cost needs prices, and no expert of the decision has one",
            remedy="Give the experts `price: {input: …, output: …}`, or ask for a `share` instead.",
        )
    if params.share is not None:
        return _by_share(params, experts, tools, learned, predict, _strong(params, experts, learned))
    trade = None if params.quality is None else Trade(params.quality)
    at = {name: i for i, name in enumerate(learned.experts)}

    async def select(ask: Ask) -> Selection:
        import numpy as np

        row = await scores(ask.prompt, params.scope, predict, tools)
        cents = np.array([100 * _usd(card, ask, params) for card in ask.candidates])
        worth = np.array([row[at[card.name]] - params.latency_weight * _wait(card, tools) for card in ask.candidates])
        weight = params.price_weight if trade is None else trade(worth, cents)
        ranking = [
            Score(
                card.name,
                float(worth[i] - weight * cents[i]),
                f"predicted score {row[at[card.name]]:.3f}, about {cents[i]:.3g} cents a call",
            )
            for i, card in enumerate(ask.candidates)
        ]
        return Selection(sorted(ranking, key=lambda score: -score.score))

    return select


def _by_share(
    params: Params, experts: Sequence[Card], tools: Tools, learned: Learned, predict: Predict, strong: str
) -> SelectLater:
    at = {name: i for i, name in enumerate(learned.experts)}
    others = [at[card.name] for card in experts if card.name != strong]
    assert params.share is not None
    held_out = learned.arrays.get(HELD_OUT)
    prior = [] if held_out is None or not others else held_out[:, at[strong]] - held_out[:, others].max(axis=1)
    dial = Dial(params.share, [float(gain) for gain in prior])

    async def select(ask: Ask) -> Selection:
        row = await scores(ask.prompt, params.scope, predict, tools)
        worth = {
            card.name: float(row[at[card.name]])
            - params.price_weight * 100 * _usd(card, ask, params)
            - params.latency_weight * _wait(card, tools)
            for card in ask.candidates
        }
        rest = sorted((name for name in worth if name != strong), key=lambda name: -worth[name])
        if strong not in worth or not rest:
            return Selection([Score(n, worth[n], f"predicted score {row[at[n]]:.3f}") for n in rest or [strong]])
        gain = float(row[at[strong]] - row[at[rest[0]]])
        place, yes = dial.rank(gain), dial(gain)
        said = (
            f"predicted gain of {strong} {gain:+.3f}, more than {place:.0%} of the last prompts; "
            f"a share of {params.share:.0%} is asked for"
        )
        order = [strong, *rest] if yes else [rest[0], strong, *rest[1:]]
        return Selection([Score(n, worth[n], f"predicted score {row[at[n]]:.3f}; {said}") for n in order])

    return select


def _strong(params: Params, experts: Sequence[Card], learned: Learned) -> str:
    names = [card.name for card in experts]
    if params.strong is not None:
        if params.strong not in names:
            raise ConfigError(
                f"the strong expert {params.strong!r} is not one that the decision uses",
                remedy=f"It uses {', '.join(names)}.",
            )
        return params.strong
    dearest = max(experts, key=lambda card: card.price.input + card.price.output)
    if dearest.price.input + dearest.price.output > 0:
        return dearest.name
    if (held_out := learned.arrays.get(HELD_OUT)) is None:
        raise ConfigError(
            "which expert is the strong one cannot be told: no expert has a price, and the model has no held-out "
            "predictions",
            remedy="Name it with `strong:`.",
        )
    means = dict(zip(learned.experts, held_out.mean(axis=0).tolist(), strict=True))
    return max(names, key=lambda name: means[name])


def _usd(card: Card, ask: Ask, params: Params) -> float:
    answer = min(ask.prompt.max_tokens or params.answer_tokens, params.answer_tokens)
    return card.price.cost_usd(ask.prompt.tokens, answer)


def _wait(card: Card, tools: Tools) -> float:
    return tools.latency(card.name) or 0.0
