"""YAML whose every value knows its place: what is read, what is refused, and where errors point."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from experts.errors import ConfigError
from orchestrator.yaml_marks import dotted, read_yaml


def refusal(text: str) -> ConfigError:
    with pytest.raises(ConfigError) as caught:
        read_yaml(text, "m.yaml")
    return caught.value


def test_words_of_yaml_1_1_are_the_text_they_look_like():
    text = "on: no\nyes: off\ntime: 12:30\nday: 2026-11-23\nthousand: 1_000\noctal: 010\n1: y\n"
    assert read_yaml(text, "f").data == {
        "on": "no",
        "yes": "off",
        "time": "12:30",
        "day": "2026-11-23",
        "thousand": "1_000",
        "octal": 10,
        "1": "y",
    }


def test_numbers_booleans_and_nothing():
    text = "[1, -2, 0x1f, 0o17, .5, 1e3, 1.5, true, False, ~, null, '5', \"true\", !!str 7]"
    assert read_yaml(text, "f").data == [1, -2, 31, 15, 0.5, 1000.0, 1.5, True, False, None, None, "5", "true", "7"]


def test_an_empty_file_is_nothing_and_a_byte_order_mark_is_ignored():
    assert read_yaml("", "f").data == {}
    assert read_yaml("# only a comment\n", "f").data == {}
    doc = read_yaml("\ufeffa: 1\r\nb: 2\r\n", "f")
    assert doc.data == {"a": 1, "b": 2}
    assert doc.place(("b",)) == (2, 4)


def test_aliases_and_merge_keys():
    text = "base: &b {x: 1, y: 2}\none: {<<: *b, y: 3}\ntwo: {<<: [{x: 9}, *b]}\n"
    doc = read_yaml(text, "f")
    assert doc.data["one"] == {"x": 1, "y": 3}
    assert doc.data["two"] == {"x": 9, "y": 2}
    assert doc.place(("one", "x"), at_key=True) == (1, 11)  # where the mistake would be mended


@pytest.mark.parametrize(
    ("text", "place", "words"),
    [
        ("a: 1\nb: 2\na: 3\n", (3, 1), "key 'a' is here twice; the first is on line 1"),
        ("a: 1\n\tb: 2\n", (2, 1), "a tab cannot indent YAML"),
        ("a:\n  - 1\n\t- 2\n", (3, 1), "Use spaces."),
        ("a: @b\n", (1, 4), "Text that starts with @ must be quoted."),
        ("a: b: c\n", (1, 5), "Text that holds ': ' must be quoted"),
        ("a: [1,\n", (2, 1), "not YAML"),
        ('x: 1\na: "open\nb: 1\n', (4, 1), "it began on line 2"),
        ("a: *b\n", (1, 4), "alias *b names nothing"),
        ("a: &a [*a]\n", (1, 8), "alias *a names nothing"),
        ("a: 1\n---\nb: 2\n", (2, 1), "one document"),
        ("a: !!python/object:os.system x\n", (1, 4), "tag 'tag:yaml.org,2002:python/object:os.system' is not allowed"),
        ("a: !foo {x: 1}\n", (1, 4), "tag '!foo' is not allowed"),
        ("? [a]\n: 1\n", (1, 3), "a key must be plain text"),
        ("a: .inf\n", (1, 4), "no finite number"),
        ("a: 1e999\n", (1, 4), "larger than any number"),
        ("a: " + "9" * 40, (1, 4), "more than 30 digits"),
        ("a: {<<: 5}\n", (1, 9), "'<<' merges a mapping"),
        ("a: " + "[" * 60, (1, 52), "nested deeper than 48 levels"),
        ("a: b\x00c\n", (1, 5), "control characters"),
        ("a: b\n\ud800", (2, None), "half of a surrogate pair"),
    ],
)
def test_what_is_refused_and_where(text: str, place: tuple[int, int | None], words: str):
    error = refusal(text)
    assert words in str(error)
    assert (error.line, error.column) == place


def test_aliases_cannot_blow_up():
    text = "a0: &a0 [1, 2]\n" + "".join(f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 9)}]\n" for i in range(1, 12))
    assert "more than 100,000 values" in str(refusal(text))


@pytest.mark.parametrize(
    "written",
    [
        "when: code and nope or x",
        "when: 'code and nope or x'",
        'when: "code and nope or x"',
        'when: "co\\x64e and\\tnope or x"',
        "when: 'it''s and nope or x'",
        'when: "say \\"x\\" and nope"',
        "when: &rule code and nope",
        "when: !!str code and nope",
        "when: code and\n      nope or x",
        "when: >-\n      code and\n      nope or x",
        "when: >\n    code and\n\n      nope\n    or x\n",
        "when: |\n    code\n      and nope\n    or x",
        "when: |2+  # a comment\n    code\n      and nope\n",
        'when: "code and \\\n      nope"',
        "when: 'code and\n\n      nope'",
        "when: é and nope",
        "{other: 1, when: code and nope}",
    ],
)
def test_a_character_of_a_text_is_found_however_the_text_is_written(written: str):
    text = f"# a policy\n{written}\n"
    doc = read_yaml(text, "f")
    value = doc.data["when"]
    line, column = doc.place(("when",), offset=value.index("nope"))
    assert text.split("\n")[line - 1][column - 1 :].startswith("nope")


def test_the_end_of_a_text_is_behind_its_last_character():
    doc = read_yaml('a: "x and "\nb: |\n  x and\nc: ""\n', "f")
    assert doc.place(("a",), offset=6) == (1, 10)
    assert doc.place(("b",), offset=6) == (3, 8)
    assert doc.place(("c",), offset=0) == (4, 4)


def test_the_nearest_place_that_exists():
    doc = read_yaml("a:\n  b: [1, {c: 2}]\n", "f")
    assert doc.place(("a", "b", 1, "c")) == (2, 14)
    assert doc.place(("a", "b", 1, "gone")) == (2, 10)
    assert doc.place(("a", "b", 1, "c"), at_key=True) == (2, 11)
    assert dotted(("decisions", 0, "when")) == "decisions[0].when"


@given(st.text())
def test_any_text_is_data_or_a_config_error(text: str):
    try:
        doc = read_yaml(text, "f")
    except ConfigError as error:
        assert error.line is None or error.line >= 1
    else:
        assert doc.place(("x", 0)) >= (1, 1)


YAML_PIECES = st.sampled_from(
    [*list("{}[]:,-?|>'\"&*!#%@\\\n \tabé0\x85\u2028"), "<<: ", "- ", ": ", "&a ", "*a ", "|2\n "]
)


@given(st.lists(YAML_PIECES).map("".join), st.integers(0, 50))
def test_any_yaml_is_data_or_a_config_error_and_every_character_has_a_place(text: str, offset: int):
    try:
        doc = read_yaml(text, "f")
    except ConfigError:
        return
    lines = re.split("[\n\x85\u2028\u2029]", doc.text)  # what YAML counts as a line
    for key in doc.data if isinstance(doc.data, dict) else ():
        line, column = doc.place((key,), offset=offset)
        assert 1 <= line <= len(lines)
        assert 1 <= column <= len(lines[line - 1]) + 1
