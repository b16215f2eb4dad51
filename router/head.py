"""Linear heads: from a text's vectors to the probabilities of labels. Knows no model and no policy.

A head is a logistic regression over the sentence embedding, joined (where `buckets` is above 0) by hashed words and
pairs of words, so that it stays a matrix. Its file is JSON: the matrix as 8-bit rows with a scale each.
"""

import base64
import itertools
import json
import math
import re
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from experts.errors import ConfigError, InputError
from router.embed import DIMENSIONS, MAX_TOKENS, MODEL

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

OURS = Path(__file__).parent / "heads"
EMBEDDER = f"{MODEL}/{MAX_TOKENS}"
"""What the vectors must come from: a head is refused for another's."""
FORMAT = 1
MAX_WORDS = 2000
"""Words of a text that are hashed, from its start."""
_WORD = re.compile(r"[^\W_]+|[$%\\=<>+^]")
_NUMBER = re.compile(r"\d+")


@dataclass(frozen=True, eq=False)
class Head:
    """A trained head. `matrix` is float32 [L, D + buckets], `bias` [L]; `made` tells how it was trained.

    `threshold` is the probability from which a head that guards says yes, where it has been calibrated to one;
    `experimental` says why its answers are not vouched for, None where they are. `alone` is the label for which a guard
    reads suspect sentences of a text alone (`router.reading.suspects`), None for reading windows only.
    """

    name: str
    labels: tuple[str, ...]
    matrix: "NDArray[np.float32]"
    bias: "NDArray[np.float32]"
    buckets: int = 0
    temperature: float = 1.0
    threshold: float | None = None
    experimental: str | None = None
    alone: str | None = None
    made: Mapping[str, Any] | None = None

    def probabilities(self, vectors: "NDArray[np.float32]", text: str = "") -> "NDArray[np.float32]":
        """Of each label, for every row of `vectors` (float32 [W, D], of unit length): [W, L], rows sum to 1.

        `text` is what the hashed words are taken from; a head without them does not look at it.
        """
        import numpy as np

        logits = vectors @ self.matrix[:, :DIMENSIONS].T + self.bias  # [W, L]
        if self.buckets:
            logits = logits + self.words(text)
        logits = logits / self.temperature
        raised = np.exp(logits - logits.max(axis=1, keepdims=True))
        shares: NDArray[np.float32] = raised / raised.sum(axis=1, keepdims=True)
        return shares

    def words(self, text: str) -> "NDArray[np.float32]":
        """What a text's hashed words add to the logits, [L]: known without its vector. 0 for a head without them."""
        import numpy as np

        places, values = hashed(text, self.buckets) if self.buckets else ([], [])
        columns = self.matrix[:, [DIMENSIONS + place for place in places]]
        added: NDArray[np.float32] = columns @ np.array(values, np.float32)
        return added


def hashed(text: str, buckets: int) -> tuple[list[int], list[float]]:
    """Words and pairs of neighbouring words of a text as buckets (ascending) and weights: a sparse row of unit length.

    Weinberger et al. 2009, without signs: each kind counts 1 however often it occurs. Numbers are all one word.
    """
    words = [
        "0" if _NUMBER.fullmatch(word) else word for word in _WORD.findall(text[: MAX_WORDS * 20].lower())[:MAX_WORDS]
    ]
    kinds = set(words)
    kinds.update(f"{a} {b}" for a, b in itertools.pairwise(words))
    found: dict[int, float] = {}
    for kind in kinds:
        place = zlib.crc32(kind.encode("utf-8", "replace")) % buckets
        found[place] = found.get(place, 0.0) + 1.0
    norm = math.sqrt(sum(value * value for value in found.values())) or 1.0
    places = sorted(found)
    return places, [found[place] / norm for place in places]


def find(name: str, folder: Path = Path()) -> Head:
    """One of ours by its name, or a file (a name that ends in .json), seen from `folder`. Blocks on the disk, once.

    Raises `ConfigError` where there is none, or it cannot be used.
    """
    if name.endswith(".json"):
        return read((folder / Path(name).expanduser()).resolve())
    if name not in ours():
        raise ConfigError(
            f"there is no head {name!r}",
            remedy=f"Known: {', '.join(ours())}; or name a file, as in heads/{name}.json.",
        )
    return read(OURS / f"{name}.json")


