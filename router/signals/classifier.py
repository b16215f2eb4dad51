"""Your own labels, by a head that `madrigal signal train` made of your own labelled texts. Knows nothing else."""

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
EXAMPLE = {"head": "domain"}


class Params(Frozen):
    """It matches if the label is one of `in` (any, if left out) with enough confidence."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    head: str = Field(
        min_length=1,
        description="file of the head (heads/tickets.json, seen from the policy's folder), or one of ours by name",
    )
    labels: tuple[str, ...] = Field((), alias="in", description="labels that match; none: every label")
    min_confidence: float = Field(0.0, ge=0, le=1, description="below it the label counts as not known")
    safe: str | None = Field(
        None, description="for guards: of a long text the window that is least likely this label is what counts"
    )
    scope: Scope = Field("user", description="which text is read: user, last, given, system, conversation or all")


def head(params: Params, tools: Tools) -> Head:
    """The head that these parameters ask."""
    return heads.find(params.head, tools.folder)


def build(params: Params, tools: Tools) -> EvaluateLater:
    """The signal's label is the likeliest one, None where not known; its confidence is the head's probability, over the
    windows of a long text the mean, or with `safe` the worst. Raises `ConfigError` where the head cannot be used."""
    embedder, scope, least, safe = reading.embedder_of(tools), params.scope, params.min_confidence, params.safe
    asked = head(params, tools)
    heads.check(asked, params.labels, "in")
    if safe is not None:
        heads.check(asked, [safe], "safe")
    wanted = frozenset(params.labels)

    async def evaluate(prompt: Prompt) -> Signal:
        text = prompt.text(scope)
        if not text.strip():
            return Signal(False, confidence=0.0)
        found = reading.shares(embedder, asked, text) if safe is None else reading.worst(embedder, asked, text, safe)
        label, confidence = reading.best(await found)
        if confidence < least:
            return Signal(False, confidence=confidence)
        return Signal(not wanted or label in wanted, value=label, label=label, confidence=confidence)

    return evaluate
