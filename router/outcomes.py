"""Recorded outcomes: what models scored on prompts, as others or `madrigal` itself wrote it down.

The format is JSON Lines, plain or gzipped: `{"id", "prompt", "scores": {model: 0..1}, "answers": {model: text}?,
"cost": {model: usd}?, "group"?, "split"?, "answer"?}`. Knows nothing of selectors; `Asked` is all that they may see.
"""

import gzip
import hashlib
import json
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from experts.errors import InputError
from router.traits import traits

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


@dataclass(frozen=True, slots=True, eq=False)
class Asked:
    """Prompts to be routed, and nothing that says how they went: texts, and unit vectors float32 [N, D] of them.

    `form` float32 [N, T] are the texts' traits where they have been read already (see `read`).
    """

    prompts: tuple[str, ...]
    vectors: "NDArray[np.float32]"
    form: "NDArray[np.float32] | None" = None

    def __len__(self) -> int:
        return len(self.prompts)

    def take(self, rows: "Sequence[int] | NDArray[np.intp]") -> "Asked":
        """These rows, in this order."""
        form = None if self.form is None else self.form[rows]
        return Asked(tuple(self.prompts[row] for row in rows), self.vectors[rows], form)

    def read(self) -> "Asked":
        """The same with its traits, read once for all that is fitted on it: seconds for ten thousand prompts."""
        return self if self.form is not None else replace(self, form=traits(self.prompts))


@dataclass(frozen=True, slots=True, eq=False)
class Outcomes:
    """N prompts by E models. `scores` float64 [N, E] in 0..1, NaN where a model was not asked (see `complete`); `costs`
    USD in the same shape where every row has them.

    `groups` are true labels: a router may be compared with them, never shown them. `answers` are what each model said,
    `truth` what is right, where recorded. `sha256` holds the files that the rows came from.
    """

    ids: tuple[str, ...]
    prompts: tuple[str, ...]
    experts: tuple[str, ...]
    scores: "NDArray[np.float64]"
    costs: "NDArray[np.float64] | None" = None
    groups: tuple[str | None, ...] = ()
    splits: tuple[str | None, ...] = ()
    answers: tuple[tuple[str | None, ...], ...] | None = None
    truth: tuple[str | None, ...] = ()
    sha256: Mapping[str, str] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.ids)

    def take(self, rows: "Sequence[int] | NDArray[np.intp]") -> "Outcomes":
        """These rows, in this order."""
        return replace(
            self,
            ids=tuple(self.ids[row] for row in rows),
            prompts=tuple(self.prompts[row] for row in rows),
            scores=self.scores[rows],
            costs=None if self.costs is None else self.costs[rows],
            groups=tuple(self.groups[row] for row in rows),
            splits=tuple(self.splits[row] for row in rows),
            answers=None if self.answers is None else tuple(self.answers[row] for row in rows),
            truth=tuple(self.truth[row] for row in rows),
        )

    def split(self, name: str) -> "Outcomes":
        """The rows marked with a split. Raises `InputError` where there are none."""
        rows = [row for row, split in enumerate(self.splits) if split == name]
        if not rows:
            known = sorted({split for split in self.splits if split})
            remedy = f"Known: {', '.join(known)}." if known else "These files have no splits."
            raise InputError(f"no row is marked with the split {name!r}", remedy=remedy)
        return self.take(rows)

    def pool(self, experts: Sequence[str]) -> "Outcomes":
        """Only these models, in this order. Raises `InputError` for models not recorded."""
        if strangers := [name for name in experts if name not in self.experts]:
            raise InputError(
                f"the files hold no outcomes of {', '.join(strangers)}", remedy=f"They hold: {', '.join(self.experts)}."
            )
        at = [self.experts.index(name) for name in experts]
        return replace(
            self,
            experts=tuple(experts),
            scores=self.scores[:, at],
            costs=None if self.costs is None else self.costs[:, at],
            answers=None if self.answers is None else tuple(tuple(row[i] for i in at) for row in self.answers),
        )

    def complete(self) -> "Outcomes":
        """Only the rows that score every model. Raises `InputError` where there are none."""
        import numpy as np

        rows = np.flatnonzero(~np.isnan(self.scores).any(axis=1))
        if not len(rows):
            raise InputError(
                f"no row scores all of {', '.join(self.experts)}",
                remedy="Choose models that answered the same prompts.",
            )
        return self if len(rows) == len(self) else self.take(rows)

    def asked(self, vectors: "NDArray[np.float32]") -> Asked:
        """What a selector may see of them; `vectors` float32 [N, D] are their embeddings."""
        assert len(vectors) == len(self), "one vector a prompt"
        return Asked(self.prompts, vectors)