def ours() -> tuple[str, ...]:
    """Names of the heads that come with Madrigal."""
    return tuple(sorted(path.stem for path in OURS.glob("*.json")))


def read(path: Path) -> Head:
    """The head in a file. Raises `ConfigError` that names it. Read once as long as the file does not change."""
    try:
        stamp = path.stat().st_mtime_ns
    except OSError as error:
        raise ConfigError(
            f"the head cannot be read: {error.strerror}",
            file=str(path),
            remedy="Train one: madrigal signal train --data labelled.jsonl --out heads/mine.json",
        ) from None
    return _read(path, stamp)


@lru_cache(maxsize=64)
def _read(path: Path, stamp: int) -> Head:
    import numpy as np

    try:
        told = json.loads(path.read_text(encoding="utf-8"))
        if told.get("format") != FORMAT or told.get("embedder") != EMBEDDER:
            raise ConfigError(
                f"this head is of format {told.get('format')} for the embedder {told.get('embedder')}; "
                f"format {FORMAT} for {EMBEDDER} is needed",
                file=str(path),
                remedy="Train it again with this version: madrigal signal train …",
            )
        labels, buckets = tuple(told["labels"]), int(told["buckets"])
        rows = np.frombuffer(base64.b64decode(told["matrix"]), np.int8).reshape(len(labels), DIMENSIONS + buckets)
        scales, bias = np.array(told["scales"], np.float32), np.array(told["bias"], np.float32)
        temperature, alone = float(told["temperature"]), told.get("alone")
        if not scales.shape == bias.shape == (len(labels),) or not temperature > 0:
            raise ValueError("it must hold a scale and a bias of each label, and a temperature above 0")
        if alone is not None and alone not in labels:
            raise ValueError(f"alone is {alone!r}, which is none of its labels")
        return Head(
            name=told["name"],
            labels=labels,
            matrix=rows.astype(np.float32) * scales[:, None],
            bias=bias,
            buckets=buckets,
            temperature=temperature,
            threshold=told.get("threshold"),
            experimental=told.get("experimental"),
            alone=alone,
            made=told.get("made"),
        )
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        if isinstance(error, InputError):
            raise
        raise ConfigError(
            f"this is no head: {type(error).__name__}: {error}",
            file=str(path),
            remedy="Train it again with this version: madrigal signal train …",
        ) from error


def _rounded(head: Head) -> "tuple[NDArray[np.int8], list[float]]":
    """The matrix as a file holds it: rows of 8 bits, and the scale of each."""
    import numpy as np

    scales = np.maximum(np.abs(head.matrix).max(axis=1), 1e-12) / 127  # [L]
    return np.round(head.matrix / scales[:, None]).astype(np.int8), [float(f"{value:.7g}") for value in scales]


def as_read(head: Head) -> Head:
    """A head as it is once written and read again: what is measured is what will answer."""
    import numpy as np

    rows, scales = _rounded(head)
    bias = np.array([round(float(value), 6) for value in head.bias], np.float32)
    matrix = rows.astype(np.float32) * np.array(scales, np.float32)[:, None]
    return replace(head, matrix=matrix, bias=bias, temperature=round(head.temperature, 6))


def write(head: Head, path: Path) -> None:
    """Write a head; what is read again is `as_read`. Raises `InputError` where the file cannot be written."""
    rows, scales = _rounded(head)
    told = {
        "format": FORMAT,
        "name": head.name,
        "embedder": EMBEDDER,
        "labels": list(head.labels),
        "experimental": head.experimental,
        "threshold": head.threshold,
        "alone": head.alone,
        "temperature": round(head.temperature, 6),
        "buckets": head.buckets,
        "made": head.made,
        "bias": [round(float(value), 6) for value in head.bias],
        "scales": scales,
        "matrix": base64.b64encode(rows.tobytes()).decode(),
    }
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(told, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")
    except OSError as error:
        raise InputError(f"{path} cannot be written: {error.strerror}") from None


def check(head: Head, labels: Sequence[str], what: str) -> None:
    """Raise `ConfigError` unless the head knows each of `labels`, which `what` names."""
    if strangers := [label for label in labels if label not in head.labels]:
        raise ConfigError(
            f"{what}: the head {head.name!r} has no label {strangers[0]!r}",
            remedy=f"It knows {', '.join(head.labels)}.",
        )
