"""The subject of the text: one of 14 categories, those of MMLU-Pro. Knows no more than its head, `heads/domain.json`."""

from pydantic import ConfigDict, Field

from experts.spec import Frozen
from router import head as heads
from router import reading
from router.head import Head
from router.prompt import Prompt, Scope
from router.signals import EvaluateLater, Signal
from router.tools import Tools

COST = "neural"
NEEDS = frozenset({"embedding"})
EXAMPLE: dict[str, object] = {}


class Params(Frozen):
    """It matches if the subject is one of `in` (any, if left out) with enough confidence."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    labels: tuple[str, ...] = Field(
        (),
        alias="in",
        description="subjects that match, none: all; biology, business, chemistry, computer science, economics, "
        "engineering, health, history, law, math, other, philosophy, physics or psychology",
    )
    min_confidence: float = Field(0.0, ge=0, le=1, description="below it the subject counts as not known")
    scope: Scope = Field("user", description="which text is read: user, last, given, system, conversation or all")


def head(params: Params, tools: Tools) -> Head:
    """The head that these parameters ask."""
    return heads.find("domain")


def build(params: Params, tools: Tools) -> EvaluateLater:
    """The signal's label is the subject, None where not known; its confidence is calibrated: of answers with 0.8 about
    80% are right. Raises `ConfigError` for subjects that the head does not know."""
    embedder, scope, least = reading.embedder_of(tools), params.scope, params.min_confidence
    asked = head(params, tools)
    heads.check(asked, params.labels, "in")
    wanted = frozenset(params.labels)

    async def evaluate(prompt: Prompt) -> Signal:
        text = prompt.text(scope)
        if not text.strip():
            return Signal(False, confidence=0.0)
        label, confidence = reading.best(await reading.shares(embedder, asked, text))
        if confidence < least:
            return Signal(False, confidence=confidence)
        return Signal(not wanted or label in wanted, value=label, label=label, confidence=confidence)

    return evaluate
