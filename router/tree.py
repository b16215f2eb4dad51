"""The tree that a `when:` expression becomes, and how it is written back. Knows nothing of parsing or of values."""

import re
from dataclasses import dataclass
from typing import Literal, TypeAlias

Field: TypeAlias = Literal["matched", "value", "label", "confidence", "count"]
Operator: TypeAlias = Literal["==", "!=", "<", "<=", ">", ">="]
Constant: TypeAlias = str | int | float | bool

NUMBER = r"-?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?(?![\w/@-])"
NAME = r"\w[\w/@-]*"
_KEYWORDS = frozenset({"and", "or", "not", "in", "true", "false"})
_BARE = re.compile(f"(?!{NUMBER}){NAME}")


@dataclass(frozen=True, slots=True)
class And:
    """True if every child is."""

    children: tuple["Rule", ...]

    def __str__(self) -> str:
        return " and ".join(f"({c})" if isinstance(c, And | Or) else str(c) for c in self.children)


@dataclass(frozen=True, slots=True)
class Or:
    """True if any child is."""

    children: tuple["Rule", ...]

    def __str__(self) -> str:
        return " or ".join(f"({c})" if isinstance(c, Or) else str(c) for c in self.children)


@dataclass(frozen=True, slots=True)
class Not:
    """True if its child is false."""

    child: "Rule"

    def __str__(self) -> str:
        return f"not ({self.child})" if isinstance(self.child, And | Or) else f"not {self.child}"


@dataclass(frozen=True, slots=True)
class Matched:
    """True if the signal matched."""

    name: str

    def __str__(self) -> str:
        return _name(self.name)


@dataclass(frozen=True, slots=True)
class Compare:
    """A signal's field against a constant. `field` None: its label if it has one, else its value."""

    name: str
    field: Field | None
    operator: Operator
    constant: Constant

    def __str__(self) -> str:
        return f"{_operand(self.name, self.field)} {self.operator} {literal(self.constant)}"


@dataclass(frozen=True, slots=True)
class In:
    """A signal's field among constants, or not among them."""

    name: str
    field: Field | None
    negated: bool
    constants: tuple[Constant, ...]

    def __str__(self) -> str:
        items = ", ".join(literal(c) for c in self.constants)
        return f"{_operand(self.name, self.field)} {'not in' if self.negated else 'in'} [{items}]"


Rule: TypeAlias = And | Or | Not | Matched | Compare | In


def names(rule: Rule) -> frozenset[str]:
    """The signals a rule reads."""
    match rule:
        case And(children) | Or(children):
            return frozenset().union(*(names(child) for child in children))
        case Not(child):
            return names(child)
        case _:
            return frozenset({rule.name})


def keyword(word: str) -> str | None:
    """The keyword a bare word is, if any: written small or in capitals throughout."""
    small = word.lower()
    return small if small in _KEYWORDS and word in (small, small.upper()) else None


def _name(name: str) -> str:
    return name if _BARE.fullmatch(name) and not keyword(name) else f"`{name}`"


def _operand(name: str, field: Field | None) -> str:
    return f"{_name(name)}.{field}" if field else _name(name)


def literal(constant: Constant) -> str:
    """A constant as an expression writes it."""
    if isinstance(constant, bool):
        return str(constant).lower()
    if isinstance(constant, str):
        escaped = constant.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n").replace("\t", "\\t")
        return f'"{escaped}"'
    return repr(constant)
