"""What our own heads are trained on, a file each, named as the head: `rows(shared)` yields labelled texts.

    def rows(shared: Path) -> Iterator[Row]     deterministic; raises `InputError` where a file is missing

`shared` is the folder of recorded data, which the project does not contain; phrases written for Madrigal lie beside the
recipes as YAML. `madrigal signal data NAME` writes the rows, `madrigal signal train` makes the head of them. A row's group
goes to one part of train, calibrate and test as a whole, so that near-copies never test each other.
"""

import gzip
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from experts.errors import InputError


class Row(NamedTuple):
    """A labelled text; `group` is what it was made of, "" for a text on its own; `source` says where it is from;
    a row of `weight` 2 counts as two rows when a head is fitted, not when one is measured."""

    text: str
    label: str
    group: str = ""
    source: str = "madrigal"
    weight: float = 1.0


def written(row: Row) -> str:
    """A row as a line of JSON, without what it leaves at its default weight."""
    told = {name: value for name, value in row._asdict().items() if name != "weight" or value != 1}
    return json.dumps(told, ensure_ascii=False) + "\n"


def lines(shared: Path, name: str) -> Iterator[dict[str, Any]]:
    """The rows of a file of JSON lines, gzipped or not. Raises `InputError` where it cannot be read."""
    path = shared / name
    try:
        with gzip.open(path, "rt", encoding="utf-8") if path.suffix == ".gz" else path.open(encoding="utf-8") as file:
            for line in file:
                yield json.loads(line)
    except (OSError, ValueError) as error:
        why = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        raise InputError(
            f"{path} cannot be read: {why}",
            remedy="The recorded data do not come with Madrigal; where you have them, name their folder: --shared DIR.",
        ) from None


def phrases(name: str) -> dict[str, Any]:
    """The phrases that lie beside a recipe."""
    import yaml

    written: dict[str, Any] = yaml.safe_load((Path(__file__).parent / f"{name}.yaml").read_text(encoding="utf-8"))
    return written


def question(prompt: str) -> str:
    """A multiple-choice prompt without its choices."""
    return prompt.partition("\nA. ")[0].removesuffix("\nAnswer:").strip()
