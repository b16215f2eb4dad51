"""Whether a right answer needs facts from the world, which should be grounded or checked. Knows none of the facts."""

from pydantic import Field

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

NEEDED = "facts"


class Params(Frozen):
    """It matches if the request asks for facts, and not for invention, rewriting, arithmetic or code."""

    threshold: float = Field(0.5, ge=0, le=1, description="probability from which it matches")
    scope: Scope = Field("last", description="which text is read: user, last, given, system, conversation or all")


def head(params: Params, tools: Tools) -> Head:
    """The head that these parameters ask."""
    return heads.find("fact_check")


def build(params: Params, tools: Tools) -> EvaluateLater:
    """The signal's value and confidence are the probability that facts are needed."""
    embedder, scope = reading.embedder_of(tools), params.scope
    asked = head(params, tools)
    heads.check(asked, [NEEDED], "fact_check")

    async def evaluate(prompt: Prompt) -> Signal:
        text = prompt.text(scope)
        if not text.strip():
            return Signal(False, value=0.0, confidence=0.0)
        value = (await reading.shares(embedder, asked, text))[NEEDED]
        return Signal(value >= params.threshold, value=round(value, 4), confidence=value)

    return evaluate
