"""Attempts to get harmful or unruly answers: harmful requests, and manipulation whatever it asks for.

A head over the sentence embedding, so it knows meanings, not tricks: a request in a cipher that nobody names looks like
noise to it. The worst window or suspect sentence of a long text counts, which finds an attack of some length among
padding; one line of it between ordinary ones it misses more often than not (docs/benchmarks.md).
"""

from typing import Literal

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
EXAMPLE = {"threshold": 0.5}

SAFE = "benign"


class Params(Frozen):
    """It matches if the worst window of the text is an attack with at least this probability."""

    threshold: float | None = Field(
        None,
        ge=0,
        le=1,
        description="probability from which it matches; default: the head's own, set for few false alarms",
    )
    kinds: tuple[Literal["harmful request", "manipulation"], ...] = Field(
        ("harmful request", "manipulation"), min_length=1, description="what counts as an attack"
    )
    max_windows: int = Field(
        reading.ALL,
        ge=1,
        le=256,
        description="windows of some 250 tokens that are read of a long text; of more, as many at even distances",
    )
    scope: Scope = Field(
        "given",
        description="which text is read: user, last, given (user turns and results of tools), system, conversation or all",
    )


def head(params: Params, tools: Tools) -> Head:
    """The head that these parameters ask."""
    return heads.find("jailbreak")


def build(params: Params, tools: Tools) -> EvaluateLater:
    """The signal's value and confidence are the probability of an attack (of `kinds`), its label the likelier kind."""
    embedder, scope, kinds = reading.embedder_of(tools), params.scope, params.kinds
    asked = head(params, tools)
    heads.check(asked, [SAFE, *kinds], "kinds")
    threshold = params.threshold if params.threshold is not None else asked.threshold
    limit = 0.5 if threshold is None else threshold

    async def evaluate(prompt: Prompt) -> Signal:
        text = prompt.text(scope)
        if not text.strip():
            return Signal(False, value=0.0, confidence=0.0)
        found = await reading.worst(embedder, asked, text, SAFE, most=params.max_windows)
        risk = min(1.0, sum(found[kind] for kind in kinds))
        matched = risk >= limit
        label: str | None = max(kinds, key=lambda kind: found[kind]) if matched else None
        return Signal(matched, value=round(risk, 4), label=label, confidence=risk)

    return evaluate
