"""Tasks: reading them, finding the answer in a reply, and whether it is right."""

import gzip
import json
from pathlib import Path

import pytest

from experts.errors import InputError
from experts.task_files import Task, given, read, score

EXAMPLES = Path(__file__).parents[2] / "docs/examples/tasks.jsonl"
LETTER = Task("1", "Which?\nA. one\nB. two\nC. three", "B", "letter")
NUMBER = Task("2", "How many?", "1250", "number")
TEXT = Task("3", "Which gas?", "Carbon dioxide", "text")


def write(folder: Path, *rows: object) -> Path:
    path = folder / "tasks.jsonl"
    path.write_text("\n".join(row if isinstance(row, str) else json.dumps(row) for row in rows) + "\n")
    return path


def test_the_kind_follows_from_the_answer(tmp_path: Path) -> None:
    path = write(
        tmp_path,
        {"id": "l", "prompt": LETTER.prompt, "answer": "B"},
        {"id": "n", "prompt": "How many?", "answer": 12},
        {"prompt": "Which grade is best?", "answer": "A"},
        {"question": "Worked?", "answer": "3 + 4 = 7\n#### 7"},
    )
    tasks = read(path).tasks
    assert [(task.id, task.kind, task.answer) for task in tasks] == [
        ("l", "letter", "B"),
        ("n", "number", "12"),
        ("3", "text", "A"),
        ("4", "number", "7"),
    ], "an A without options is a word; without an id the line is one"
    assert all(task.asked.startswith(task.prompt) and len(task.asked) > len(task.prompt) for task in tasks)


@pytest.mark.parametrize(
    "said",
    [
        "B",
        "B.",
        "(B)",
        "B) two",
        "**B**",
        "The answer is (B).",
        "Answer: B",
        "I think option B is right",
        "It is (B), two",
    ],
)
def test_a_letter_is_found(said: str) -> None:
    assert given(LETTER, said) == "B"
    assert score(LETTER, given(LETTER, said)) == 1


@pytest.mark.parametrize("said", ["", "two", "D", "A. one", "Both are wrong", "I'd say so"])
def test_another_letter_or_none_is_wrong(said: str) -> None:
    assert score(LETTER, given(LETTER, said)) == 0


def test_what_is_said_to_be_the_answer_goes_before_what_is_said_first() -> None:
    assert given(LETTER, "A is tempting, but the answer is C") == "C"


@pytest.mark.parametrize("said", ["1250", "1,250.00", "It is 3 * 400 + 50 = 1250.", "$1,250"])
def test_the_last_number_counts_however_it_is_written(said: str) -> None:
    assert score(NUMBER, given(NUMBER, said)) == 1


def test_no_number_is_no_answer() -> None:
    assert given(NUMBER, "many") is None
    assert score(NUMBER, None) == 0
    assert score(NUMBER, given(NUMBER, "-1250")) == 0


@pytest.mark.parametrize("said", ["carbon dioxide", "Carbon Dioxide.", "Let me think.\nThe answer is: carbon dioxide"])
def test_words_must_be_the_same_but_for_case_and_punctuation(said: str) -> None:
    assert score(TEXT, given(TEXT, said)) == 1


def test_a_sentence_is_not_the_word_unless_the_task_says_that_it_may_be() -> None:
    said = "Plants take in carbon dioxide, of course"
    assert score(TEXT, given(TEXT, said)) == 0
    lenient = Task("3", "Which gas?", "Carbon dioxide", "text", contains=True)
    assert score(lenient, given(lenient, said)) == 1
    assert score(lenient, given(lenient, "hydrocarbon dioxides")) == 0, "whole words only"
    assert given(lenient, "") is None


def test_gzipped_tasks_are_read(tmp_path: Path) -> None:
    path = tmp_path / "tasks.jsonl.gz"
    path.write_bytes(gzip.compress(b'{"prompt": "1 + 1?", "answer": 2}\n'))
    assert read(path).tasks[0].answer == "2"


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ("{", "not JSON"),
        ({"prompt": "x"}, "a task is"),
        ({"prompt": " ", "answer": "y"}, "a task is"),
        ([1], "a task is"),
        ({"prompt": "x", "answer": "####"}, "the answer is empty"),
        ({"prompt": "x", "answer": "y", "match": "fuzzy"}, "`match` is exact or contains, not 'fuzzy'"),
    ],
)
def test_what_is_no_task_is_refused_with_its_line(tmp_path: Path, row: object, message: str) -> None:
    path = write(tmp_path, {"prompt": "fine", "answer": 1}, row)
    with pytest.raises(InputError, match=r"tasks\.jsonl:2: ") as refused:
        read(path)
    assert message in refused.value.message


def test_files_without_tasks_and_ids_that_come_twice_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="there are no tasks"):
        read(write(tmp_path, ""))
    with pytest.raises(InputError, match="two tasks with the id 'a'"):
        read(write(tmp_path, {"id": "a", "prompt": "x", "answer": 1}, {"id": "a", "prompt": "y", "answer": 1}))
    with pytest.raises(InputError, match="cannot be read"):
        read(tmp_path / "none.jsonl")


def test_the_example_tasks_can_be_read() -> None:
    tasks = read(EXAMPLES).tasks
    assert len(tasks) == 30
    assert {task.kind for task in tasks} == {"letter", "number", "text"}
    assert all(score(task, given(task, f"The answer is {task.answer}")) == 1 for task in tasks)
