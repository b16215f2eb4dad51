"""How hard the request is: by a head trained on which questions language models got wrong, or by your own exemplars.

Knows nothing of length (see `context`) nor of what any one expert can do.
"""

from typing import Literal

from pydantic import Field, model_validator

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
    """It matches if the request is as hard as `level` says: hard, medium or easy."""

    level: Literal["hard", "medium", "easy"] = Field("hard", description="what matches")
    hard: tuple[str, ...] = Field((), description="examples of hard requests; with `easy`, instead of our head")
    easy: tuple[str, ...] = Field((), description="examples of easy requests")
    threshold: float | None = Field(
        None,
        ge=0,
        le=1,
        description="value from which it is hard, and below whose mirror it is easy; default: 0.6 for the head "
        "(easy below 0.4), 0.05 for exemplars (easy below -0.05)",
    )
    scope: Scope = Field("last", description="which text is read: user, last, given, system, conversation or all")

    @model_validator(mode="after")
    def _both(self) -> "Params":
        if bool(self.hard) != bool(self.easy):
            raise ValueError("hard and easy go together: give examples of both, or of neither")
        if not self.hard and self.threshold is not None and self.threshold < 0.5:
            raise ValueError(
                f"threshold is at least 0.5 for the head, as 0.5 is its middle; {self.threshold} was given"
            )
        return self


def head(params: Params, tools: Tools) -> Head | None:
    """The head that these parameters ask: none where they give examples."""
    return None if params.hard else heads.find("complexity")


def build(params: Params, tools: Tools) -> EvaluateLater:
    """The signal's label is hard, medium or easy. Its value is the probability of hard, 0..1; with exemplars the best
    cosine with a hard one minus the best with an easy one, -2..2. Its confidence is that of the label."""
    embedder, scope, level = reading.embedder_of(tools), params.scope, params.level
    if params.hard:
        limit = 0.05 if params.threshold is None else params.threshold
        vectors = reading.exemplars(embedder, [*params.hard, *params.easy])
        number = len(params.hard)

        async def value_of(text: str) -> tuple[float, float, float]:
            found = await reading.similarities(embedder, text, vectors)
            return float(found[:number].max() - found[number:].max()), limit, -limit
    else:
        limit = 0.6 if params.threshold is None else params.threshold
        asked = heads.find("complexity")
        heads.check(asked, ["hard"], "complexity")

        async def value_of(text: str) -> tuple[float, float, float]:
            return (await reading.shares(embedder, asked, text))["hard"], limit, 1 - limit

    async def evaluate(prompt: Prompt) -> Signal:
        text = prompt.text(scope)
        if not text.strip():
            return Signal(level == "easy", value=0.0, label="easy", confidence=0.0)
        value, high, low = await value_of(text)
        label = "hard" if value >= high else "easy" if value < low else "medium"
        sure = value if not params.hard else (value + 1) / 2  # how much it leans to hard, 0..1
        confidence = {"hard": sure, "easy": 1 - sure, "medium": 1 - abs(2 * sure - 1)}[label]
        return Signal(label == level, value=round(value, 4), label=label, confidence=min(1.0, max(0.0, confidence)))

    return evaluate
