"""Conditions of vLLM Semantic Router as our expressions. Knows no signal's parameters: what a name there means here is
looked up. A condition that could not be carried is false, and what follows from that is worked out.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeAlias

from router.tree import And, Not, Or, Rule

Truth: TypeAlias = Rule | bool
"""An expression, or what is always true or never."""
Lookup: TypeAlias = Callable[[str, str, str], Truth]
"""The expression for a condition's type and name, at a place."""


def rule(node: Any, lookup: Lookup, place: str) -> Truth:
    """A tree of `{operator, conditions}` and `{type, name}`; nothing, or AND of nothing, always holds."""
    if not node:
        return True
    if "operator" not in node and "conditions" not in node:
        return lookup(str(node.get("type", "")), str(node.get("name", "")), place)
    parts = [rule(child, lookup, f"{place}.conditions[{i}]") for i, child in enumerate(node.get("conditions") or ())]
    match str(node.get("operator", "AND")).upper():
        case "OR":
            return any_of(parts)
        case "NOT":
            return negated(any_of(parts)) if parts else True
        case "NOR":
            return negated(any_of(parts))
        case _:
            return all_of(parts)


def all_of(parts: Sequence[Truth]) -> Truth:
    """True where all are."""
    if any(part is False for part in parts):
        return False
    left = tuple(part for part in parts if not isinstance(part, bool))
    return True if not left else left[0] if len(left) == 1 else And(_flat(left, And))


def any_of(parts: Sequence[Truth]) -> Truth:
    """True where any is; of nothing: never."""
    if any(part is True for part in parts):
        return True
    left = tuple(part for part in parts if not isinstance(part, bool))
    return False if not left else left[0] if len(left) == 1 else Or(_flat(left, Or))


def negated(part: Truth) -> Truth:
    """The opposite."""
    return not part if isinstance(part, bool) else part.child if isinstance(part, Not) else Not(part)


def _flat(parts: Sequence[Rule], kind: type[And] | type[Or]) -> tuple[Rule, ...]:
    """An AND within an AND is one AND. Its confidence, the mean of its parts, may differ; truth does not."""
    flat: list[Rule] = []
    for part in parts:
        flat.extend(part.children if isinstance(part, kind) and kind is Or else (part,))
    return tuple(dict.fromkeys(flat))


def bounds(predicate: Mapping[str, Any] | None) -> dict[str, float]:
    """gt, gte, lt and lte, as far as they are given."""
    return {key: float(value) for key, value in (predicate or {}).items() if key in ("gt", "gte", "lt", "lte")}
