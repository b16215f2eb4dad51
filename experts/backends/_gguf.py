"""Reads the header of a GGUF file: what the model says of itself. Knows nothing of tensors or of engines.

The format: https://github.com/ggml-org/ggml/blob/master/docs/gguf.md (versions 2 and 3, little-endian).
"""

import mmap
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

from experts.errors import SourceError

_SCALARS = {0: "<B", 1: "<b", 2: "<H", 3: "<h", 4: "<I", 5: "<i", 6: "<f", 7: "<?", 10: "<Q", 11: "<q", 12: "<d"}
_STRING, _ARRAY = 8, 9


def metadata(path: Path, wanted: Callable[[str], bool] = lambda _: True) -> dict[str, Any]:
    """Key-value pairs of the file's header whose key is `wanted`; arrays come as their length only.

    Blocks for a few milliseconds (a vocabulary has to be stepped over). Raises `SourceError` where the file cannot
    be read, is no GGUF file, or ends within its header.
    """
    try:
        with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
            return _read(data, wanted)
    except OSError as error:
        raise SourceError(f"{path} cannot be read: {error.strerror or error}") from error
    except (ValueError, struct.error, IndexError, KeyError, UnicodeDecodeError) as error:
        raise SourceError(
            f"{path} is no whole GGUF file: {error}", remedy="Delete it and pull it again, or name another file."
        ) from error


def _read(data: mmap.mmap, wanted: Callable[[str], bool]) -> dict[str, Any]:
    at = 0

    def scalar(form: str) -> Any:
        nonlocal at
        (value,) = struct.unpack_from(form, data, at)
        at += struct.calcsize(form)
        return value

    def text(keep: bool = True) -> str:
        nonlocal at
        length = scalar("<Q")
        at += length
        if at > len(data):
            raise ValueError("it ends within its header")
        return data[at - length : at].decode() if keep else ""

    def value(kind: int, keep: bool) -> Any:
        nonlocal at
        if kind == _STRING:
            return text(keep)
        if kind != _ARRAY:
            return scalar(_SCALARS[kind])
        inner, count = scalar("<I"), scalar("<Q")
        if inner in _SCALARS:
            at += struct.calcsize(_SCALARS[inner]) * count
        else:
            for _ in range(count):
                value(inner, keep=False)
        return count

    if data[:4] != b"GGUF":
        raise ValueError(f"it starts with {bytes(data[:4])!r}, not b'GGUF'")
    at = 4
    version, _tensors, pairs = scalar("<I"), scalar("<Q"), scalar("<Q")
    if version not in (2, 3):
        raise ValueError(f"its format version is {version}, not 2 or 3")
    found: dict[str, Any] = {}
    for _ in range(pairs):
        key = text()
        keep = wanted(key)
        read = value(scalar("<I"), keep)
        if keep:
            found[key] = read
    return found
