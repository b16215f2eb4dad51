"""What the last user turn says of the answer before it: thanks, a correction, a question back, a wish for another.

Knows only the turn's own words, not whether the answer was right. A conversation without an answer has no feedback.
"""

from typing import Literal

from pydantic import ConfigDict, Field

from experts.spec import Frozen
from router import head as heads
from router import reading
from router.head import Head
from router.prompt import Prompt
from router.signals import EvaluateLater, Signal
from router.tools import Tools

COST = "neural"
NEEDS = frozenset({"embedding"})
EXAMPLE = {"in": ["wrong answer", "want different"]}

NONE = "no feedback"


class Params(Frozen):
    """It matches if the last turn is feedback of one of the kinds `in` (any, if left out)."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    kinds: tuple[Literal["satisfied", "wrong answer", "need clarification", "want different"], ...] = Field(
        (), alias="in", description="kinds that match; none: all four"
    )
    threshold: float = Field(0.5, ge=0, le=1, description="probability of a kind from which it counts")


def head(params: Params, tools: Tools) -> Head:
    """The head that these parameters ask."""
    return heads.find("feedback")


def build(params: Params, tools: Tools) -> EvaluateLater:
    """The signal's label is the kind of feedback, None for none; its confidence is the head's probability."""
    embedder = reading.embedder_of(tools)
    asked = head(params, tools)
    heads.check(asked, [NONE, *params.kinds], "in")
    wanted = frozenset(params.kinds)

    async def evaluate(prompt: Prompt) -> Signal:
        text = prompt.last_text
        if not text.strip() or not _answered(prompt):
            return Signal(False)
        label, confidence = reading.best(await reading.shares(embedder, asked, text))
        if label == NONE or confidence < params.threshold:
            return Signal(False, confidence=confidence)
        return Signal(not wanted or label in wanted, value=label, label=label, confidence=confidence)

    return evaluate


def _answered(prompt: Prompt) -> bool:
    """Whether an assistant spoke before the last user turn."""
    roles = [message.role for message in prompt.messages]
    last = max((at for at, role in enumerate(roles) if role == "user"), default=0)
    return "assistant" in roles[:last]
