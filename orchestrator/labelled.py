"""Labelled texts from files of JSON lines, for training and measuring heads. Knows nothing of models."""

import gzip
import hashlib
import json
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from experts.errors import InputError


@dataclass(frozen=True, slots=True)
class Labelled:
    """Texts and their labels, row by row; `groups` are the texts themselves where rows have no group, `weights` how many
    rows a row counts as in a fit. `files` are the name, SHA-256 and number of rows of each file read."""

    texts: tuple[str, ...]
    labels: tuple[str, ...]
    groups: tuple[str, ...]
    weights: tuple[float, ...]
    files: tuple[dict[str, Any], ...]


def read(paths: Sequence[Path], *, text: str = "text", label: str = "label", group: str = "group") -> Labelled:
    """All rows of the files (`.jsonl`, also gzipped). `text`, `label` and `group` name the fields.

    A `label` that begins with `=` is that label for every row; a row without the field `weight` has 1. Blocks. Raises `InputError` with file and line.
    """
    texts: list[str] = []
    labels: list[str] = []
    groups: list[str] = []
    weights: list[float] = []
    files: list[dict[str, Any]] = []
    for path in paths:
        before = len(texts)
        for number, row in _rows(path):
            said = label[1:] if label.startswith("=") else row.get(label)
            if not isinstance(row.get(text), str) or not isinstance(said, str) or not said:
                wrong = text if not isinstance(row.get(text), str) else label
                raise InputError(
                    f"{path}:{number}: the field {wrong!r} must be a text",
                    remedy=f"It has {', '.join(map(repr, row))}; name others with --text and --label.",
                )
            weight = row.get("weight", 1)
            if isinstance(weight, bool) or not isinstance(weight, int | float) or not 0 < weight < math.inf:
                raise InputError(f"{path}:{number}: the field 'weight' must be a number above 0, not {weight!r}")
            texts.append(row[text])
            labels.append(said)
            groups.append(str(row.get(group) or row[text]))
            weights.append(float(weight))
        files.append({"file": path.name, "sha256": _digest(path), "rows": len(texts) - before})
    if not texts:
        raise InputError("there is no labelled text to read", remedy='A line is {"text": "…", "label": "…"}.')
    return Labelled(tuple(texts), tuple(labels), tuple(groups), tuple(weights), tuple(files))


def _rows(path: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    number = 0
    try:
        with gzip.open(path, "rt", encoding="utf-8") if path.suffix == ".gz" else path.open(encoding="utf-8") as file:
            for number, line in enumerate(file, 1):
                if line.strip():
                    row = json.loads(line)
                    if not isinstance(row, dict):
                        raise ValueError("a line must be a JSON object")
                    yield number, row
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror or error}") from None
    except ValueError as error:  # also what is not UTF-8
        raise InputError(f"{path}:{number}: {error}", remedy='A line is {"text": "…", "label": "…"}.') from None


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
