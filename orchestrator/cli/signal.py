"""`madrigal signal`: train, measure and list the heads of learned signals."""

import json
import shlex
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from experts.errors import InputError
from orchestrator.cli._common import emit_json, err, out, table

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from router.head import Head
    from router.head_training import Report

app = typer.Typer(help="Learned signals: train a head on your own labels, measure it.", no_args_is_help=True)

ENOUGH = 200
"""Labelled cases that a head was not made from, below which its answers are not vouched for."""

_Data = Annotated[list[Path], typer.Option(help="JSON lines of labelled texts; may be given several times.")]
_Text = Annotated[str, typer.Option(help="The field that holds the text.")]
_Label = Annotated[str, typer.Option(help="The field that holds the label; =word gives every row that label.")]
_Group = Annotated[str, typer.Option(help="The field that keeps near-copies in one part, where rows have it.")]


@app.command()
def train(
    data: _Data,
    out_file: Annotated[str, typer.Option("--out", help="A file, heads/mine.json; or a name: heads/NAME.json.")],
    text: _Text = "text",
    label: _Label = "label",
    group: _Group = "group",
    buckets: Annotated[int, typer.Option(min=0, max=65536, help="Hashed words and word pairs beside the vector.")] = 0,
    lexical: Annotated[float, typer.Option(min=0, help="Weight of the words against the vector.")] = 1.0,
    strength: Annotated[float, typer.Option(min=1e-6, help="Inverse of the L2 penalty.")] = 10.0,
    balanced: Annotated[bool, typer.Option(help="Whether rare labels count as much as common ones.")] = True,
    threshold: Annotated[
        float | None, typer.Option(min=0, max=1, help="Probability from which a guard says yes.")
    ] = None,
    alone: Annotated[
        str | None, typer.Option(help="The label for which a guard reads suspect sentences alone.")
    ] = None,
    licence: Annotated[str, typer.Option(help="Licences of the data, for whoever gets the head.")] = "",
    experimental: Annotated[
        str | None, typer.Option(help="Mark it experimental, and why: its answers are not vouched for.")
    ] = None,
    refit: Annotated[
        bool, typer.Option(help="Once measured, fit it again on all rows; the figures are those of the first fit.")
    ] = False,
    reference: Annotated[bool, typer.Option(help="Embed with sentence-transformers itself.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the report as JSON.")] = False,
) -> None:
    """Train a head, print its accuracy, calibration and confusion on rows kept apart, and write it.

    Of ten texts eight are trained on, one sets the temperature, one tests. The same data make the same head.
    """
    from orchestrator import labelled
    from router import head as heads
    from router import head_training as training

    rows = labelled.read(data, text=text, label=label, group=group)
    vectors = _vectors(rows.texts, reference)
    parts = [training.part_of(one) for one in rows.groups]
    at = {part: [i for i, one in enumerate(parts) if one == part] for part in ("train", "calibrate", "test")}
    path = Path(out_file if out_file.endswith(".json") else f"heads/{out_file}.json")

    def fitted(chosen: list[int]) -> "Head":
        return training.fit(
            path.stem,
            [rows.texts[i] for i in chosen],
            [rows.labels[i] for i in chosen],
            vectors[chosen],
            buckets=buckets,
            lexical=lexical,
            strength=strength,
            balanced=balanced,
        )

    made = fitted(at["train"])
    if lost := sorted(set(rows.labels) - set(made.labels)):
        raise InputError(f"too few rows of {', '.join(lost)}: none fell in the part that is trained on")

    def measured(head: "Head", part: str) -> "tuple[NDArray[np.float32], list[int]]":
        chosen = at[part]
        probabilities = training.all_probabilities(head, [rows.texts[i] for i in chosen], vectors[chosen])
        return probabilities, [head.labels.index(rows.labels[i]) for i in chosen]

    from dataclasses import replace

    made = replace(made, temperature=training.calibrated(*measured(made, "calibrate")), threshold=threshold)
    report = training.report(made.labels, *measured(made, "test"))
    if alone is not None:
        heads.check(made, [alone], "--alone")
        made = replace(made, alone=alone)
    if refit:
        again = fitted(list(range(len(rows.texts))))
        made = replace(made, matrix=again.matrix, bias=again.bias)
    few = f"tested on {report.rows} labelled texts; {ENOUGH} are needed" if report.rows < ENOUGH else experimental
    provenance = {
        "command": shlex.join(["madrigal", "signal", *sys.argv[2:]]),
        "date": datetime.now(UTC).date().isoformat(),
        "data": list(rows.files),
        "licence": licence,
        "rows": {part: len(chosen) for part, chosen in at.items()},
        "refitted": refit,
        "held_out": {
            "accuracy": round(report.accuracy, 4),
            "interval": [round(report.low, 4), round(report.high, 4)],
            "ece": round(report.ece, 4),
        },
    }
    written = heads.write(replace(made, experimental=few, made=provenance), path)
    if as_json:
        emit_json({"out": str(path), "labels": written.labels, "experimental": few, **provenance, **_told(report)})
        return
    _show(report)
    out().print(f"{path} written", markup=False)
    if few:
        err().print(f"marked experimental: {few}", markup=False)


