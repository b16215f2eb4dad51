"""One winner among rival signals: of those that match, the surest. Knows nothing of prompts.

Follows vLLM Semantic Router's partitions: only signals that match contend; alone, the winner keeps its confidence; among
several it gets its share of a softmax over their confidences, where a temperature is given; none: the default, if any.
"""

import math
from collections.abc import Iterable
from typing import Literal

from pydantic import Field, model_validator

from experts.spec import Frozen
from router.signals import Derive, Missing, Read, See, Signal
from router.tools import Tools

COST = "derived"
NEEDS: frozenset[str] = frozenset()
EXAMPLE = {"of": ["a", "b"], "temperature": 0.1}


class Params(Frozen):
    """At least two rivals. It matches if there is a winner."""

    of: tuple[str, ...] = Field(min_length=2, description="the rival signals, by name; of equals the first wins")
    by: Literal["confidence", "value"] = Field("confidence", description="what is compared; a value must be a number")
    temperature: float | None = Field(
        None, gt=0, description="of the softmax that gives the winner's confidence; none: it keeps its own"
    )
    default: str | None = Field(None, description="the winner where no rival matches; one of `of`")

    @model_validator(mode="after")
    def _rivals(self) -> "Params":
        if twice := next((name for name in self.of if self.of.count(name) > 1), None):
            raise ValueError(f"{twice!r} is listed twice")
        if self.default is not None and self.default not in self.of:
            raise ValueError(f"the default {self.default!r} is none of the rivals: {', '.join(self.of)}")
        return self


def reads(params: Params) -> Iterable[Read]:
    """The rivals."""
    for i, name in enumerate(params.of):
        yield f"of.{i}", f"`{name}`"


def build(params: Params, tools: Tools) -> Derive:
    """The signal's label is the winner's name, its value the winner's strength, `count` how many matched."""
    names, temperature = params.of, params.temperature

    def strength(signal: Signal) -> float:
        if params.by == "confidence":
            return signal.confidence
        number = signal.value
        return float(number) if isinstance(number, int | float) and not isinstance(number, bool) else 0.0

    def derive(see: See) -> Signal | Missing:
        rivals = {name: see(name) for name in names}
        if missing := frozenset(name for name, signal in rivals.items() if signal is None):
            return missing
        strengths = {n: strength(signal) for n, signal in rivals.items() if signal is not None and signal.matched}
        if not strengths:
            return Signal(
                params.default is not None, label=params.default, confidence=1.0 if params.default else 0.0, count=0
            )
        winner = max(strengths, key=strengths.__getitem__)
        best = strengths[winner]
        if len(strengths) > 1 and temperature is not None:
            share = 1.0 / sum(math.exp(max(-700.0, (one - best) / temperature)) for one in strengths.values())
        else:
            share = min(1.0, max(0.0, best))
        return Signal(True, value=best, label=winner, confidence=share, count=len(strengths))

    return derive
