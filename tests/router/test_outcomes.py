"""Recorded outcomes: what is read, and what is refused with its place."""

import gzip
import json
from pathlib import Path

import numpy as np
import pytest

from experts.errors import InputError
from router.outcomes import Asked, read
from router.traits import traits

ROWS = [
    {"id": "1", "prompt": "2+2?", "scores": {"a": 1, "b": 0.5}, "answers": {"a": "4", "b": "5"}, "answer": "4", "group": "sums", "split": "train"},
    {"id": "2", "prompt": "a\u2028line separator is no line break", "scores": {"b": 0, "a": 1}, "answers": {"a": "x"}, "split": "test"},
]  # fmt: skip


def write(path: Path, rows: list[dict]) -> Path:
    text = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
    path.write_bytes(gzip.compress(text.encode()) if path.suffix == ".gz" else text.encode())
    return path


@pytest.mark.parametrize("name", ["o.jsonl", "o.jsonl.gz"])
def test_rows_become_columns(tmp_path: Path, name: str) -> None:
    outcomes = read([write(tmp_path / name, ROWS)])
    assert outcomes.experts == ("a", "b")
    assert outcomes.scores.tolist() == [[1, 0.5], [1, 0]], "models by name, not by place"
    assert outcomes.answers == (("4", "5"), ("x", None))
    assert outcomes.truth == ("4", None) and outcomes.groups == ("sums", None)
    assert list(outcomes.sha256) == [name] and len(outcomes.sha256[name]) == 64


def test_parts(tmp_path: Path) -> None:
    outcomes = read([write(tmp_path / "o.jsonl", ROWS)])
    assert outcomes.split("test").ids == ("2",)
    assert outcomes.pool(["b"]).scores.tolist() == [[0.5], [0]]
    assert outcomes.pool(["b"]).answers == (("5",), (None,))
    with pytest.raises(InputError, match="split 'dev'") as error:
        outcomes.split("dev")
    assert "test, train" in str(error.value.remedy)
    with pytest.raises(InputError, match="no outcomes of c"):
        outcomes.pool(["a", "c"])


def test_rows_that_lack_a_model_are_told_apart(tmp_path: Path) -> None:
    outcomes = read([write(tmp_path / "o.jsonl", [*ROWS, {"prompt": "3", "scores": {"b": 1, "c": 1}}])])
    assert outcomes.experts == ("a", "b", "c")
    assert np.isnan(outcomes.scores[2, 0])
    assert outcomes.pool(["a", "b"]).complete().ids == ("1", "2")
    with pytest.raises(InputError, match="no row scores all of a, c"):
        outcomes.pool(["a", "c"]).complete()


def test_what_is_asked_holds_nothing_of_how_it_went(tmp_path: Path) -> None:
    outcomes = read([write(tmp_path / "o.jsonl", ROWS)])
    asked = outcomes.asked(np.zeros((2, 384), np.float32))
    assert set(Asked.__slots__) == {"prompts", "vectors", "form"}
    assert asked.take([1]).prompts == (ROWS[1]["prompt"],)
    assert asked.form is None
    form = asked.read().take([1]).form
    assert form is not None
    assert np.array_equal(form, traits([ROWS[1]["prompt"]])), "made of the text, and of nothing else"


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("{", r"o.jsonl:2: not JSON"),
        ('{"prompt": "x"}', r"o.jsonl:2: a row is"),
        ('{"prompt": 5, "scores": {"a": 1, "b": 1}}', r"o.jsonl:2: a row is"),
        ('{"prompt": "x", "scores": [1, 1]}', r"o.jsonl:2: a row is"),
        ('{"prompt": "x", "scores": {"a": 1, "b": 2}}', r"o.jsonl:2: `scores` of b must be a number in 0..1, not 2"),
        ('{"prompt": "x", "scores": {"a": 1, "b": "1"}}', r"not '1'"),
        ('{"prompt": "x", "scores": {"a": 1, "b": null}}', r"not None"),
        ('{"prompt": "x", "scores": {"a": 1, "b": NaN}}', r"not nan"),
    ],
)
def test_bad_rows_are_refused_with_their_place(tmp_path: Path, line: str, says: str) -> None:
    path = tmp_path / "o.jsonl"
    path.write_text(json.dumps(ROWS[0]) + "\n" + line + "\n")
    with pytest.raises(InputError, match=says):
        read([path])


def test_bad_files_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="cannot be read"):
        read([tmp_path / "none.jsonl"])
    (tmp_path / "cut.gz").write_bytes(gzip.compress(b"x" * 1000)[:20])
    with pytest.raises(InputError, match="neither text"):
        read([tmp_path / "cut.gz"])
    (tmp_path / "empty.jsonl").write_text("\n")
    with pytest.raises(InputError, match="no outcomes"):
        read([tmp_path / "empty.jsonl"])
