"""`madrigal signal`: train, measure and list the heads of learned signals."""

import os
import shlex
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from experts.errors import InputError
from orchestrator.cli._common import count, emit_json, err, out, table
from orchestrator.cli._head_report import kept, show, told

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from orchestrator.labelled import Labelled
    from router.head import Head
    from router.head_training import Report

app = typer.Typer(help="Learned signals: train a head on your own labels, measure it.", no_args_is_help=True)

ENOUGH = 200
"""Labelled cases that a head was not made from, below which its answers are not vouched for."""
CALIBRATING = 20
"""Rows that set a temperature; from fewer it would be chance, and the head keeps 1."""

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
    buckets: Annotated[
        int, typer.Option(min=0, max=65536, help="Hashed words and word pairs beside the vector; 4096 is a good try.")
    ] = 0,
    lexical: Annotated[float, typer.Option(min=0, help="Weight of the words against the vector.")] = 1.0,
    strength: Annotated[float, typer.Option(min=1e-6, help="Inverse of the L2 penalty.")] = 10.0,
    balanced: Annotated[bool, typer.Option(help="Whether rare labels count as much as common ones.")] = True,
    refit: Annotated[bool, typer.Option(help="Once measured, fit the head that is written on all rows.")] = False,
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
    cases: Annotated[
        list[Path] | None, typer.Option(help="Labelled texts that --data was not made from, to measure the head on.")
    ] = None,
    reference: Annotated[bool, typer.Option(help="Embed with sentence-transformers itself.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the report as JSON.")] = False,
) -> None:
    """Train a head, print its accuracy, calibration and confusion on rows kept apart, and write it.

    Of ten texts eight are trained on, one sets the temperature, one tests. With --refit what is measured so is the head
    of the eight, and what is written is fitted once more on all ten. The same data make the same head.
    """
    from dataclasses import replace

    from orchestrator import labelled
    from router import head as heads
    from router import head_training as training

    path = _place(out_file)
    rows = labelled.read(data, text=text, label=label, group=group)
    labelled.check_learnable(rows)
    _remark_contradictions(rows)
    parts = [training.part_of(one) for one in rows.groups]
    at = {part: [i for i, one in enumerate(parts) if one == part] for part in ("train", "calibrate", "test")}
    if lost := sorted(set(rows.labels) - {rows.labels[i] for i in at["train"]}):
        raise InputError(
            f"too few groups of {', '.join(map(repr, lost))}: none of their rows fell in the part that is trained on",
            remedy=f"A group stays in one part as a whole; name another field than {group!r} with --group.",
        )
    independent = _cases(cases, rows, text, label, group)
    vectors = _vectors(rows.texts, reference)

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
            weights=[rows.weights[i] for i in chosen],
        )

    made = fitted(at["train"])

    def measured(head: "Head", part: str) -> "tuple[NDArray[np.float32], list[int]]":
        chosen = at[part]
        probabilities = training.all_probabilities(head, [rows.texts[i] for i in chosen], vectors[chosen])
        return probabilities, [head.labels.index(rows.labels[i]) for i in chosen]

    enough = len(at["calibrate"]) >= CALIBRATING
    temperature = training.calibrated(*measured(made, "calibrate")) if enough else 1.0
    made = replace(made, temperature=temperature, threshold=threshold)
    made = heads.as_read(made)
    report = training.report(made.labels, *measured(made, "test"))
    if alone is not None:
        heads.check(made, [alone], "--alone")
        made = replace(made, alone=alone)
    if refit:
        whole = fitted(list(range(len(rows.texts))))
        made = heads.as_read(replace(made, matrix=whole.matrix, bias=whole.bias))
    provenance: dict[str, Any] = {
        "command": shlex.join(["madrigal", "signal", *sys.argv[2:]]),
        "date": datetime.now(UTC).date().isoformat(),
        "data": list(rows.files),
        "licence": licence,
        "rows": {part: len(chosen) for part, chosen in at.items()},
        "refitted": refit,
        "held_out": kept(report),
    }
    judged, few = None, f"tested on {report.rows} labelled texts; {ENOUGH} are needed"
    if independent:
        judged = _report(made, independent.texts, independent.labels, reference)
        provenance["cases"] = {"data": list(independent.files), **kept(judged)}
        few = f"measured on {judged.rows} cases that it was not made from; {ENOUGH} are needed"
    why = few if (judged or report).rows < ENOUGH else experimental
    heads.write(replace(made, experimental=why, made=provenance), path)
    if as_json:
        emit_json(
            {"out": str(path), "labels": made.labels, "experimental": why, **provenance, **told(report)}
            | ({"cases": {"data": list(independent.files), **told(judged)}} if independent and judged else {})
        )
        return
    show(report, "kept apart from training")
    if judged:
        show(judged, "cases it was not made from")
    out().print(f"{path} written", markup=False, soft_wrap=True)
    if why:
        err().print(f"marked experimental: {why}", markup=False, soft_wrap=True)


