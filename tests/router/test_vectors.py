"""Embeddings kept on disk: computed once, resumed after a cut."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from experts.errors import SourceError
from router.embed import DIMENSIONS, Encoded
from router.vectors import vectors


class Counting:
    """A runtime whose vectors are made of the text's length; it can be cut off after some batches."""

    def __init__(self, batches: int | None = None) -> None:
        self.texts: list[str] = []
        self.batches = batches

    def encode(self, texts: Sequence[str]) -> Encoded:
        if self.batches == 0:
            raise KeyboardInterrupt
        if self.batches is not None:
            self.batches -= 1
        self.texts += texts
        rows = np.stack([np.full(DIMENSIONS, len(text), np.float32) for text in texts])
        return Encoded(rows, (1,) * len(texts), (False,) * len(texts))


def test_each_text_is_computed_once(tmp_path: Path) -> None:
    runtime = Counting()
    first = vectors(["aa", "b", "aa", "\ud800"], folder=tmp_path, runtime=lambda: runtime)
    assert first[:, 0].tolist() == [2, 1, 2, 1] and first.dtype == np.float32
    assert sorted(runtime.texts) == ["?", "aa", "b"]
    again = vectors(["b", "ccc"], folder=tmp_path, runtime=lambda: runtime)
    assert again[:, 0].tolist() == [1, 3]
    assert runtime.texts[-1] == "ccc" and len(runtime.texts) == 4


def test_what_was_computed_before_a_cut_is_kept(tmp_path: Path) -> None:
    texts = [f"text {i}" for i in range(600)]
    cut = Counting(batches=1)
    with pytest.raises(KeyboardInterrupt):
        vectors(texts, folder=tmp_path, runtime=lambda: cut)
    rest = Counting()
    seen: list[tuple[int, int]] = []
    found = vectors(
        texts, folder=tmp_path, runtime=lambda: rest, progress=lambda done, total: seen.append((done, total))
    )
    assert len(cut.texts) + len(rest.texts) == 600 and len(cut.texts) > 0
    assert found[:, 0].tolist() == [len(text) for text in texts]
    assert seen[-1] == (len(rest.texts), len(rest.texts))


def test_nothing_is_loaded_where_nothing_is_new(tmp_path: Path) -> None:
    vectors(["x"], folder=tmp_path, runtime=Counting)

    def never() -> Counting:
        raise AssertionError("the model was loaded")

    assert vectors(["x"], folder=tmp_path, runtime=never).shape == (1, DIMENSIONS)
    assert vectors([], folder=tmp_path, runtime=never).shape == (0, DIMENSIONS)


def test_a_broken_file_is_named(tmp_path: Path) -> None:
    vectors(["x"], folder=tmp_path, runtime=Counting)
    (path,) = tmp_path.glob("*.sqlite")
    path.write_bytes(b"not a database" * 100)
    with pytest.raises(SourceError, match="cannot be read or written"):
        vectors(["x"], folder=tmp_path, runtime=Counting)