@app.command()
def evaluate(
    name: Annotated[str, typer.Argument(help="A head of ours, or a file of one.")],
    data: _Data,
    text: _Text = "text",
    label: _Label = "label",
    group: _Group = "group",
    part: Annotated[str, typer.Option(help="all rows, or only those that training keeps apart: test.")] = "all",
    negative: Annotated[
        str | None, typer.Option(help="The head guards: every label but this one is an attack, all windows are read.")
    ] = None,
    threshold: Annotated[float | None, typer.Option(min=0, max=1, help="With --negative; default: the head's.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the report as JSON.")] = False,
) -> None:
    """Measure a head on labelled texts: recall and false positives of each label, with 95% intervals."""
    from orchestrator import labelled
    from router import head as heads
    from router import head_training as training

    if part not in ("all", "test"):
        raise InputError(f"--part is all or test, not {part!r}")
    head = heads.find(name, Path())
    rows = labelled.read(data, text=text, label=label, group=group)
    chosen = [i for i, one in enumerate(rows.groups) if part == "all" or training.part_of(one) == "test"]
    texts, labels = [rows.texts[i] for i in chosen], [rows.labels[i] for i in chosen]
    if not texts:
        raise InputError(f"no row of the data is in the part {part}")
    if negative is None:
        heads.check(head, sorted(set(labels)), "the data")
        probabilities = training.all_probabilities(head, texts, _vectors(texts))
        report = training.report(head.labels, probabilities, [head.labels.index(one) for one in labels])
    else:
        report = _guarded(head, texts, labels, negative, threshold)
    if as_json:
        emit_json({"head": name, "data": list(rows.files), **_told(report)})
    else:
        _show(report)


def _guarded(head: "Head", texts: list[str], labels: list[str], negative: str, threshold: float | None) -> "Report":
    """The report of a head as the signal jailbreak uses it: the worst part of a text, against the threshold."""
    import numpy as np

    from router import head as heads
    from router import head_training as training
    from router import minilm, reading

    heads.check(head, [negative], "--negative")
    limit = threshold if threshold is not None else head.threshold if head.threshold is not None else 0.5
    model = minilm.load()
    windows = [model.split(one) for one in texts]
    pieces = [[*some, *reading.suspects(head, some, negative)] for some in windows]
    flat = _vectors([piece for some in pieces for piece in some])
    found, start = np.zeros((len(texts), 2), np.float32), 0
    for row, some in enumerate(pieces):
        shares = reading.worst_of(head, some, flat[start : start + len(some)], len(windows[row]), negative)
        start += len(some)
        found[row, int(1 - shares[head.labels.index(negative)] >= limit)] = 1
    return training.report([negative, f"not {negative}"], found, [int(one != negative) for one in labels])


