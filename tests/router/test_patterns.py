"""Words and patterns in linear time."""

import re
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from router.patterns import MAX_HITS, Words, regex


@pytest.mark.parametrize(
    ("word", "text", "there"),
    [
        ("sql", "Write SQL, please", True),
        ("sql", "mysql or nosql_x", False),
        ("sql", "用SQL查询", True),  # Chinese has no blanks to divide words
        ("c++", "Is C++ fast?", True),
        ("c++", "abc++", False),
        ("def ", "def\tf():", True),
        ("def ", "undef x", False),
        ("def ", "define", False),
        ("select * from", "SELECT  *\n FROM t", True),
        ("no more than", "no more  than", True),
        ("straße", "Die STRAẞE", True),
        ("élan", "with élan", True),
        ("lan", "with élan", False),  # an accented letter is a letter
        ("先", "首先做", True),
        ("ไทย", "ภาษาไทย", True),
        ("don't", "I don't", True),
    ],
)
def test_whole_words(word: str, text: str, there: bool) -> None:
    words = Words([word])
    assert words.search(text.encode()) is there
    assert words.found(text.encode()) == ((word,) if there else ())


def test_capitals_matter_if_asked() -> None:
    assert not Words(["SQL"], case_sensitive=True).search(b"sql")
    assert Words(["SQL"], case_sensitive=True).search(b"SQL")


def test_neighbours_are_all_counted() -> None:
    words = Words(["sql", "c++", "select", "select all"])
    assert words.count(b"sql sql,sql c++ c++") == 5
    assert words.found(b"c++ then select all sql") == ("c++", "select all", "sql")
    assert Words(["a"]).count(b"a " * 5000) == MAX_HITS


def test_ten_thousand_words_are_one_pass() -> None:
    words = Words([f"w{i}x" for i in range(10_000)])
    assert words.found(b"there is w77x and w9999x, not w10000x") == ("w77x", "w9999x")


letters = st.text("ab -+\n", min_size=1, max_size=5).filter(lambda word: word.strip())


@given(st.lists(letters, min_size=1, max_size=4, unique=True), st.text("ab -+\n", max_size=40))
def test_like_pythons_own_word_boundaries(words: list[str], text: str) -> None:
    def there(word: str) -> bool:
        body = r"\s+".join(re.escape(piece) for piece in re.split(r"\s+", word))
        before, after = (r"(?<!\w)" if word[0].isalnum() else ""), (r"(?!\w)" if word[-1].isalnum() else "")
        return re.search(before + body + after, text) is not None

    assert Words(words).search(text.encode()) is any(map(there, words))
    for word in words:
        assert Words([word]).search(text.encode()) is there(word)


def test_a_pattern_made_to_hang_does_not() -> None:
    # Python's re takes 2^n steps here: 30 letters are minutes.
    text = b"a" * 100_000 + b"b"
    started = time.perf_counter()
    assert regex("(a+)+$").search(text) is None
    assert regex("(a|a)*c|(x+x+)+y").search(text) is None
    assert time.perf_counter() - started < 5, "linear time: milliseconds on any machine"


@pytest.mark.parametrize(
    "pattern", ["(?=a)b", "(?!a)b", "(?<=a)b", "(?<!a)b", r"(a)\1", "(?P<n>a)(?P=n)", "a++", "(?>a)b"]
)
def test_what_needs_backtracking_is_refused_with_the_reason(pattern: str) -> None:
    with pytest.raises(ValueError, match=r"is not available: look-around, backreferences, .* need backtracking"):
        regex(pattern)


@pytest.mark.parametrize(
    ("pattern", "reason"),
    [("(a", "missing )"), ("[z-a]", "invalid character class range"), ("a{2000}", "repetition size")],
)
def test_a_slip_is_named(pattern: str, reason: str, capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(ValueError, match="is no valid pattern") as caught:
        regex(pattern)
    assert reason in str(caught.value)
    assert capfd.readouterr().err == "", "RE2 itself must not write to stderr"
