"""Which of your own routes fits best, each told in words: the nearest by meaning. Knows nothing but the words."""

from collections.abc import Mapping

from pydantic import ConfigDict, Field, field_validator

from experts.errors import ConfigError
from experts.spec import Frozen
from router import reading
from router.prompt import Prompt, Scope
from router.signals import EvaluateLater, Signal
from router.tools import Tools

COST = "neural"
NEEDS = frozenset({"embedding"})
EXAMPLE = {
    "routes": {"bug": "a program fails or prints an error", "billing": ["an invoice is wrong", "cancel my plan"]}
}


class Params(Frozen):
    """It matches if the nearest route is one of `in` (any, if left out) and near enough."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    routes: Mapping[str, str | tuple[str, ...]] = Field(
        min_length=1, description="label → what such requests are about: a description, or several"
    )
    labels: tuple[str, ...] = Field((), alias="in", description="routes that match; none: every route")
    threshold: float = Field(
        0.25, ge=-1, le=1, description="cosine with its nearest description below which no route fits"
    )
    scope: Scope = Field("user", description="which text is read: user, last, given, system, conversation or all")

    @field_validator("routes")
    @classmethod
    def _described(cls, routes: Mapping[str, str | tuple[str, ...]]) -> Mapping[str, str | tuple[str, ...]]:
        for name, told in routes.items():
            if not told or not all(one.strip() for one in ((told,) if isinstance(told, str) else told)):
                raise ValueError(f"the route {name} needs a description")
        return routes


def build(params: Params, tools: Tools) -> EvaluateLater:
    """The signal's label is the route, None where none is near enough; value and confidence are the cosine with its
    nearest description (the confidence at least 0). Raises `ConfigError` for `in` with other routes."""
    if strangers := [label for label in params.labels if label not in params.routes]:
        raise ConfigError(f"in: there is no route {strangers[0]!r}", remedy=f"Routes: {', '.join(params.routes)}.")
    embedder, scope, wanted = reading.embedder_of(tools), params.scope, frozenset(params.labels)
    told = [(name, one) for name, some in params.routes.items() for one in ((some,) if isinstance(some, str) else some)]
    vectors = reading.exemplars(embedder, [one for _, one in told])

    async def evaluate(prompt: Prompt) -> Signal:
        text = prompt.text(scope)
        if not text.strip():
            return Signal(False, confidence=0.0)
        found = await reading.similarities(embedder, text, vectors)
        at = int(found.argmax())
        value = float(found[at])
        confidence = min(1.0, max(0.0, value))
        if value < params.threshold:
            return Signal(False, value=round(value, 4), confidence=confidence)
        label = told[at][0]
        return Signal(not wanted or label in wanted, value=round(value, 4), label=label, confidence=confidence)

    return evaluate
