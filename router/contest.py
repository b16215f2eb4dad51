"""Which decision wins, as far as the signals known by now can tell. Knows nothing of experts.

Every function returns its answer or the signals still needed for it: cheap ones are computed on the way, neural ones
are asked for only while they can still change the outcome.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from router.kleene import Truth, compile_rule, confidence, needed, unseen
from router.rules import parse
from router.signals import Missing, See
from router.spec import ConstraintSpec, DecisionSpec, Requirement
from router.tree import Rule


@dataclass(frozen=True, slots=True)
class Condition:
    """A compiled `when:`; without a rule it always holds."""

    rule: Rule | None
    truth: Truth

    @classmethod
    def of(cls, when: str | None, known: frozenset[str], key: str) -> "Condition":
        """Raises `RuleError` for bad syntax and for signals not known."""
        if when is None:
            return cls(None, lambda see: True)
        rule = parse(when, known, key=key)
        return cls(rule, compile_rule(rule))

    def missing(self, see: See) -> Missing:
        """The signals that can still change its truth."""
        return frozenset() if self.rule is None else needed(self.rule, see)

    def unseen(self, see: See) -> Missing:
        """The signals that can still change its truth or its confidence."""
        return frozenset() if self.rule is None else unseen(self.rule, see)

    def confidence(self, see: See) -> tuple[float, float]:
        """Bounds in 0..1. What always holds has 0: it is the last resort, not the surest match."""
        return (0.0, 0.0) if self.rule is None else confidence(self.rule, see)


@dataclass(frozen=True, slots=True)
class Constraint:
    """A constraint, compiled: either `refuse` or `require` is set."""

    name: str
    condition: Condition
    refuse: str | None
    require: Requirement | None

    @classmethod
    def of(cls, spec: ConstraintSpec, condition: Condition) -> "Constraint":
        return cls(spec.name or spec.when, condition, spec.refuse, spec.require)


@dataclass(frozen=True, slots=True)
class Contender:
    """A decision, compiled. `place` is its rank where confidence does not decide: by tier, priority, file order;
    `index` its place in the file, from 0."""

    spec: DecisionSpec
    condition: Condition
    place: int
    index: int


@dataclass(frozen=True, slots=True)
class Bounds:
    """What constraints say of a request: the one that refuses it, or all that demand something of experts."""

    refusal: Constraint | None = None
    demands: tuple[Constraint, ...] = ()


def judge(constraints: Sequence[Constraint], see: See) -> Bounds | Missing:
    """All constraints. A refusal that is certain needs no other signal."""
    missing: set[str] = set()
    demands: list[Constraint] = []
    for constraint in constraints:
        holds = constraint.condition.truth(see)
        if holds is None:
            missing |= constraint.condition.missing(see)
        elif holds and constraint.refuse is not None:
            return Bounds(refusal=constraint)
        elif holds:
            demands.append(constraint)
    return frozenset(missing) if missing else Bounds(demands=tuple(demands))


def first(contenders: Sequence[Contender], see: See) -> Contender | Missing:
    """The first that holds, in order of place. The last one always holds."""
    for contender in contenders:
        holds = contender.condition.truth(see)
        if holds:
            return contender
        if holds is None:
            return contender.condition.missing(see)
    raise AssertionError("the last decision of a compiled policy always holds")


def surest(tiers: Sequence[Sequence[Contender]], see: See) -> Contender | Missing:
    """Of the first tier in which any holds, the one with the highest confidence; of equals the first."""
    for tier in tiers:
        open_: list[tuple[float, float, Contender]] = []
        leader: tuple[float, Contender] | None = None
        for contender in tier:
            holds = contender.condition.truth(see)
            if holds is False:
                continue
            low, high = contender.condition.confidence(see)
            open_.append((low, high, contender))
            if holds and (leader is None or low > leader[0]):
                leader = low, contender
        if not open_:
            continue
        rivals = [c for low, high, c in open_ if leader is None or not _beats(leader, high, c)]
        if leader is not None and not rivals:
            return leader[1]
        if leader is not None:
            rivals.append(leader[1])
        return frozenset().union(*(rival.condition.unseen(see) for rival in rivals))
    raise AssertionError("the last decision of a compiled policy always holds")


def _beats(leader: tuple[float, Contender], high: float, other: Contender) -> bool:
    """Whether the leader stays ahead even of the other's best case."""
    low, contender = leader
    return other is contender or high < low or (high == low and contender.place < other.place)
