"""Embeddings of many recorded prompts, kept on disk: what is computed once is never computed again.

For fitting and replay, not for requests: it blocks for minutes where thousands of texts are new. Knows nothing of
what the texts are for.
"""

import hashlib
import sqlite3
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from experts.errors import SourceError
from experts.sources import default_cache
from router.embed import DIMENSIONS, MAX_TOKENS, MODEL, Runtime

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

EMBEDDER = f"{MODEL}/{MAX_TOKENS}"
"""What made a vector: vectors of different embedders never meet, and a learned model is refused for another's."""

_STEP = 256
"""Texts computed between two writes: what is lost when the process is killed."""
_ASK = 500
"""Keys in one question to the database."""

Progress = Callable[[int, int], None]
"""Called with the texts computed so far and the texts to compute."""


def load() -> Runtime:
    """The reference embedder. Blocks for seconds. Raises `SourceError`."""
    from router import minilm

    return minilm.load()


def vectors(
    texts: Sequence[str],
    *,
    folder: Path | None = None,
    runtime: Callable[[], Runtime] = load,
    progress: Progress = lambda done, total: None,
) -> "NDArray[np.float32]":
    """Unit vectors of the texts, float32 [N, 384], in their order.

    Those in `folder` (by default `embeddings` in the cache folder) are read, the others computed, the shortest first,
    and written as they come, so a run that is cut goes on where it was; several processes may share a folder. `runtime`
    is called only where something must be computed. Blocks: about 40 new texts a second on two cores. Raises
    `SourceError` where the model or the folder cannot be used.
    """
    import numpy as np

    clean = [text.encode("utf-8", "replace").decode() for text in texts]
    keys = [hashlib.blake2b(text.encode(), digest_size=16).digest() for text in clean]
    first = {key: row for row, key in reversed(list(enumerate(keys)))}
    found: dict[bytes, NDArray[np.float32]] = {}
    path = (folder or default_cache() / "embeddings") / f"{EMBEDDER.replace('/', '-')}.sqlite"
    with _open(path) as store:
        for part in _parts(list(first), _ASK):
            marks = ",".join("?" * len(part))
            for key, blob in store.execute(f"SELECT key, vector FROM vectors WHERE key IN ({marks})", part):
                found[key] = np.frombuffer(blob, np.float32)
        new = sorted((key for key in first if key not in found), key=lambda key: len(clean[first[key]]))
        model = runtime() if new else None
        done = 0
        for part in _parts(new, _STEP):
            assert model is not None
            rows = model.encode([clean[first[key]] for key in part]).vectors
            with store:
                store.executemany(
                    "INSERT OR IGNORE INTO vectors VALUES (?, ?)",
                    [(key, row.astype(np.float32).tobytes()) for key, row in zip(part, rows, strict=True)],
                )
            found.update(zip(part, rows, strict=True))
            done += len(part)
            progress(done, len(new))
    return np.stack([found[key] for key in keys]) if keys else np.empty((0, DIMENSIONS), np.float32)


@contextmanager
def _open(path: Path) -> Iterator[sqlite3.Connection]:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with closing(sqlite3.connect(path, timeout=60)) as store:
            store.execute("PRAGMA journal_mode=WAL")
            store.execute("CREATE TABLE IF NOT EXISTS vectors (key BLOB PRIMARY KEY, vector BLOB) WITHOUT ROWID")
            yield store
    except (OSError, sqlite3.Error) as error:
        raise SourceError(
            f"the embeddings in {path} cannot be read or written: {error}",
            remedy="Remove the file, or name another folder with MADRIGAL_CACHE.",
        ) from error


def _parts(items: Sequence[bytes], size: int) -> Iterator[Sequence[bytes]]:
    return (items[at : at + size] for at in range(0, len(items), size))
