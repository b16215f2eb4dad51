"""No signal is computed that cannot change the outcome, and none is left out that can."""

from collections.abc import Mapping
from typing import Any, Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from policies import Script, card, decision, go, names, policy, require

from router.contest import Bounds
from router.kleene import compile_rule, confidence
from router.rules import parse
from router.signals import Signal
from router.spec import ConstraintSpec

YES, NO = Signal(True), Signal(False)


def scripted(script: Script, *decisions: Any, **more: Any) -> Any:
    """A policy over the script's signals: those that begin with n are neural."""
    kinds = {name: "neural" if name.startswith("n") else "cheap" for name in script.found}
    signals = tuple(script.spec(name, kind) for name, kind in kinds.items())
    return policy(*decisions, signals=signals, script=script, **more)


async def test_cheap_signals_are_computed_as_far_as_needed() -> None:
    script = Script(c1=YES, c2=YES, c3=YES)
    rules = scripted(script, decision("one", "c1 or c2", "a"), decision("two", "c3", "a"), decision("rest", None, "a"))
    route = await go(rules)
    assert (route.decision, script.computed) == ("one", ["c1"])


async def test_a_neural_signal_that_cheap_ones_make_pointless_is_not_computed() -> None:
    script = Script(c1=NO, n1=YES)
    rules = scripted(script, decision("one", "n1 and c1", "a"), decision("rest", None, "a"))
    assert (await go(rules)).decision == "rest"
    assert script.computed == ["c1"]


async def test_a_decision_further_down_waits_for_those_above() -> None:
    script = Script(n1=YES, n2=YES)
    rules = scripted(script, decision("one", "n1", "a"), decision("two", "n2", "a"), decision("rest", None, "a"))
    assert (await go(rules)).decision == "one"
    assert script.computed == ["n1"], "n2 could no longer win"


async def test_neural_signals_of_constraints_and_of_the_contest_run_together() -> None:
    script = Script(n1=NO, n2=YES, n3=YES)
    rules = scripted(
        script,
        decision("one", "n2 and n3", "a"),
        decision("rest", None, "a"),
        constraints=(ConstraintSpec(when="n1", refuse="no"),),
    )
    route = await go(rules)
    assert route.decision == "one"
    assert sorted(script.computed) == ["n1", "n2", "n3"]
    assert script.most_running == 3


async def test_constraints_are_evaluated_whoever_wins() -> None:
    script = Script(c1=YES, n1=YES)
    rules = scripted(
        script,
        decision("one", "c1", "far", "near"),
        decision("rest", None, "near"),
        constraints=(require("n1", local=True),),
        experts=(card("far", local=False), card("near")),
    )
    assert names(await go(rules)) == ["near"]
    assert sorted(script.computed) == ["c1", "n1"]


async def test_a_certain_refusal_needs_nothing_else() -> None:
    script = Script(c1=YES, n1=YES)
    rules = scripted(
        script,
        decision("rest", None, "a"),
        constraints=(require("n1", local=True), ConstraintSpec(when="c1 or n1", refuse="no")),
    )
    assert (await go(rules)).refuse == "no"
    assert script.computed == ["c1"]


async def test_by_confidence_a_certain_winner_stops_the_contest() -> None:
    script = Script(c1=Signal(True, confidence=1.0), n1=YES)
    rules = scripted(
        script, decision("one", "c1", "a"), decision("two", "n1", "a"), decision("rest", None, "a"), order="confidence"
    )
    assert (await go(rules)).decision == "one"
    assert script.computed == ["c1"], "n1 could at most equal it, and the first of equals wins"
    script.found["c1"] = Signal(True, confidence=0.9)
    assert (await go(rules)).decision == "two"


NAMES = ("c1", "c2", "n1", "n2", "n3")
expressions = st.recursive(
    st.sampled_from([*NAMES, *(f"{name} == 'x'" for name in NAMES), *(f"{name}.confidence > 0.4" for name in NAMES)]),
    lambda inner: st.one_of(
        st.lists(inner, min_size=2, max_size=3).map(lambda parts: "(" + " and ".join(parts) + ")"),
        st.lists(inner, min_size=2, max_size=3).map(lambda parts: "(" + " or ".join(parts) + ")"),
        inner.map(lambda part: f"not ({part})"),
    ),
    max_leaves=5,
)
found = st.builds(
    Signal,
    st.booleans(),
    label=st.sampled_from(["x", "y", None]),
    confidence=st.sampled_from([0.0, 0.25, 0.5, 0.75, 1.0]),
)
rows = st.tuples(expressions, st.integers(0, 2), st.sampled_from([None, 1, 2]))


def eager(rows: list[tuple[str, int, int | None]], order: str, signals: Mapping[str, Signal]) -> str:
    """The winner with every signal known, by the definition."""
    matching = []
    for i, (when, priority, tier) in enumerate(rows):
        rule = parse(when)
        if compile_rule(rule)(signals.get):
            sure = confidence(rule, signals.get)[0] if order == "confidence" else 0.0
            matching.append((tier is None, tier or 0, -sure, -priority, i, f"d{i}"))
    # The catch-all has no tier and the lowest priority, and a confidence of 0.
    return min([*matching, (True, 0, 0.0, 1, len(rows), "rest")])[-1]


@pytest.mark.parametrize("order", ["priority", "confidence"])
@given(data=st.data())
async def test_lazy_and_eager_evaluation_agree(order: Literal["priority", "confidence"], data: st.DataObject) -> None:
    written = data.draw(st.lists(rows, min_size=1, max_size=5))
    signals = data.draw(st.fixed_dictionaries(dict.fromkeys(NAMES, found)))
    guards = data.draw(st.lists(expressions, max_size=2))
    script = Script(**signals)
    decisions = [decision(f"d{i}", when, "a", priority=p, tier=t) for i, (when, p, t) in enumerate(written)]
    rules = scripted(
        script,
        *decisions,
        decision("rest", None, "a", priority=-1),
        constraints=tuple(ConstraintSpec(when=when, refuse="no") for when in guards),
        order=order,
    )
    route = await go(rules)
    refused = any(compile_rule(parse(when))(signals.get) for when in guards)
    assert route.decision == ("refused" if refused else eager(written, order, signals))
    assert len(script.computed) == len(set(script.computed)), "nothing twice"
    assert isinstance(route.trace(), dict)


def test_bounds_are_empty_by_default() -> None:
    assert Bounds() == Bounds(None, ())
