"""The file of a fitted model: what is kept, and what is refused."""

from pathlib import Path

import numpy as np
import pytest

from experts.errors import ConfigError
from router.learned import Learned, load, save

MODEL = Learned("elo", ("a", "b"), {"ratings": np.array([1010.0, 990.0])}, {"k": 3}, {"seed": 7})


def test_what_was_saved_is_loaded(tmp_path: Path) -> None:
    path = tmp_path / "new" / "m.safetensors"
    save(MODEL.came(date="2026-11-23"), path)
    again = load(path, selector="elo", experts=["b"])
    assert (again.selector, again.experts, again.settings) == ("elo", ("a", "b"), {"k": 3})
    assert again.arrays["ratings"].tolist() == [1010, 990]
    assert again.provenance == {"seed": 7, "date": "2026-11-23"}
    assert [p.name for p in path.parent.iterdir()] == ["m.safetensors"]


def test_a_model_that_does_not_fit_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "m.safetensors"
    save(MODEL, path)
    with pytest.raises(ConfigError, match="fitted for the selector elo, not knn"):
        load(path, selector="knn")
    with pytest.raises(ConfigError, match="fitted without c") as error:
        load(path, experts=["a", "c"])
    assert "a, b" in str(error.value.remedy)
    save(Learned("elo", ("a",), MODEL.arrays, embedder="another/512"), path)
    with pytest.raises(ConfigError, match="vectors of another/512"):
        load(path)


def test_a_file_of_something_else_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "m.safetensors"
    with pytest.raises(ConfigError, match="there is no fitted model") as error:
        load(path)
    assert "madrigal router fit" in str(error.value.remedy)
    path.write_bytes(b"\x00" * 64)
    with pytest.raises(ConfigError, match="not a fitted model"):
        load(path)
    from safetensors.numpy import save_file

    save_file({"x": np.zeros(2)}, path)
    with pytest.raises(ConfigError, match="not a model of madrigal-selector/1"):
        load(path)
    save(MODEL, path)
    path.write_bytes(path.read_bytes()[:-3])
    with pytest.raises(ConfigError, match="not a fitted model"):
        load(path)


def test_a_folder_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigError, match="cannot be written"):
        save(MODEL, tmp_path / "file" / "m.safetensors")