def read(paths: Sequence[Path]) -> Outcomes:
    """The rows of all files, in order; the models are all that any row scores, in the order they appear. Blocks.

    Raises `InputError` with file and line for what is not in the format.
    """
    rows: list[dict[str, Any]] = []
    places: list[str] = []
    sha256: dict[str, str] = {}
    for path in paths:
        data = _bytes(path)
        sha256[path.name] = hashlib.sha256(data).hexdigest()
        for number, row in _rows(path, data):
            rows.append(row)
            places.append(f"{path}:{number}")
    if not rows:
        raise InputError(f"there are no outcomes in {', '.join(map(str, paths)) or 'no file'}")
    return _outcomes(rows, places, sha256)


def _outcomes(rows: list[dict[str, Any]], places: list[str], sha256: Mapping[str, str]) -> Outcomes:
    import numpy as np

    experts = tuple(dict.fromkeys(name for row in rows for name in row["scores"]))
    scores = np.array([_numbers(row, "scores", experts, 1.0, place) for row, place in zip(rows, places, strict=True)])
    costs = None
    if all("cost" in row for row in rows):
        costs = np.array(
            [_numbers(row, "cost", experts, math.inf, place) for row, place in zip(rows, places, strict=True)]
        )
    said = (
        tuple(tuple((row.get("answers") or {}).get(name) for name in experts) for row in rows)
        if "answers" in rows[0]
        else None
    )
    return Outcomes(
        ids=tuple(str(row.get("id", place)) for row, place in zip(rows, places, strict=True)),
        prompts=tuple(row["prompt"] for row in rows),
        experts=experts,
        scores=scores,
        costs=costs,
        groups=tuple(row.get("group") for row in rows),
        splits=tuple(row.get("split") for row in rows),
        answers=said,
        truth=tuple(row.get("answer") for row in rows),
        sha256=sha256,
    )


def _numbers(row: dict[str, Any], key: str, experts: tuple[str, ...], most: float, place: str) -> list[float]:
    """One number in 0..`most` per model, NaN where there is none."""
    given = row[key]
    if not isinstance(given, dict):
        raise InputError(f"{place}: `{key}` must hold a number for each model, not {given!r}")
    for name, value in given.items():
        if isinstance(value, str) or not (value is not None and 0 <= value <= most):
            raise InputError(f"{place}: `{key}` of {name} must be a number in 0..{most:g}, not {value!r}")
    return [float(given.get(name, math.nan)) for name in experts]


def _bytes(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise InputError(
            f"{path} cannot be read: {error.strerror}", remedy="Name a file of recorded outcomes."
        ) from None


def _rows(path: Path, data: bytes) -> Iterator[tuple[int, dict[str, Any]]]:
    try:
        text = (gzip.decompress(data) if data[:2] == b"\x1f\x8b" else data).decode()
    except (OSError, EOFError, UnicodeDecodeError) as error:
        raise InputError(f"{path} is neither text in UTF-8 nor such a text gzipped: {error}") from None
    for number, line in enumerate(text.split("\n"), 1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
        except ValueError as error:
            raise InputError(f"{path}:{number}: not JSON: {error}") from None
        if (
            not isinstance(row, dict)
            or not isinstance(row.get("prompt"), str)
            or not isinstance(row.get("scores"), dict)
        ):
            raise InputError(
                f'{path}:{number}: a row is {{"id", "prompt": text, "scores": {{model: 0..1}}, …}}',
                remedy="See docs/routing.md for the format.",
            )
        yield number, row
