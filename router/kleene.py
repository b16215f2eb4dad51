"""Truth of a `when:` tree where some signals are not known yet: Kleene's three values. Knows nothing of how a signal
is computed: it asks a function `see`, which returns None for one that is not known.

Source: S. C. Kleene, Introduction to Metamathematics (1952), section 64, the strong tables. The confidence of a match
follows vLLM Semantic Router: AND the mean of its parts, OR the largest of those that hold, NOT 1.
"""

import operator
from collections.abc import Callable
from typing import Any, TypeAlias

from router.signals import See, Signal
from router.tree import And, Compare, In, Matched, Not, Or, Rule, literal, names

Truth: TypeAlias = Callable[[See], bool | None]

_COMPARE: dict[str, Callable[[Any, Any], bool]] = {
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}


def compile_rule(rule: Rule) -> Truth:
    """A function of `see` that says True, False, or None where that depends on signals not known.

    Parts are looked at from left to right and no further than needed, so a `see` that computes on demand computes
    little. Compiled because it runs for every decision of every request.
    """
    match rule:
        case And(children):
            return _all(tuple(compile_rule(child) for child in children))
        case Or(children):
            return _any(tuple(compile_rule(child) for child in children))
        case Not(child):
            return _not(compile_rule(child))
        case Matched(name):
            return _matched(name)
        case Compare(name) | In(name):
            return _tested(name, _test(rule))


def _all(parts: tuple[Truth, ...]) -> Truth:
    def truth(see: See) -> bool | None:
        known = True
        for part in parts:
            found = part(see)
            if found is False:
                return False
            if found is None:
                known = False
        return True if known else None

    return truth


def _any(parts: tuple[Truth, ...]) -> Truth:
    def truth(see: See) -> bool | None:
        known = True
        for part in parts:
            found = part(see)
            if found is True:
                return True
            if found is None:
                known = False
        return False if known else None

    return truth


def _not(part: Truth) -> Truth:
    def truth(see: See) -> bool | None:
        found = part(see)
        return None if found is None else not found

    return truth


def _matched(name: str) -> Truth:
    def truth(see: See) -> bool | None:
        signal = see(name)
        return None if signal is None else signal.matched

    return truth


def _tested(name: str, test: Callable[[Signal], bool]) -> Truth:
    def truth(see: See) -> bool | None:
        signal = see(name)
        return None if signal is None else test(signal)

    return truth


def read(signal: Signal, field: str | None) -> Any:
    """A field of a signal; None: its label if it has one, else its value."""
    if field is not None:
        return getattr(signal, field)
    return signal.value if signal.label is None else signal.label


def _test(rule: Compare | In) -> Callable[[Signal], bool]:
    """The comparison as a function of the signal.

    What a signal lacks (None) or holds in another type equals nothing and is neither less nor greater. A value of
    several items (roles, words found) equals a constant if any of its items does.
    """
    field = rule.field
    if isinstance(rule, In):
        wanted, negated = tuple((type(c) is bool, c) for c in rule.constants), rule.negated
        return lambda signal: _among(read(signal, field), wanted) is not negated
    constant = rule.constant
    if rule.operator in ("==", "!="):
        single, unequal = ((type(constant) is bool, constant),), rule.operator == "!="
        return lambda signal: _among(read(signal, field), single) is not unequal
    compare = _COMPARE[rule.operator]

    def ordered(signal: Signal) -> bool:
        value = read(signal, field)
        return isinstance(value, int | float) and not isinstance(value, bool) and compare(value, constant)

    return ordered


def _among(value: Any, wanted: tuple[tuple[bool, Any], ...]) -> bool:
    """Whether value, or any item of it, is one of `wanted` (each with whether it is a bool: True is not 1 here)."""
    if isinstance(value, tuple | list | set | frozenset):
        return any(_among(item, wanted) for item in value)
    return (type(value) is bool, value) in wanted


def needed(rule: Rule, see: See) -> frozenset[str]:
    """The signals not known yet that can still change the truth of a rule; empty if it is settled."""
    match rule:
        case And(children) | Or(children):
            parts = [needed(child, see) for child in children]
            settled = isinstance(rule, Or)  # one true part settles an or, one false part an and
            if any(not part and compile_rule(c)(see) is settled for part, c in zip(parts, children, strict=True)):
                return frozenset()
            return frozenset().union(*parts)
        case Not(child):
            return needed(child, see)
        case _:
            return frozenset() if see(rule.name) is not None else frozenset({rule.name})


def unseen(rule: Rule, see: See) -> frozenset[str]:
    """The signals not known yet that can still change the truth of a rule or its confidence."""
    return frozenset(name for name in names(rule) if see(name) is None)


def confidence(rule: Rule, see: See) -> tuple[float, float]:
    """Bounds of the confidence that a rule has if it holds, both in 0..1; equal once every signal in it is known.

    A comparison has its signal's confidence; `!=` and `not in` are negations and have 1, like `not`. Meaningless for
    a rule that is false.
    """
    match rule:
        case And(children):
            bounds = [confidence(child, see) for child in children]
            return sum(low for low, _ in bounds) / len(bounds), sum(high for _, high in bounds) / len(bounds)
        case Or(children):
            low = high = 0.0
            for child in children:
                holds = compile_rule(child)(see)
                if holds is False:
                    continue
                least, most = confidence(child, see)
                high = max(high, most)
                if holds:
                    low = max(low, least)
            return low, high
        case Not() | Compare(operator="!=") | In(negated=True):
            return 1.0, 1.0
        case _:
            signal = see(rule.name)
            return (0.0, 1.0) if signal is None else (signal.confidence, signal.confidence)


def because(rule: Rule, see: See) -> str:
    """Why a rule has the truth it has, naming the parts that settle it: `code is false and long is true`."""
    truth = compile_rule(rule)(see)
    match rule:
        case And(children) | Or(children):
            parts = [child for child in children if compile_rule(child)(see) is truth]
            all_of_them = truth is isinstance(rule, And) or truth is None
            return " and ".join(because(child, see) for child in (parts if all_of_them else parts[:1]))
        case Not(child):
            return because(child, see)
        case _:
            signal = see(rule.name)
            if signal is None:
                return f"{rule.name} is not known"
            if isinstance(rule, Matched):
                return f"{rule.name} is {str(signal.matched).lower()}"
            value = read(signal, rule.field)
            shown = literal(value) if isinstance(value, str | int | float) else str(value).replace("None", "nothing")
            return f"{rule} is {str(truth).lower()} (it is {shown})"
