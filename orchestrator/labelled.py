"""Labelled texts from files of JSON lines, for training and measuring heads. Knows nothing of models."""

import gzip
import hashlib
import json
import math
import zlib
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from experts.errors import InputError

MOST_ROWS = 200_000
"""Rows read: to embed them takes an hour, and no head gets better from more."""
LONGEST_LINE = 1 << 20
"""Bytes of a line."""
FEWEST = 5
"""Rows of a label, below which it cannot be learned."""

_SHAPE = 'A line is {"text": "…", "label": "…"}.'


@dataclass(frozen=True, slots=True)
class Labelled:
    """Texts and their labels, row by row; `groups` are the texts themselves where rows have no group, `weights` how many
    rows a row counts as in a fit, `places` the file and line of each. `files` are the name, SHA-256 and number of rows of
    each file read."""

    texts: tuple[str, ...]
    labels: tuple[str, ...]
    groups: tuple[str, ...]
    weights: tuple[float, ...]
    places: tuple[str, ...]
    files: tuple[dict[str, Any], ...]


def read(paths: Sequence[Path], *, text: str = "text", label: str = "label", group: str = "group") -> Labelled:
    """All rows of the files (`.jsonl`, also gzipped). `text`, `label` and `group` name the fields.

    A `label` that begins with `=` is that label for every row; whole numbers and true or false are labels too; a row
    without the field `weight` has 1. Blocks. Raises `InputError` with file and line.
    """
    texts: list[str] = []
    labels: list[str] = []
    groups: list[str] = []
    weights: list[float] = []
    places: list[str] = []
    files: list[dict[str, Any]] = []
    for path in paths:
        before = len(texts)
        for number, row in _rows(path):
            place = f"{path}:{number}"
            if len(texts) == MOST_ROWS:
                raise InputError(
                    f"{place}: at most {MOST_ROWS:,} rows are read, and there are more",
                    remedy=f"Take a sample: shuf -n {MOST_ROWS // 2} {path.name} > sample.jsonl",
                )
            said = label[1:] if label.startswith("=") else _label(row.get(label))
            if not isinstance(row.get(text), str) or not row[text].strip():
                raise InputError(f"{place}: the field {text!r} must hold a text{_given(row, text)}", remedy=_named(row))
            if not said:
                raise InputError(
                    f"{place}: the field {label!r} must hold a label{_given(row, label)}", remedy=_named(row)
                )
            weight = row.get("weight", 1)
            if isinstance(weight, bool) or not isinstance(weight, int | float) or not 0 < weight < math.inf:
                raise InputError(f"{place}: the field 'weight' must be a number above 0, not {weight!r}")
            texts.append(row[text])
            labels.append(said)
            groups.append(str(row.get(group) or row[text]))
            weights.append(float(weight))
            places.append(place)
        files.append({"file": path.name, "sha256": _digest(path), "rows": len(texts) - before})
    if not texts:
        raise InputError(f"{', '.join(map(str, paths))}: there is no labelled text", remedy=_SHAPE)
    return Labelled(tuple(texts), tuple(labels), tuple(groups), tuple(weights), tuple(places), tuple(files))


def check_learnable(rows: Labelled) -> None:
    """Raise `InputError` unless there are two labels, each with rows enough to be learned."""
    count = Counter(rows.labels)
    if len(count) < 2:
        raise InputError(
            f"{rows.places[0]}: every row has the label {rows.labels[0]!r}; a head tells two or more apart",
            remedy="Add texts of another label, as ordinary ones; a file without labels gets one by --label =word.",
        )
    rare = [label for label in count if count[label] < FEWEST]
    if rare:
        place = rows.places[rows.labels.index(rare[0])]
        more = f", and {len(rare) - 1:,} other labels have as few" if len(rare) > 1 else ""
        raise InputError(
            f"{place}: the label {rare[0]!r} has {count[rare[0]]} of the {FEWEST} rows that it needs at least{more}",
            remedy="Add texts of it or leave it out; 50 of each label is a fair start. Is --label the right field?",
        )


def contradictions(rows: Labelled) -> list[tuple[str, str]]:
    """Places of two rows with the same text and different labels."""
    first: dict[str, int] = {}
    found = []
    for at, text in enumerate(rows.texts):
        before = first.setdefault(text, at)
        if rows.labels[before] != rows.labels[at]:
            found.append((rows.places[before], rows.places[at]))
    return found


def _label(value: object) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value) if isinstance(value, int) else value.strip() if isinstance(value, str) else ""


def _given(row: dict[str, Any], field: str) -> str:
    if field not in row:
        return ", and there is no such field"
    return f"; it holds {json.dumps(row[field], ensure_ascii=False)[:40]}"


def _named(row: dict[str, Any]) -> str:
    if not row:
        return _SHAPE
    return f"The fields of this line are {', '.join(map(repr, row))}; name others with --text and --label."


def _rows(path: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    number = 0
    try:
        with gzip.open(path) if path.suffix == ".gz" else path.open("rb") as file:
            while line := file.readline(LONGEST_LINE + 1):
                number += 1
                if len(line) > LONGEST_LINE:
                    raise InputError(f"{path}:{number}: a line has at most {LONGEST_LINE:,} bytes", remedy=_SHAPE)
                if number == 1:
                    line = line.removeprefix(b"\xef\xbb\xbf")
                if line.strip():
                    yield number, _row(line, f"{path}:{number}", path)
    except OSError as error:
        raise InputError(
            f"{path} cannot be read: {error.strerror or error}", remedy=f"--data takes files of JSON lines. {_SHAPE}"
        ) from None
    except (EOFError, zlib.error) as error:
        raise InputError(f"{path}:{number + 1}: the compressed file is damaged: {error}") from None


def _row(line: bytes, place: str, path: Path) -> dict[str, Any]:
    try:
        row = json.loads(line.decode("utf-8"))
    except UnicodeDecodeError as error:
        raise InputError(
            f"{place}: this is not UTF-8: byte 0x{line[error.start]:02x} at place {error.start + 1} of the line",
            remedy=f"Convert it: iconv -f LATIN1 -t UTF-8 {path.name} (or -f UTF-16, as your editor says).",
        ) from None
    except (ValueError, RecursionError) as error:
        told = f"{error.msg} at column {error.colno}" if isinstance(error, json.JSONDecodeError) else str(error)
        raise InputError(f"{place}: this is not JSON: {told}", remedy=_SHAPE) from None
    if not isinstance(row, dict):
        raise InputError(
            f"{place}: a line must be a JSON object, not {'a list' if isinstance(row, list) else 'a single value'}",
            remedy=f"{_SHAPE} A list becomes lines by: jq -c '.[]' {path.name}",
        )
    return row


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
