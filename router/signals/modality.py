"""What the answer should be: text, or a picture, sound or video to be made. Knows nothing of pictures sent along."""

from typing import Literal

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
    """It matches if something of the kinds `in` is to be made."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    kinds: tuple[Literal["image", "audio", "video", "text"], ...] = Field(
        ("image", "audio", "video"), alias="in", min_length=1, description="kinds of answer that match"
    )
    threshold: float = Field(0.5, ge=0, le=1, description="probability from which another kind than text is believed")
    scope: Scope = Field("last", description="which text is read: user, last, given, system, conversation or all")


def head(params: Params, tools: Tools) -> Head:
    """The head that these parameters ask."""
    return heads.find("modality")


def build(params: Params, tools: Tools) -> EvaluateLater:
    """The signal's label is the kind of answer, its confidence the head's probability; a request that asks for audio by
    its own parameter (`modalities`) has it with certainty."""
    embedder, scope = reading.embedder_of(tools), params.scope
    asked = head(params, tools)
    heads.check(asked, params.kinds, "in")

    async def evaluate(prompt: Prompt) -> Signal:
        if prompt.needs.get("audio") in ("audio", "modalities"):
            return Signal("audio" in params.kinds, value="audio", label="audio")
        text = prompt.text(scope)
        if not text.strip():
            return Signal("text" in params.kinds, value="text", label="text")
        found = await reading.shares(embedder, asked, text)
        label, confidence = reading.best(found)
        if label != "text" and confidence < params.threshold:
            label, confidence = "text", found["text"]
        return Signal(label in params.kinds, value=label, label=label, confidence=confidence)

    return evaluate
