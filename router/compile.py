"""From a policy as written to one that can run: every name checked, every signal and selector built.

Knows nothing of requests. What is wrong raises `ConfigError` with the key in the file: a policy that compiles runs.
"""

import difflib
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

from experts.errors import ConfigError, InputError
from router.card import Card
from router.contest import Condition, Constraint, Contender
from router.look import Source
from router.rules import parse
from router.selectors import Select, SelectLater
from router.spec import ConstraintSpec, DecisionSpec, Requirement, SignalSpec
from router.tools import Tools
from router.tree import names

Load = Callable[[str, str], Any]
"""A package's name and a file's name in it, to the file as an object: `experts.registry.load`."""


@dataclass(frozen=True, slots=True)
class Chooser:
    """A decision's selector, ready to run."""

    type: str
    select: Select | SelectLater
    neural: bool


def signals(specs: Iterable[SignalSpec], tools: Tools, load: Load) -> dict[str, Source]:
    """Every signal, built. A signal that could not run is an error here, never a silent no-match later."""
    specs = tuple(specs)
    known = frozenset(spec.name for spec in specs)
    sources: dict[str, Source] = {}
    parts: dict[str, frozenset[str]] = {}
    for spec in specs:
        key = f"signals.{spec.name}"
        if spec.name in sources:
            raise ConfigError(f"there are two signals named {spec.name!r}", key=key, remedy="Rename one of them.")
        file = load("router.signals", spec.type)
        _need(file.NEEDS, tools, f"a signal of type {spec.type}", key)
        if file.COST == "derived":
            reads = [parse(rule, known, key=f"{key}.{place}") for place, rule in file.reads(spec.params)]
            parts[spec.name] = frozenset().union(*map(names, reads))
        evaluate = _build(partial(file.build, spec.params, tools), key)
        head = file.head(spec.params, tools) if hasattr(file, "head") else None
        experimental = head.experimental if head is not None else None
        sources[spec.name] = Source(spec.name, spec.type, evaluate, file.COST, spec.on_error, experimental)
    _acyclic(parts)
    return sources


def _acyclic(parts: Mapping[str, frozenset[str]]) -> None:
    """No derived signal is, in the end, made of itself."""
    done: set[str] = set()

    def visit(name: str, path: tuple[str, ...]) -> None:
        if name in path:
            circle = " → ".join((*path[path.index(name) :], name))
            raise ConfigError(
                f"a signal cannot be made of itself: {circle}",
                key=f"signals.{name}",
                remedy="Take one of them out of what another reads.",
            )
        if name not in done:
            for part in sorted(parts.get(name, ())):
                visit(part, (*path, name))
            done.add(name)

    for name in parts:
        visit(name, ())


def constraints(
    specs: Iterable[ConstraintSpec], known: frozenset[str], experts: Mapping[str, Card]
) -> tuple[Constraint, ...]:
    """Every constraint, checked."""
    found: list[Constraint] = []
    for i, spec in enumerate(specs):
        key = f"constraints.{i}"
        if (spec.refuse is None) == (spec.require is None):
            given = "none" if spec.refuse is None else "both"
            raise ConfigError(
                f"a constraint has exactly one of refuse and require, this one {given}",
                key=key,
                remedy="Write {when: …, refuse: 'a text'} or {when: …, require: {local: true}}.",
            )
        if spec.require is not None:
            if spec.require == Requirement():
                raise ConfigError("it demands nothing", key=f"{key}.require", remedy="Write for example {local: true}.")
            for name in spec.require.experts:
                _expert(name, experts, f"{key}.require.experts")
        found.append(Constraint.of(spec, Condition.of(spec.when, known, f"{key}.when")))
    return tuple(found)


