"""What counts as the same answer: every form that models and benchmarks write it in, and what must stay apart."""

import time

import pytest

from orchestrator.extraction import Kind, answer_of, asks_number

SUM = "What is 6 times 7?"
CHOICE = "Which is a fruit?\nA. stone\nB. apple\nC. iron"


@pytest.mark.parametrize(
    "text",
    [
        "42",
        "42.0",
        "The answer is 42.",
        "The answer is **42**.",
        "**Answer:** 42",
        "Answer: $42",
        "Answer = 42",
        "6 * 7 = 42",
        "The answer is 6 * 7 = 42.",
        "The answer is 42 apples.",
        "The answer is 42 because 6 times 7 makes 42.",
        "First 6 * 7.\n#### 42",
        r"Therefore \(\boxed{42}\).",
        r"\boxed{7} is wrong, so \boxed{42}",
        "I first thought that the answer is 41. But no: the answer is 42.",
        "It is 6 times 7 and so forty-two, that is 42",
    ],
)
def test_forms_of_one_number(text: str) -> None:
    assert answer_of(text, prompt=SUM) == "42"


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("1,250", "1250.00"),
        (r"\boxed{\frac{1}{2}}", "0.5"),
        (r"The answer is $\dfrac{3}{4}$.", "The answer is 3/4."),
        ("−7", "The answer is -7"),
        ("$3.50", "The answer is 3.5."),
    ],
)
def test_one_number_written_in_two_ways(one: str, other: str) -> None:
    assert answer_of(one, prompt=SUM) == answer_of(other, prompt=SUM)


@pytest.mark.parametrize(("one", "other"), [("7", "-7"), ("0.5", "5"), ("1/2", "2"), ("10", "1,000")])
def test_numbers_that_are_not_the_same(one: str, other: str) -> None:
    assert answer_of(one, prompt=SUM) != answer_of(other, prompt=SUM)


@pytest.mark.parametrize(
    "text",
    ["B", "B.", "(B)", "B) apple", "The answer is B.", "The correct answer is (B) apple.", "It is option B", "**B**"],
)
def test_forms_of_one_option(text: str) -> None:
    assert answer_of(text, prompt=CHOICE) == "B"


def test_a_letter_that_is_no_option_is_a_word() -> None:
    assert answer_of("A stone is hard, so the answer is B", prompt=CHOICE) == "B"
    assert answer_of("Z", prompt=CHOICE) == "z"
    assert answer_of("B", prompt="Name a letter.") == "b"


def test_a_text_that_was_cut_has_the_answer_it_announced_or_none() -> None:
    assert answer_of("First we add 6 and", prompt=SUM, cut=True) is None
    assert answer_of("6", prompt=SUM, cut=True) is None
    assert answer_of("The answer is 42. To see why, take 6 and", prompt=SUM, cut=True) == "42"


def test_json_is_compared_by_its_content() -> None:
    assert answer_of('{"b": [2], "a": 1.0}') == answer_of('```json\n{"a": 1, "b": [2]}\n```')
    assert answer_of('{"a": 1}') != answer_of('{"a": 2}')
    assert answer_of('{"a": "1"}') != answer_of('{"a": 1}')


def test_words_are_compared_without_their_dress() -> None:
    assert answer_of("The answer is Paris.", prompt="Capital?") == answer_of("paris", prompt="Capital?") == "paris"
    assert answer_of("the Moon", prompt="What?") == answer_of("Moon!", prompt="What?")


def test_a_number_in_a_sentence_is_no_answer_where_nobody_asked_for_one() -> None:
    """England and Germany must not agree on 1966."""
    who = "Who won the world cup in 1966?"
    assert answer_of("England won in 1966.", prompt=who) != answer_of("Germany won in 1966.", prompt=who)


@pytest.mark.parametrize(
    ("prompt", "asks"),
    [
        (SUM, True),
        ("How many legs has a spider?", True),
        ("Calculate the tip.", True),
        ("Who won in 1966?", False),
        ("Hi", False),
    ],
)
def test_whether_a_prompt_asks_for_a_number(prompt: str, asks: bool) -> None:
    assert asks_number(prompt) is asks


@pytest.mark.parametrize(
    ("kind", "text", "answer"),
    [
        ("number", "It was 4-2 in the end", "2"),
        ("number", "no idea", None),
        ("choice", "I choose (D)", "D"),
        ("choice", "no idea", None),
        ("json", "not JSON", None),
        ("json", '{"broken": ', None),
        ("text", "The answer is 42.", "answer is 42"),
    ],
)
def test_a_kind_that_is_asked_for(kind: Kind, text: str, answer: str | None) -> None:
    assert answer_of(text, kind=kind) == answer


@pytest.mark.parametrize("text", ["9" * 6000, "1/0", "", "{" * 100_000, r"\boxed{", r"\boxed{}", "answer:"])
def test_odd_texts_are_texts(text: str) -> None:
    assert isinstance(answer_of(text, prompt=SUM), str)


@pytest.mark.parametrize(
    "piece", ["answer: ", "\n", "#### ", r"\boxed{", r"\frac{", "1,", "1/", "answer is ", " ", "A) ", "**", "```"]
)
def test_no_text_takes_long(piece: str) -> None:
    """Ten times the text takes about ten times as long, not a hundred: an expert cannot hang the server."""

    def took_s(times: int) -> float:
        text, began = f"answer: {piece * times}x", time.process_time()
        answer_of(text, prompt=SUM)
        answer_of(text, prompt=CHOICE)
        return time.process_time() - began

    took_s(100)
    assert took_s(50_000) < 40 * max(took_s(5_000), 0.005)