def _place(out_file: str) -> Path:
    """Where the head goes. Refused before an hour of work, not after it."""
    path = Path(out_file if out_file.endswith(".json") else f"heads/{out_file}.json")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"--out {path}: {path.parent} cannot be made: {error.strerror}") from None
    if path.is_dir() or not path.stem or not os.access(path.parent, os.W_OK):
        raise InputError(
            f"--out {path}: this cannot be written", remedy="Name a file in a folder of yours: heads/mine.json"
        )
    return path


def _remark_contradictions(rows: "Labelled") -> None:
    from orchestrator import labelled

    if found := labelled.contradictions(rows):
        err().print(
            f"{count(len(found), 'row')} with another label for a text already read, as {found[0][1]} "
            f"and {found[0][0]}",
            markup=False,
            soft_wrap=True,
        )


def _cases(files: list[Path] | None, rows: "Labelled", text: str, label: str, group: str) -> "Labelled | None":
    """The cases of the files that are not among the rows, whose labels the rows have."""
    from orchestrator import labelled

    if not files:
        return None
    found = labelled.read(files, text=text, label=label, group=group)
    known, seen = set(rows.labels), {one.strip().lower() for one in rows.texts}
    for place, one in zip(found.places, found.labels, strict=True):
        if one not in known:
            raise InputError(
                f"{place}: the label {one!r} is not among those of --data",
                remedy=f"They are {', '.join(sorted(known))}.",
            )
    fresh = [i for i, one in enumerate(found.texts) if one.strip().lower() not in seen]
    if left_out := len(found.texts) - len(fresh):
        err().print(f"{count(left_out, 'case')} left out: they are among the texts of --data", markup=False)
    if not fresh:
        raise InputError("--cases: all of them are among the texts of --data", remedy="Give texts not trained on.")
    texts, labels = tuple(found.texts[i] for i in fresh), tuple(found.labels[i] for i in fresh)
    weights = tuple(found.weights[i] for i in fresh)
    return labelled.Labelled(texts, labels, texts, weights, tuple(found.places[i] for i in fresh), found.files)


def _report(head: "Head", texts: Sequence[str], labels: Sequence[str], reference: bool = False) -> "Report":
    from router import head_training as training

    probabilities = training.all_probabilities(head, texts, _vectors(texts, reference))
    return training.report(head.labels, probabilities, [head.labels.index(one) for one in labels])


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
        report = _report(head, texts, labels)
    else:
        report = _guarded(head, texts, labels, negative, threshold)
    if as_json:
        emit_json({"head": name, "data": list(rows.files), **told(report)})
        return
    show(report, f"{head.name} on {', '.join(file['file'] for file in rows.files)}")
    if head.experimental:
        err().print(f"{head.name} is experimental: {head.experimental}", markup=False, soft_wrap=True)


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
    shown = table("head", "labels", "held-out accuracy", "on other cases", "trained on", "")
    for head in found:
        made = head.made or {}
        shown.add_row(
            head.name,
            ", ".join(head.labels),
            *(f"{made[of]['accuracy']:.1%}" if of in made else "" for of in ("held_out", "cases")),
            f"{made.get('rows', {}).get('train', 0):,} texts",
            "experimental" if head.experimental else "",
        )
    out().print(shown)
    for head in found:
        if head.experimental:
            out().print(f"{head.name} is experimental: {head.experimental}", markup=False, soft_wrap=True)


@app.command(name="data")
def data_of(
    name: Annotated[str, typer.Argument(help="A head of ours.")],
    out_file: Annotated[Path, typer.Option("--out", help="Where the labelled texts are written, as JSON lines.")],
    shared: Annotated[Path, typer.Option(help="The folder of recorded data.")] = Path("../shared/data"),
) -> None:
    """Write the labelled texts that one of our heads is trained on. A file that is there stays where they cannot be made."""
    from experts import registry
    from router import recipes

    rows = [recipes.written(row) for row in registry.load("router.recipes", name).rows(shared)]
    try:
        out_file.write_text("".join(rows), encoding="utf-8")
    except OSError as error:
        raise InputError(f"{out_file} cannot be written: {error.strerror}") from None
    out().print(f"{len(rows):,} labelled texts written to {out_file}", markup=False, soft_wrap=True)


def _vectors(texts: Sequence[str], reference: bool = False) -> "NDArray[np.float32]":
    from router import minilm, minilm_reference
    from router.vectors import vectors

    if reference:
        import numpy as np

        model = minilm_reference.load()
        return np.concatenate([model.encode(texts[at : at + 256]).vectors for at in range(0, len(texts), 256)])
    console = err()

    def progress(done: int, total: int) -> None:
        if total > 1000 and (done == total or console.is_terminal):
            console.print(f"embedded {done:,} of {total:,} new texts", end="\n" if done == total else "\r")

    return vectors(texts, runtime=minilm.load, progress=progress)
