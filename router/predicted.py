"""The live side of every learned selector: one embedding, one prediction per expert, a ranking with its reason.

Knows nothing of how predictions are made.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

from pydantic import Field

from experts import registry
from experts.errors import ConfigError
from experts.spec import Frozen
from router.card import Card
from router.embed import DIMENSIONS
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
    scope: Scope = Field("user", description="text that is judged: user, last, given, system, conversation or all")


def load_model(params: LearnedParams, experts: Sequence[Card], tools: Tools, selector: str | None) -> Learned:
    """The model of a policy. Blocks. Raises `ConfigError` as `learned.load` does."""
    path = tools.folder / params.model
    return load(path, selector=selector, experts=[card.name for card in experts])


@contextmanager
def of_this_version(learned: Learned, model: str) -> Iterator[None]:
    """What fails in it because numbers or settings are missing or of other shapes is the file's fault: `ConfigError`."""
    try:
        yield
    except (KeyError, IndexError, ValueError, TypeError, AttributeError) as error:
        raise ConfigError(
            f"{model} cannot be used by this version's selector {learned.selector}: {type(error).__name__}: {error}",
            remedy=f"Fit it again: madrigal router fit … --selector {learned.selector} --out {model}",
        ) from error


def predictor_of(params: LearnedParams, learned: Learned) -> Predict:
    """What predicts with a model, whichever selector fitted it; tried once, so that what a request would meet is met
    here. Raises `ConfigError` where none here fitted it, or in another form."""
    import numpy as np

    if learned.selector not in registry.known("router.selectors"):
        raise ConfigError(f"{params.model} was fitted for the selector {learned.selector}, which is not known here")
    file = registry.load("router.selectors", learned.selector)
    with of_this_version(learned, params.model):
        predict: Predict = file.predictor(learned)
        made = predict(Asked(("hello",), np.eye(1, DIMENSIONS, dtype=np.float32)))
        if made.shape != (1, len(learned.experts)):
            raise ValueError(f"it predicts {made.shape[-1]} scores for {len(learned.experts)} experts")
    return predict


async def scores(prompt: Prompt, scope: Scope, predict: Predict, tools: Tools) -> "NDArray[np.float64]":
    """Predicted scores of one prompt, float64 [E] in the model's order."""
    text = prompt.text(scope)
    assert tools.embedding is not None, "the policy's compiler has checked it"
    vector = await tools.embedding.embed([text])
    prompt.memo(EMBEDDED, lambda: vector[0])
    row: NDArray[np.float64] = predict(Asked((text,), vector))[0]
    return row


def by_prediction(params: LearnedParams, experts: Sequence[Card], tools: Tools, selector: str) -> SelectLater:
    """Rank by predicted score. Raises `ConfigError` where the model does not fit."""
    learned = load_model(params, experts, tools, selector)
    predict = predictor_of(params, learned)
    at = {name: i for i, name in enumerate(learned.experts)}

    async def select(ask: Ask) -> Selection:
        row = await scores(ask.prompt, params.scope, predict, tools)
        ranking = [
            Score(card.name, float(row[at[card.name]]), f"{selector}: predicted score {row[at[card.name]]:.3f}")
            for card in ask.candidates
        ]
        return Selection(sorted(ranking, key=lambda score: -score.score))  # stable: equals keep the decision's order

    return select