@app.command(name="list")
def list_heads(as_json: Annotated[bool, typer.Option("--json", help="As JSON.")] = False) -> None:
    """The heads that come with Madrigal: labels, how well they do, how they were trained."""
    from router import head as heads

    found = [heads.find(name) for name in heads.ours()]
    if as_json:
        emit_json(
            [{"name": h.name, "labels": h.labels, "experimental": h.experimental, **(h.made or {})} for h in found]
        )
        return
    shown = table("head", "labels", "held-out accuracy", "trained on", "")
    for head in found:
        made = head.made or {}
        held, rows = made.get("held_out", {}), made.get("rows", {})
        told = f"{held.get('accuracy', 0):.1%}" if held else ""
        shown.add_row(
            head.name,
            ", ".join(head.labels),
            told,
            f"{rows.get('train', 0):,} texts",
            "experimental" if head.experimental else "",
        )
    out().print(shown)


@app.command(name="data")
def data_of(
    name: Annotated[str, typer.Argument(help="A head of ours.")],
    out_file: Annotated[Path, typer.Option("--out", help="Where the labelled texts are written, as JSON lines.")],
    shared: Annotated[Path, typer.Option(help="The folder of recorded data.")] = Path("../shared/data"),
) -> None:
    """Write the labelled texts that one of our heads is trained on."""
    from experts import registry

    rows = registry.load("router.recipes", name).rows(shared)
    number = 0
    try:
        with out_file.open("w", encoding="utf-8") as file:
            for row in rows:
                number += 1
                file.write(json.dumps(row._asdict(), ensure_ascii=False) + "\n")
    except OSError as error:
        raise InputError(f"{out_file} cannot be written: {error.strerror}") from None
    out().print(f"{number:,} labelled texts written to {out_file}", markup=False, soft_wrap=True)


def _vectors(texts: Any, reference: bool = False) -> "NDArray[np.float32]":
    from router import minilm, minilm_reference
    from router.vectors import vectors

    if reference:
        import numpy as np

        model = minilm_reference.load()
        return np.concatenate([model.encode(texts[at : at + 256]).vectors for at in range(0, len(texts), 256)])
    console = err()

    def progress(done: int, total: int) -> None:
        if total > 1000:
            console.print(f"embedded {done:,} of {total:,} new texts", end="\n" if done == total else "\r")

    return vectors(texts, runtime=minilm.load, progress=progress)


def _told(report: "Report") -> dict[str, Any]:
    from router.head_training import interval

    def rate(hits: int, number: int) -> dict[str, Any]:
        low, high = interval(hits, number)
        return {"rate": hits / number if number else None, "low": low, "high": high, "hits": hits, "of": number}

    return {
        "n": report.rows,
        "accuracy": report.accuracy,
        "low": report.low,
        "high": report.high,
        "ece": report.ece,
        "of_labels": {
            label: {"recall": rate(*report.recall(i)), "false_positives": rate(*report.false_positives(i))}
            for i, label in enumerate(report.labels)
        },
        "confusion": {"labels": report.labels, "rows": report.confusion},
    }


def _show(report: "Report") -> None:
    from router.head_training import interval

    def rate(hits: int, number: int) -> str:
        low, high = interval(hits, number)
        return f"{hits / number:6.1%} [{low:.1%}, {high:.1%}] of {number:,}" if number else "–"

    console = out()
    shown = table("label", "recall", "false positives")
    for i, label in enumerate(report.labels):
        shown.add_row(label, rate(*report.recall(i)), rate(*report.false_positives(i)))
    console.print(shown)
    marks = [chr(ord("a") + i) if i < 26 else str(i) for i in range(len(report.labels))]
    confusion = table("", "true, said as", *marks)
    for mark, label, row in zip(marks, report.labels, report.confusion, strict=True):
        confusion.add_row(mark, label, *(str(count) if count else "·" for count in row))
    console.print(confusion)
    console.print(
        f"accuracy {report.accuracy:.1%} [{report.low:.1%}, {report.high:.1%}] on {report.rows:,} texts; "
        f"expected calibration error {report.ece:.3f}",
        markup=False,
        soft_wrap=True,
    )
