"""A weighted sum over other signals: how much speaks for something, where no single signal settles it.

Knows nothing of prompts. `band` turns its number into names.
"""

from collections.abc import Callable, Iterable
from typing import Literal, TypeAlias

from pydantic import Field, model_validator

from experts.spec import Frozen
from router.kleene import compile_rule, confidence, needed, unseen
from router.rules import parse
from router.signals import Derive, Missing, Read, See, Signal
from router.tools import Tools

COST = "derived"
NEEDS: frozenset[str] = frozenset()
EXAMPLE = {"terms": [{"when": "a", "weight": 0.5}, {"value": "b", "weight": 0.001}], "gte": 0.5}

Summand: TypeAlias = Callable[[See], float | Missing]


class Term(Frozen):
    """One summand: `weight` where the expression `when` holds, or `weight` times the number of the signal `value`."""

    when: str | None = Field(None, min_length=1, description="an expression over signals; counts where it holds")
    value: str | None = Field(None, min_length=1, description="a signal whose number counts; nothing where it has none")
    weight: float = Field(1.0, allow_inf_nan=False, description="what it counts; may be negative")
    by: Literal["matched", "confidence"] = Field(
        "matched", description="confidence: the weight is multiplied with the confidence of `when`"
    )

    @model_validator(mode="after")
    def _one(self) -> "Term":
        if (self.when is None) == (self.value is None):
            raise ValueError("a term needs exactly one of when and value")
        if self.value is not None and self.by != "matched":
            raise ValueError("by goes with when: a value counts as it is")
        return self


class Params(Frozen):
    """The terms, and where the sum matches: all bounds that are given; without any, above zero."""

    terms: tuple[Term, ...] = Field(
        min_length=1, description="what is added up: {when: …} or {value: …}, each weighted"
    )
    gt: float | None = Field(None, description="it must be above this")
    gte: float | None = Field(None, description="it must be at least this")
    lt: float | None = Field(None, description="it must be below this")
    lte: float | None = Field(None, description="it must be at most this")


def reads(params: Params) -> Iterable[Read]:
    """The expression or the signal of every term."""
    for i, term in enumerate(params.terms):
        if term.when is not None:
            yield f"terms.{i}.when", term.when
        else:
            yield f"terms.{i}.value", f"`{term.value}`"


def build(params: Params, tools: Tools) -> Derive:
    """The signal's value is the sum; its confidence is the sum too, cut to 0..1."""
    summands = [_summand(term) for term in params.terms]
    gt, gte, lt, lte = params.gt, params.gte, params.lt, params.lte
    bounded = any(bound is not None for bound in (gt, gte, lt, lte))

    def derive(see: See) -> Signal | Missing:
        total = 0.0
        missing: set[str] = set()
        for summand in summands:
            part = summand(see)
            if isinstance(part, frozenset):
                missing |= part
            else:
                total += part
        if missing:
            return frozenset(missing)
        total = round(total, 9)  # 0.1 + 0.2 reaches a bound of 0.3
        matched = (
            (gt is None or total > gt)
            and (gte is None or total >= gte)
            and (lt is None or total < lt)
            and (lte is None or total <= lte)
            if bounded
            else total > 0
        )
        return Signal(matched, value=total, confidence=min(1.0, max(0.0, total)))

    return derive


def _summand(term: Term) -> Summand:
    """A term as a function: its part of the sum, or what must be known to tell."""
    weight = term.weight
    if term.value is not None:
        name = term.value

        def number(see: See) -> float | Missing:
            signal = see(name)
            if signal is None:
                return frozenset({name})
            value = signal.value
            return weight * value if isinstance(value, int | float) and not isinstance(value, bool) else 0.0

        return number
    assert term.when is not None
    rule = parse(term.when)
    truth, sure = compile_rule(rule), term.by == "confidence"

    def holds(see: See) -> float | Missing:
        found = truth(see)
        if found is None:
            return needed(rule, see)
        if not found:
            return 0.0
        if not sure:
            return weight
        return unseen(rule, see) or weight * confidence(rule, see)[0]

    return holds
