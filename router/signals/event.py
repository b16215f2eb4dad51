"""Machine-made events in the text: alerts, audit records, failed payments, by type, severity, code and urgency.

Knows no schema: what a caller writes may say anything, so an event may steer a request but never unlock anything.
Follows vLLM Semantic Router's `event` rules: one criterion is enough, and the more of them hold the surer it is.
"""

from collections.abc import Iterator
from typing import Literal, TypeAlias, get_args

from pydantic import Field, model_validator

from experts.spec import Frozen
from router.patterns import Word, Words
from router.prompt import Prompt, Scope
from router.signals import Evaluate, Signal
from router.tools import Tools

COST = "cheap"
NEEDS: frozenset[str] = frozenset()
EXAMPLE = {"types": ["payment_failed"], "severities": ["critical", "high"]}

Severity: TypeAlias = Literal["critical", "high", "medium", "low"]
URGENT = ("urgent", "immediate", "asap", "deadline", "time-sensitive", "now", "critical window", "critical-window")


class Params(Frozen):
    """At least one criterion; it matches if any of them is found."""

    types: tuple[Word, ...] = Field((), description="event types, as whole words: payment_failed")
    severities: tuple[Severity, ...] = Field((), description="severities, as whole words")
    codes: tuple[Word, ...] = Field((), description="action codes, as whole words: TXN_DECLINE")
    urgent: bool = Field(False, description="whether words of urgency count: urgent, asap, deadline …")
    scope: Scope = Field("last", description="which text is read: user, last, given, system, conversation or all")

    @model_validator(mode="after")
    def _something(self) -> "Params":
        if not (self.types or self.severities or self.codes or self.urgent):
            raise ValueError("an event signal needs at least one of types, severities, codes and urgent")
        return self


def build(params: Params, tools: Tools) -> Evaluate:
    """The signal's value is what was found, its label the gravest severity of `severities` found; its confidence is
    0.5 and as much again as the share of criteria that hold."""
    criteria = [Words(words) for words in _criteria(params)]
    scope = params.scope

    def evaluate(prompt: Prompt) -> Signal:
        data = prompt.data(scope)
        found = [words.found(data) for words in criteria]
        holding = sum(1 for words in found if words)
        if not holding:
            return Signal(False, value=(), confidence=0.0, count=0)
        value = tuple(dict.fromkeys(word for words in found for word in words))
        label = next((grave for grave in get_args(Severity) if grave in params.severities and grave in value), None)
        return Signal(True, value=value, label=label, confidence=0.5 + 0.5 * holding / len(found), count=len(value))

    return evaluate


def _criteria(params: Params) -> Iterator[tuple[str, ...]]:
    yield from (words for words in (params.types, params.severities, params.codes) if words)
    if params.urgent:
        yield URGENT
