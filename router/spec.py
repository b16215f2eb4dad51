"""A policy as read from YAML, before it is compiled. Knows nothing of YAML itself nor of how signals work.

`params` are always the `Params` model of the file named by `type`, already validated by whoever read the file.
"""

from typing import Literal, TypeAlias

from pydantic import BaseModel, Field, SerializeAsAny

from experts.spec import Frozen, Name

OnError: TypeAlias = Literal["match", "no_match", "fail"]


class Choice(Frozen):
    """One of a folder's files and its parameters: a selector, a strategy, a plugin."""

    type: str
    params: SerializeAsAny[BaseModel]


class PluginChoice(Choice):
    """A plugin, its parameters, and when it takes part."""

    when: str | None = Field(None, description="an expression over signals; none: always")


class SignalSpec(Frozen):
    """One named signal: a file of router/signals/ and its parameters."""

    name: str
    type: str
    on_error: OnError = Field(
        "fail", description="what a failure to compute it means: match, no_match or fail (an error)"
    )
    params: SerializeAsAny[BaseModel]


class Requirement(Frozen):
    """What a constraint demands of every expert that may see the request."""

    local: bool | None = Field(None, description="true: only experts that keep the text on this machine")
    tags: tuple[str, ...] = Field((), description="only experts that carry all of these tags")
    experts: tuple[Name, ...] = Field((), description="only these experts")
    max_price: float | None = Field(
        None, ge=0, description="only experts whose output price is at most this, USD per million tokens"
    )


class ConstraintSpec(Frozen):
    """Always evaluated, over every decision, model name, fallback, aggregator and sub-task. Exactly one of
    `refuse` and `require`."""

    name: str = Field("", description="shown in traces; default: its expression")
    when: str = Field(description="an expression over signals")
    refuse: str | None = Field(None, description="answer with this text, call no model")
    require: Requirement | None = Field(None, description="what every expert that may answer must fulfil")


class DecisionSpec(Frozen):
    """One row of the policy: when it applies, whom it may use and how."""

    name: str
    when: str | None = Field(None, description="an expression over signals; none: always")
    use: tuple[Name, ...] = Field(min_length=1, description="experts that may answer, best first")
    select: Choice
    strategy: Choice
    plugins: tuple[PluginChoice, ...] = ()
    priority: int = Field(0, description="higher first; equal: file order")
    tier: int | None = Field(None, description="lower first, before priority, where any decision has one")
    description: str = ""


class SessionSpec(Frozen):
    """When a request stays with the expert that answered its conversation before. Constraints hold all the same, and
    an expert that cannot serve the request, or is not well, is not waited for."""

    tool_loops: bool = Field(True, description="results of tools go to the expert that called them")
    follow_up_tokens: int = Field(
        8, ge=0, description="a user turn of at most so many tokens, after an answer, stays (`commit it`); 0: none does"
    )
    unless: str | None = Field(
        None, description="an expression over signals; where it holds, a follow-up is routed anew"
    )
    ttl_s: float = Field(3600.0, gt=0, description="how long a conversation's expert is remembered, in seconds")


class PolicySpec(Frozen):
    """A named policy: what `model: "auto"` (or its own name) means."""

    name: Name
    description: str = ""
    order: Literal["priority", "confidence"] = Field(
        "priority", description="how matching decisions are ranked: by priority, or by confidence of their expression"
    )
    session: SessionSpec = SessionSpec()
    signals: tuple[SignalSpec, ...] = ()
    constraints: tuple[ConstraintSpec, ...] = ()
    decisions: tuple[DecisionSpec, ...] = Field(min_length=1)
