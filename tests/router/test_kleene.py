"""Truth, confidence and reasons of expressions, with every signal known and with some not."""

from collections.abc import Mapping
from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from router.kleene import because, compile_rule, confidence, needed
from router.rules import parse
from router.signals import Signal
from router.tree import And, Compare, In, Matched, Not, Or, Rule, names

LAW = Signal(True, value="law", label="law", confidence=0.8)
WORDS = Signal(True, value=("sql", "python"), count=2)
TOKENS = Signal(False, value=4200, count=4200)


def truth(text: str, signals: Mapping[str, Signal]) -> bool | None:
    return compile_rule(parse(text))(signals.get)


@pytest.mark.parametrize(
    ("text", "holds"),
    [
        ("topic == 'law'", True),
        ("topic != 'law'", False),
        ("topic in ['math', 'law']", True),
        ("topic not in ['math', 'law']", False),
        ("topic.confidence > 0.7", True),
        ("topic.confidence >= 0.8 and topic.confidence < 0.81", True),
        ("tokens > 4000", True),
        ("tokens", False),
        ("tokens.matched == false", True),
        ("words.count == 2", True),
        ("words == 'sql'", True),
        ("words in ['rust', 'python']", True),
        ("words not in ['rust']", True),
        ("words > 1", False),  # several items have no order; words.count has
        ("topic > 1", False),  # a text has none either
        ("tokens.label == 'x'", False),  # what a signal lacks equals nothing
        ("tokens.label != 'x'", True),
        ("tokens == true", False),
        ("topic.matched == 1", False),  # true is not 1
    ],
)
def test_comparisons(text: str, holds: bool) -> None:
    assert truth(text, {"topic": LAW, "words": WORDS, "tokens": TOKENS}) is holds


def test_unknown_signals_leave_a_rule_open_unless_the_rest_settles_it() -> None:
    known = {"yes": Signal(True), "no": Signal(False)}
    assert truth("yes and later", known) is None
    assert truth("later and no", known) is False
    assert truth("later or yes", known) is True
    assert truth("no or later", known) is None
    assert truth("not later", known) is None
    assert truth("later == 'x'", known) is None


def test_needed_names_only_what_can_still_change_it() -> None:
    see = {"yes": Signal(True), "no": Signal(False)}.get
    assert needed(parse("yes and a and b"), see) == {"a", "b"}
    assert needed(parse("no and a"), see) == frozenset()
    assert needed(parse("yes or a"), see) == frozenset()
    assert needed(parse("(no and a) or (yes and b)"), see) == {"b"}
    assert needed(parse("not (yes or a) and b"), see) == frozenset()


def test_confidence_is_mean_max_and_one() -> None:
    see = {"a": Signal(True, confidence=0.6), "b": Signal(True, confidence=1.0), "c": Signal(False, confidence=0.9)}.get
    assert confidence(parse("a and b"), see) == (0.8, 0.8)
    assert confidence(parse("a or c"), see) == (0.6, 0.6), "what does not hold adds nothing"
    assert confidence(parse("a or b"), see) == (1.0, 1.0)
    assert confidence(parse("not c"), see) == (1.0, 1.0)
    assert confidence(parse("a != 'x' and a"), see) == (0.8, 0.8)
    assert confidence(parse("a and later"), see) == (0.3, 0.8)


def test_reasons_name_the_parts_that_settle_it() -> None:
    see = {"code": Signal(False), "long": Signal(True), "topic": LAW, "tokens": TOKENS}.get
    assert because(parse("code and long"), see) == "code is false"
    assert because(parse("long and not code"), see) == "long is true and code is false"
    assert because(parse("code or topic == 'math'"), see) == 'code is false and topic == "math" is false (it is "law")'
    assert because(parse("tokens > 9000"), see) == "tokens > 9000 is false (it is 4200)"
    assert because(parse("tokens.label == 'x'"), see) == 'tokens.label == "x" is false (it is nothing)'
    assert because(parse("long and later"), see) == "later is not known"


NAMES = "abcd"
atoms: st.SearchStrategy[Rule] = st.one_of(
    st.sampled_from(NAMES).map(Matched),
    st.builds(
        Compare, st.sampled_from(NAMES), st.just("value"), st.sampled_from(["==", "!=", "<", ">="]), st.integers(0, 2)
    ),
    st.builds(In, st.sampled_from(NAMES), st.just("value"), st.booleans(), st.just((0, 2))),
)
rules: st.SearchStrategy[Rule] = st.recursive(
    atoms,
    lambda kids: st.one_of(
        st.lists(kids, min_size=2, max_size=3).map(lambda c: And(tuple(c))),
        st.lists(kids, min_size=2, max_size=3).map(lambda c: Or(tuple(c))),
        kids.map(Not),
    ),
    max_leaves=8,
)
signals = st.builds(Signal, st.booleans(), value=st.integers(0, 2), confidence=st.sampled_from([0.0, 0.25, 0.5, 1.0]))


@given(rules, st.fixed_dictionaries(dict.fromkeys(NAMES, signals)))
def test_with_all_known_it_is_pythons_own_truth(rule: Rule, known: dict[str, Signal]) -> None:
    python = str(rule).replace(".value", "_value")
    scope = {n: s.matched for n, s in known.items()} | {f"{n}_value": s.value for n, s in known.items()}
    assert compile_rule(rule)(known.get) is bool(eval(python, {}, scope))
    low, high = confidence(rule, known.get)
    assert low == high


@given(rules, st.fixed_dictionaries({}, optional=dict.fromkeys(NAMES, signals)))
def test_with_some_unknown_it_says_what_every_completion_agrees_on(rule: Rule, known: dict[str, Signal]) -> None:
    found = compile_rule(rule)(known.get)
    needs = needed(rule, known.get)
    assert needs <= names(rule) - set(known)
    assert bool(needs) is (found is None)
    if found is None:
        return
    missing = sorted(names(rule) - set(known))
    values = [Signal(m, value=v, confidence=c) for m, v, c in ((True, 0, 0.0), (False, 1, 1.0), (True, 2, 0.5))]
    low, high = confidence(rule, known.get)
    for filled in product(values, repeat=len(missing)):
        complete = {**known, **dict(zip(missing, filled, strict=True))}
        assert compile_rule(rule)(complete.get) is found
        if found:
            assert low - 1e-12 <= confidence(rule, complete.get)[0] <= high + 1e-12
