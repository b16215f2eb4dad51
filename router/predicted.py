"""The live side of every learned selector: one embedding, one prediction per expert, a ranking with its reason.

Knows nothing of how predictions are made.
"""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from pydantic import Field

from experts import registry
from experts.errors import ConfigError
from experts.spec import Frozen
from router.card import Card
from router.learned import Learned, Predict, load
from router.outcomes import Asked
from router.prompt import Prompt, Scope
from router.selectors import Ask, Score, Selection, SelectLater
from router.tools import Tools

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

NEEDS = frozenset({"embedding"})
EMBEDDED = ("router.predicted", "vector")
"""The key of `Prompt.memo` under which a vector that was routed by is found again, for the log."""


class LearnedParams(Frozen):
    """What every learned selector is told."""

    model: str = Field(
        "routing.safetensors",
        description="file written by `madrigal router fit`, as seen from the policy file; it must know every expert",
    )
    scope: Scope = Field("user", description="text that is judged: user, last, system, conversation or all")


def load_model(params: LearnedParams, experts: Sequence[Card], tools: Tools, selector: str | None) -> Learned:
    """The model of a policy. Blocks. Raises `ConfigError` as `learned.load` does."""
    path = tools.folder / params.model
    return load(path, selector=selector, experts=[card.name for card in experts])


def predictor_of(learned: Learned) -> Predict:
    """What predicts with a model, whichever selector fitted it. Raises `ConfigError` where none here did."""
    if learned.selector not in registry.known("router.selectors"):
        raise ConfigError(f"the model was fitted for the selector {learned.selector}, which is not known here")
    predict: Predict = registry.load("router.selectors", learned.selector).predictor(learned)
    return predict


async def scores(prompt: Prompt, scope: Scope, predict: Predict, tools: Tools) -> "NDArray[np.float64]":
    """Predicted scores of one prompt, float64 [E] in the model's order."""
    text = prompt.text(scope)
    assert tools.embedding is not None, "the policy's compiler has checked it"
    vector = await tools.embedding.embed([text])
    prompt.memo(EMBEDDED, lambda: vector[0])
    row: NDArray[np.float64] = predict(Asked((text,), vector))[0]
    return row


def by_prediction(
    params: LearnedParams,
    experts: Sequence[Card],
    tools: Tools,
    selector: str,
    predictor: Callable[[Learned], Predict],
) -> SelectLater:
    """Rank by predicted score. Raises `ConfigError` where the model does not fit."""
    learned = load_model(params, experts, tools, selector)
    predict = predictor(learned)
    at = {name: i for i, name in enumerate(learned.experts)}

    async def select(ask: Ask) -> Selection:
        row = await scores(ask.prompt, params.scope, predict, tools)
        ranking = [
            Score(card.name, float(row[at[card.name]]), f"{selector}: predicted score {row[at[card.name]]:.3f}")
            for card in ask.candidates
        ]
        return Selection(sorted(ranking, key=lambda score: -score.score))  # stable: equals keep the decision's order

    return select
