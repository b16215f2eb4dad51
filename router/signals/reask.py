"""Whether the user asks the same again: likeness of the last turn to the user's earlier ones. Knows no answers."""

from pydantic import Field, model_validator

from experts.spec import Frozen
from router import reading
from router.prompt import Prompt
from router.signals import EvaluateLater, Signal
from router.tools import Tools

COST = "neural"
NEEDS = frozenset({"embedding"})
EXAMPLE: dict[str, object] = {}


class Params(Frozen):
    """It matches if the last user turn is at least `threshold` alike to one of the `turns` before it."""

    threshold: float = Field(0.75, ge=-1, le=1, description="cosine from which two turns ask the same")
    turns: int = Field(3, ge=1, le=20, description="earlier user turns that are compared")
    min_count: int = Field(1, ge=1, le=20, description="how many of them must be alike")

    @model_validator(mode="after")
    def _reachable(self) -> "Params":
        if self.min_count > self.turns:
            raise ValueError(f"min_count is at most turns, {self.turns}; {self.min_count} was given")
        return self


def build(params: Params, tools: Tools) -> EvaluateLater:
    """The signal's value is the best cosine, its count the earlier turns that are alike, its confidence the value, at
    least 0."""
    embedder = reading.embedder_of(tools)

    async def evaluate(prompt: Prompt) -> Signal:
        said = [message.text for message in prompt.messages if message.role == "user" and message.text.strip()]
        earlier = said[-1 - params.turns : -1]
        if not earlier:
            return Signal(False, value=0.0, confidence=0.0, count=0)
        vectors = await embedder.embed([said[-1], *earlier])
        found = vectors[1:] @ vectors[0]
        count, value = int((found >= params.threshold).sum()), float(found.max())
        return Signal(
            count >= params.min_count, value=round(value, 4), confidence=min(1.0, max(0.0, value)), count=count
        )

    return evaluate