def decisions(
    specs: Iterable[DecisionSpec], known: frozenset[str], experts: Mapping[str, Card]
) -> tuple[Contender, ...]:
    """Every decision, checked, in the order in which they are asked: by tier, priority, place in the file."""
    specs = list(specs)
    for name, times in Counter(spec.name for spec in specs).items():
        if times > 1:
            raise ConfigError(f"there are {times} decisions named {name!r}", key="decisions", remedy="Rename them.")
    at = {spec.name: i for i, spec in enumerate(specs)}
    for spec in specs:
        for expert in spec.use:
            _expert(expert, experts, f"decisions.{at[spec.name]}.use")
        if twice := [name for name, times in Counter(spec.use).items() if times > 1]:
            raise ConfigError(f"{twice[0]!r} is listed twice", key=f"decisions.{at[spec.name]}.use")
    order = sorted(specs, key=lambda s: (s.tier is None, s.tier or 0, -s.priority))  # stable: then file order
    _reachable(order, at)
    return tuple(
        Contender(spec, Condition.of(spec.when, known, f"decisions.{at[spec.name]}.when"), place, at[spec.name])
        for place, spec in enumerate(order)
    )


def gates(contenders: Iterable[Contender], known: frozenset[str]) -> dict[str, tuple[Condition, ...]]:
    """When each plugin of a decision takes part, by the decision's name."""
    return {
        contender.spec.name: tuple(
            Condition.of(plugin.when, known, f"decisions.{contender.index}.plugins.{i}.when")
            for i, plugin in enumerate(contender.spec.plugins)
        )
        for contender in contenders
    }


def choosers(
    contenders: Iterable[Contender], experts: Mapping[str, Card], tools: Tools, load: Load
) -> dict[str, Chooser]:
    """The selector of every decision, built for its experts."""
    found: dict[str, Chooser] = {}
    for contender in contenders:
        spec, choice = contender.spec, contender.spec.select
        key = f"decisions.{contender.index}.select"
        file = load("router.selectors", choice.type)
        _need(file.NEEDS, tools, f"the selector {choice.type}", key)
        cards = [experts[name] for name in spec.use]
        select = _build(partial(file.build, choice.params, cards, tools), key)
        found[spec.name] = Chooser(choice.type, select, file.COST == "neural")
    return found


def _reachable(order: list[DecisionSpec], at: Mapping[str, int]) -> None:
    """One decision without `when`, and it is asked last."""
    last = order[-1]
    always = [spec for spec in order if spec.when is None]
    if not always:
        raise ConfigError(
            f"the decision asked last, {last.name!r}, has a `when`, so a request that nothing matches has no answer",
            key=f"decisions.{at[last.name]}.when",
            remedy="Add a last decision without `when`, as in {name: rest, use: [an expert]}.",
        )
    if always[0] is not last:
        unreached = [spec.name for spec in order[order.index(always[0]) + 1 :]]
        raise ConfigError(
            f"{', '.join(unreached)} can never be reached: {always[0].name!r}, asked before, has no `when`",
            key=f"decisions.{at[unreached[0]]}",
            remedy=f"Give {always[0].name!r} a `when`, or a lower priority (or higher tier) than every other decision.",
        )


def _need(needs: Iterable[str], tools: Tools, what: str, key: str) -> None:
    for need in sorted(needs):
        tool = getattr(tools, need, None)
        if tool is None:
            raise ConfigError(f"{what} needs {need}, which is not available here", key=key)
        missing: Callable[[], str | None] | None = getattr(tool, "missing", None)  # a stand-in in a test has none
        if missing is not None and (lacks := missing()) is not None:
            raise ConfigError(f"{what} needs {need}: {lacks}", key=key)


def _build(build: Callable[[], Any], key: str) -> Any:
    try:
        return build()
    except (InputError, ValueError) as error:
        message, remedy = (error.message, error.remedy) if isinstance(error, InputError) else (str(error), None)
        raise ConfigError(message, key=key, remedy=remedy) from error


def _expert(name: str, experts: Mapping[str, Card], key: str) -> None:
    if name not in experts:
        close = difflib.get_close_matches(name, experts, n=1)
        hint = f"Did you mean {close[0]}? " if close else ""
        raise ConfigError(f"unknown expert {name!r}", key=key, remedy=f"{hint}Known: {', '.join(sorted(experts))}.")
