"""The `when:` expression: how it reads, how it is written back, how it says what is wrong."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from experts.errors import ConfigError
from router.rules import MAX_DEPTH, RuleError, parse
from router.tree import And, Compare, In, Matched, Not, Or, Rule, names

KNOWN = ["code", "long", "topic", "my signal", "a/b-c@2"]


def test_precedence_is_not_then_and_then_or() -> None:
    assert parse("code or not long and topic") == Or((Matched("code"), And((Not(Matched("long")), Matched("topic")))))
    assert parse("(code or long) and topic") == And((Or((Matched("code"), Matched("long"))), Matched("topic")))
    assert parse("NOT code AND long") == parse("not code and long")


def test_comparisons_and_lists() -> None:
    assert parse("topic == 'math'") == Compare("topic", None, "==", "math")
    assert parse("topic.confidence>=0.6") == Compare("topic", "confidence", ">=", 0.6)
    assert parse("topic.count < -2") == Compare("topic", "count", "<", -2)
    assert parse("topic.matched == true") == Compare("topic", "matched", "==", True)
    assert parse("topic in ['a', \"b\", 3, false]") == In("topic", None, False, ("a", "b", 3, False))
    assert parse("not topic not in ['a']") == Not(In("topic", None, True, ("a",)))


def test_names_of_every_shape() -> None:
    assert parse("a/b-c@2 and `my signal`", KNOWN) == And((Matched("a/b-c@2"), Matched("my signal")))
    assert parse("`and`") == Matched("and")
    assert parse("2024-plan and 3d") == And((Matched("2024-plan"), Matched("3d")))
    assert parse("größe") == Matched("größe")
    assert names(parse("a and (b or not c == 'x') and d in [1]")) == {"a", "b", "c", "d"}


@pytest.mark.parametrize(
    ("text", "at", "says", "advises"),
    [
        (
            "cod and long",
            0,
            "unknown signal 'cod'",
            "Did you mean code? Known signals: a/b-c@2, code, long, my signal, topic.",
        ),
        ("code and", 8, "a signal's name is expected, the end found", None),
        ("topic == math", 9, "a text, number, true or false is expected", "Quote it: 'math'."),
        ("topic = 'math'", 6, "unexpected '='", "Write == to compare."),
        ("code && long", 5, "unexpected '&'", "Write 'and'."),
        ("topic.confidense > 1", 6, "a signal has no field 'confidense'", "Did you mean confidence?"),
        ("1 < topic", 0, "a signal's name is expected", "Write the signal first"),
        ("topic < 'x'", 8, '< compares numbers, "x" found', "Texts compare with"),
        ("0.2 < topic < 0.4", 0, "a signal's name is expected", None),
        ("topic > 0.2 < 0.4", 12, "comparisons cannot be chained", "Write x > 1 and x < 2."),
        ("(code or long", 13, "')' is expected", None),
        ("code) or long", 4, "'and', 'or' or the end is expected", None),
        ("topic in 'math'", 9, "a list, as in ['a', 'b'], is expected", None),
        ("topic in []", 10, "a text, number, true or false is expected", None),
        ("topic == 'math", 9, "unexpected", "no closing quote"),
        ("`my signal", 0, "unexpected", "no closing backtick"),
        (r"topic == 'a\q'", 11, r"unknown escape \q", None),
        ("topic.confidence", 16, "a comparison of topic.confidence", None),
        ("topic < 1e999", 8, "this number is too long", None),
        ("topic < " + "9" * 5000, 8, "this number is too long", None),
        ("", 0, "this one is empty", "Leave `when` out"),
        ("not " * 60 + "code", 4 * MAX_DEPTH, "nested 50 deep", None),
        ("code or " * 5000 + "code", 0, "at most 20,000 characters", None),
    ],
)
def test_a_mistake_is_pointed_at(text: str, at: int, says: str, advises: str | None) -> None:
    with pytest.raises(RuleError) as caught:
        parse(text, KNOWN)
    error = caught.value
    assert error.offset == at
    assert says in error.message
    if advises is not None:
        assert advises in (error.remedy or "")


def test_the_message_shows_the_place() -> None:
    with pytest.raises(ConfigError) as caught:
        parse("code and\n  long or (topic == math)", KNOWN, key="decisions.0.when")
    assert str(caught.value).splitlines() == [
        "decisions.0.when: a text, number, true or false is expected",
        "      long or (topic == math)",
        "                        ^ Is a text meant? Quote it: 'math'.",
    ]


signal_names = st.one_of(
    st.sampled_from(["a", "b", "and", "not", "true", "3d", "7", "x-y/z@1", "two words"]),
    st.text(st.characters(exclude_characters="`"), min_size=1),
)
constants = st.one_of(
    st.booleans(), st.integers(-(10**9), 10**9), st.floats(-1e6, 1e6, allow_subnormal=False), st.text()
)
numbers = st.one_of(st.integers(-(10**9), 10**9), st.floats(-1e6, 1e6, allow_subnormal=False))
fields = st.sampled_from([None, "matched", "value", "label", "confidence", "count"])
atoms: st.SearchStrategy[Rule] = st.one_of(
    st.builds(Matched, signal_names),
    st.builds(Compare, signal_names, fields, st.sampled_from(["==", "!="]), constants),
    st.builds(Compare, signal_names, fields, st.sampled_from(["<", "<=", ">", ">="]), numbers),
    st.builds(In, signal_names, fields, st.booleans(), st.lists(constants, min_size=1, max_size=4).map(tuple)),
)


def _pairs(children: st.SearchStrategy[Rule]) -> st.SearchStrategy[tuple[Rule, ...]]:
    return st.lists(children, min_size=2, max_size=3).map(tuple)


rules: st.SearchStrategy[Rule] = st.recursive(
    atoms,
    lambda children: st.one_of(
        st.builds(And, _pairs(children)), st.builds(Or, _pairs(children)), st.builds(Not, children)
    ),
    max_leaves=12,
)


@given(rules)
def test_what_is_written_back_reads_the_same(rule: Rule) -> None:
    again = parse(str(rule))
    assert again == rule
    assert repr(again) == repr(rule), "types too: True is not 1"


@given(st.one_of(st.text(), st.text("abc()[]<>=!.,'\"`0123456789 notandri\\\n", max_size=60)))
def test_any_text_parses_or_says_why(text: str) -> None:
    try:
        rule = parse(text)
    except RuleError as error:
        assert 0 <= error.offset <= len(text)
        assert error.message.splitlines()[-1].strip() == "^"
    else:
        assert parse(str(rule)) == rule
