"""Texts cut into passages: nothing lost, nothing too long, paragraphs whole where they fit."""

from hypothesis import given
from hypothesis import strategies as st

from orchestrator.passages import halves, passages


def test_a_short_text_is_one_passage() -> None:
    assert passages("One sentence.  And\nanother.") == ["One sentence. And another."]
    assert passages(" \n\n\t") == []


def test_a_passage_ends_with_a_paragraph_where_it_is_half_full() -> None:
    first, second = "A" * 60 + ".", "B" * 60 + "."
    assert passages(f"{first}\n\n{second}", target=100) == [first, second]
    assert passages(f"Title\n\n{first}", target=100) == [f"Title {first}"]


def test_a_passage_begins_with_the_last_sentence_of_the_one_before() -> None:
    text = "The bridge was built in 1931. It is long. It carries two lanes. Nobody pays a toll."
    found = passages(text, target=50, overlap=20)
    assert found == [
        "The bridge was built in 1931. It is long.",
        "It is long. It carries two lanes.",
        "Nobody pays a toll.",
    ]


def test_what_has_no_sentences_is_cut_at_spaces_or_anywhere() -> None:
    assert max(map(len, passages("word " * 1000))) <= 800
    assert [len(part) for part in passages("x" * 2000)] == [800, 800, 400]


@given(st.text(alphabet="ab .!?\n。é", max_size=400), st.integers(20, 80))
def test_every_word_stays_and_no_passage_is_longer_than_asked(text: str, target: int) -> None:
    found = passages(text, target, overlap=10)
    assert all(0 < len(part) <= target for part in found)
    joined = "".join("".join(found).split())
    at = 0
    for letter in "".join(text.split()):  # in order; an overlap only adds
        at = joined.find(letter, at) + 1
        assert at > 0


def test_halves() -> None:
    assert halves("one two three four") == ("one two", "three four")
    assert halves("漢" * 10) == ("漢" * 5, "漢" * 5)
