"""`madrigal signal`: a head trained from a user's own file, measured, listed; and what is said of files that are wrong.

The embeddings are the real embedder's; the labels are so far apart that a head must tell them.
"""

import gzip
import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

DISHES = (
    "lentil soup,apple pie,fried rice,fish stew,garlic bread,onion tart,plum cake,bean salad,roast duck,pea risotto"
)
TEAMS = "football,tennis,rugby,hockey,cycling,rowing,boxing,handball,cricket,judo"
ASKED = ("How do I cook {}?", "A recipe for {}, please", "What goes well with {}?", "How long does {} take to bake?")
PLAYED = ("Who won the {} final?", "When is the next {} match?", "Rules of {}, please", "Which {} team is best?")


def labelled() -> list[dict[str, str]]:
    rows = [{"text": shape.format(dish), "label": "food"} for dish in DISHES.split(",") for shape in ASKED]
    return rows + [{"text": shape.format(team), "label": "sport"} for team in TEAMS.split(",") for shape in PLAYED]


def lines(path: Path, rows: list[Any]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


Run = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("cache")


@pytest.fixture
def madrigal(tmp_path: Path, cache: Path) -> Run:
    env = {**os.environ, "MADRIGAL_CACHE": str(cache), "HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1", "COLUMNS": "200"}
    root = Path(__file__).parents[2]
    env["PYTHONPATH"] = str(root)

    def run(*args: str | Path) -> "subprocess.CompletedProcess[str]":
        call = [sys.executable, "-c", "from orchestrator.cli import main; main()", "signal", *map(str, args)]
        return subprocess.run(call, capture_output=True, text=True, cwd=tmp_path, env=env)

    return run


def refused(done: "subprocess.CompletedProcess[str]", *parts: str) -> None:
    """The call is wrong (2), stderr says what and what to do, and nothing that looks like a traceback."""
    assert done.returncode == 2, done.stdout + done.stderr
    assert "Traceback" not in done.stderr
    for part in parts:
        assert part in done.stderr


def test_a_head_is_trained_measured_and_listed(madrigal: Run, tmp_path: Path) -> None:
    lines(tmp_path / "mine.jsonl", labelled())
    cases = [
        {"text": "my sourdough does not rise", "label": "food"},
        {"text": "is the goalkeeper injured?", "label": "sport"},
        labelled()[0],
    ]
    lines(tmp_path / "cases.jsonl", cases)
    done = madrigal("train", "--data", "mine.jsonl", "--cases", "cases.jsonl", "--out", "meals", "--buckets", "64")
    assert done.returncode == 0, done.stderr
    assert "recall" in done.stdout and "true, said as" in done.stdout
    assert "expected calibration error" in done.stdout and "heads/meals.json written" in done.stdout
    assert "1 case left out" in done.stderr, "a text that was trained on measures nothing"
    assert "experimental: measured on 2 cases" in done.stderr
    head = json.loads((tmp_path / "heads/meals.json").read_text())
    assert head["labels"] == ["food", "sport"]
    made = head["made"]
    assert made["command"].startswith("madrigal signal train --data mine.jsonl")
    assert sum(made["rows"].values()) == 80
    assert made["cases"]["rows"] == 2 and made["cases"]["data"][0]["rows"] == 3

    told = json.loads(madrigal("evaluate", "heads/meals.json", "--data", "mine.jsonl", "--json").stdout)
    assert told["n"] == 80
    assert told["accuracy"] > 0.95 and told["of_labels"]["food"]["auc"] > 0.99
    assert sum(map(sum, told["confusion"]["rows"])) == 80
    shown = madrigal("evaluate", "heads/meals.json", "--data", "mine.jsonl", "--part", "test")
    assert "accuracy" in shown.stdout and "meals is experimental" in shown.stderr


def test_the_same_data_make_the_same_head(madrigal: Run, tmp_path: Path) -> None:
    lines(tmp_path / "mine.jsonl", labelled())
    heads = []
    for name in ("one.json", "two.json"):
        assert madrigal("train", "--data", "mine.jsonl", "--out", name).returncode == 0
        head = json.loads((tmp_path / name).read_text())
        heads.append({key: head[key] for key in ("matrix", "scales", "bias", "temperature")})
    assert heads[0] == heads[1]


def test_numbers_and_truths_are_labels_and_compressed_files_are_read(madrigal: Run, tmp_path: Path) -> None:
    rows = [{"question": row["text"], "is_food": row["label"] == "food"} for row in labelled()]
    with gzip.open(tmp_path / "mine.jsonl.gz", "wt", encoding="utf-8") as file:
        file.write("\ufeff" + "\n\n".join(json.dumps(row) for row in rows))
    fields = ("--text", "question", "--label", "is_food")
    done = madrigal("train", "--data", "mine.jsonl.gz", "--out", "x.json", "--json", *fields)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["labels"] == ["false", "true"]


def test_files_without_labels_get_one(madrigal: Run, tmp_path: Path) -> None:
    lines(tmp_path / "food.jsonl", [{"text": row["text"]} for row in labelled()[:40]])
    refused(
        madrigal("train", "--data", "food.jsonl", "--out", "x"), "food.jsonl:1", "'label'", "no such field", "--label"
    )
    done = madrigal("train", "--data", "food.jsonl", "--out", "x", "--label", "=food")
    refused(done, "food.jsonl:1", "every row has the label 'food'", "Add texts of another label")


WRONG: dict[str, tuple[bytes, tuple[str, ...]]] = {
    "nothing": (b"", ("mine.jsonl", "no labelled text", '{"text": "…", "label": "…"}')),
    "csv": (b"text,label\nhello,food\n", ("mine.jsonl:1", "not JSON", "column 1")),
    "list": (b'[{"text": "a", "label": "b"}]\n', ("mine.jsonl:1", "not a list", "jq -c '.[]' mine.jsonl")),
    "cut": (b'{"text": "a", "label": "b"}\n{"text": "a", "la', ("mine.jsonl:2", "not JSON")),
    "deep": (b"[" * 100_000 + b"\n", ("mine.jsonl:1", "not JSON")),
    "latin-1": ('{"text": "a", "label": "b"}\n{"text": "süß", "label": "b"}\n'.encode("latin-1"), ("mine.jsonl:2", "not UTF-8", "0xfc", "iconv")),
    "utf-16": ('{"text": "a", "label": "b"}\n'.encode("utf-16"), ("mine.jsonl:1", "not UTF-8", "iconv")),
    "blank text": (b'{"text": "  ", "label": "b"}\n', ("mine.jsonl:1", "'text' must hold a text", '"  "')),
    "no label": (b'{"text": "a", "label": null}\n', ("mine.jsonl:1", "'label' must hold a label", "null")),
    "other field": (b'{"prompt": "a", "label": "b"}\n', ("mine.jsonl:1", "'text'", "'prompt', 'label'", "--text")),
    "one label": (b'{"text": "a", "label": "b"}\n' * 9, ("mine.jsonl:1", "every row has the label 'b'")),
    "too few": (
        b'{"text": "a", "label": "b"}\n' * 9 + b'{"text": "c", "label": "rare"}\n',
        ("mine.jsonl:10", "the label 'rare' has 1 of the 5 rows", "--label"),
    ),
    "long line": (b'{"text": "' + b"a" * 2_000_000 + b'", "label": "b"}\n', ("mine.jsonl:1", "1,048,576 bytes")),
    "huge": (b'{"text": "a", "label": "b"}\n' * 200_001, ("mine.jsonl:200001", "200,000 rows", "shuf -n")),
}  # fmt: skip


@pytest.mark.parametrize("kind", WRONG)
def test_a_wrong_file_is_refused_with_line_and_remedy(madrigal: Run, tmp_path: Path, kind: str) -> None:
    content, parts = WRONG[kind]
    (tmp_path / "mine.jsonl").write_bytes(content)
    refused(madrigal("train", "--data", "mine.jsonl", "--out", "x"), *parts)
    assert not (tmp_path / "heads/x.json").exists()


def test_files_that_cannot_be_read_or_written(madrigal: Run, tmp_path: Path) -> None:
    refused(madrigal("train", "--data", "missing.jsonl", "--out", "x"), "missing.jsonl cannot be read", "No such file")
    refused(madrigal("train", "--data", ".", "--out", "x"), "cannot be read", "directory")
    lines(tmp_path / "mine.jsonl", labelled())
    damaged = gzip.compress((tmp_path / "mine.jsonl").read_bytes())[:-40]
    (tmp_path / "damaged.jsonl.gz").write_bytes(damaged)
    refused(madrigal("train", "--data", "damaged.jsonl.gz", "--out", "x"), "damaged.jsonl.gz:", "damaged")
    (tmp_path / "plain.jsonl.gz").write_bytes(b"{}")
    refused(madrigal("train", "--data", "plain.jsonl.gz", "--out", "x"), "plain.jsonl.gz cannot be read")
    (tmp_path / "folder.json").mkdir()
    refused(madrigal("train", "--data", "mine.jsonl", "--out", "folder.json"), "--out folder.json", "cannot be written")
    refused(madrigal("train", "--data", "mine.jsonl", "--out", "mine.jsonl/x.json"), "--out", "cannot be made")


def test_groups_that_leave_nothing_to_train_on(madrigal: Run, tmp_path: Path) -> None:
    """A group goes to one part: `sport` as a whole to the part that tests, here, so that it cannot be learned."""
    from router.head_training import part_of

    tested = next(name for name in map(str, range(999)) if part_of(name) == "test")
    rows = [row | ({"group": tested} if row["label"] == "sport" else {}) for row in labelled()]
    lines(tmp_path / "mine.jsonl", rows)
    refused(madrigal("train", "--data", "mine.jsonl", "--out", "x"), "too few groups of 'sport'", "--group")


def test_few_rows_are_neither_calibrated_on_nor_called_measured(madrigal: Run, tmp_path: Path) -> None:
    from router.head_training import part_of

    lines(tmp_path / "mine.jsonl", [row for row in labelled() if part_of(row["text"]) != "test"])
    done = madrigal("train", "--data", "mine.jsonl", "--out", "x")
    assert done.returncode == 0, done.stderr
    assert "no text, so nothing is measured" in done.stdout and "0.0%" not in done.stdout
    assert "tested on 0 labelled texts" in done.stderr
    assert json.loads((tmp_path / "heads/x.json").read_text())["temperature"] == 1.0


def test_two_labels_for_one_text_are_remarked(madrigal: Run, tmp_path: Path) -> None:
    lines(tmp_path / "mine.jsonl", [*labelled(), {"text": labelled()[0]["text"], "label": "sport"}])
    done = madrigal("train", "--data", "mine.jsonl", "--out", "x")
    assert done.returncode == 0
    assert "1 row with another label" in done.stderr and "mine.jsonl:81 and mine.jsonl:1" in done.stderr


def test_cases_must_be_other_texts_of_the_same_labels(madrigal: Run, tmp_path: Path) -> None:
    lines(tmp_path / "mine.jsonl", labelled())
    lines(tmp_path / "odd.jsonl", [{"text": "hello", "label": "music"}])
    done = madrigal("train", "--data", "mine.jsonl", "--cases", "odd.jsonl", "--out", "x")
    refused(done, "odd.jsonl:1", "'music'", "food, sport")
    refused(madrigal("train", "--data", "mine.jsonl", "--cases", "mine.jsonl", "--out", "x"), "all of them are among")


def test_evaluate_names_what_it_does_not_know(madrigal: Run, tmp_path: Path) -> None:
    lines(tmp_path / "mine.jsonl", labelled())
    refused(madrigal("evaluate", "nosuch", "--data", "mine.jsonl"), "no head 'nosuch'", "Known:")
    refused(madrigal("evaluate", "nosuch.json", "--data", "mine.jsonl"), "nosuch.json", "madrigal signal train")
    (tmp_path / "bad.json").write_text('{"format": 1}')
    refused(madrigal("evaluate", "bad.json", "--data", "mine.jsonl"), "bad.json")
    refused(madrigal("data", "nosuch", "--out", "x.jsonl"), "nosuch", "known:")


def test_data_that_are_not_here_are_named_and_leave_the_file_as_it_was(madrigal: Run, tmp_path: Path) -> None:
    (tmp_path / "domain.jsonl").write_text("mine")
    done = madrigal("data", "domain", "--out", "domain.jsonl")
    refused(done, "../shared/data", "No such file or directory", "do not come with Madrigal", "--shared DIR")
    assert "Errno" not in done.stderr
    assert (tmp_path / "domain.jsonl").read_text() == "mine"
