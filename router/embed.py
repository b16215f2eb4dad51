"""The one sentence embedder: texts to unit vectors, off the event loop, batched over everybody who asks meanwhile.

Knows nothing of requests, signals or the model: that is a `Runtime`, loaded on first use in a worker thread. Implements
`router.tools.Embedder`.
"""

import asyncio
import hashlib
import logging
from collections import OrderedDict, deque
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from experts.errors import UnavailableError

if TYPE_CHECKING:  # the idle server has not loaded numpy
    import numpy as np
    from numpy.typing import NDArray

log = logging.getLogger("madrigal.embed")

MODEL = "all-MiniLM-L6-v2"
DIMENSIONS = 384
MAX_TOKENS = 256
"""Tokens read of a text, the two marks around it included; the rest is cut off, as the reference does."""

_LONGEST = 1200
"""Characters that count of a long text: English fills MAX_TOKENS with about as many."""
_BATCH_CHARACTERS = 8 * _LONGEST
"""A batch of long texts ends here, so that nobody waits long for the next one."""
_SPLIT_TEXTS = 64
"""Long texts whose pieces are remembered: the signals of one request ask for them together."""


@dataclass(frozen=True, slots=True)
class Encoded:
    """Texts as vectors: float32 [N, D] rows of unit length; of each text the tokens read, and whether it was cut."""

    vectors: "NDArray[np.float32]"
    tokens: tuple[int, ...]
    truncated: tuple[bool, ...]


class Runtime(Protocol):
    """What runs the model."""

    def encode(self, texts: Sequence[str]) -> Encoded:
        """The texts in their order. Blocks; called in one thread at a time."""

    def split(self, text: str) -> list[str]:
        """The text in pieces that are read whole, all of about one length, each overlapping the one before; at least
        one. Blocks; called in one thread at a time."""


def _load() -> Runtime:
    from router import minilm  # imports numpy and onnxruntime only once it is called

    return minilm.load()


@dataclass(frozen=True, slots=True)
class _Row:
    vector: "NDArray[np.float32]"
    tokens: int
    truncated: bool


@dataclass(slots=True, eq=False)
class _Job:
    """One text to be encoded, for all who wait for it."""

    text: str
    digest: bytes
    done: "asyncio.Future[_Row]"
    queued: bool = False
    waiters: int = 0


class Embedder:
    """Made at once, loaded at the first text, used from one event loop. `close` it in the end.

    `load` makes the runtime, in a thread; a failure is told to everybody who waits and tried again at the next call.
    `batch_texts` bounds what is run at once (long texts: fewer): callers are served in turn, so that somebody with one text waits for one
    batch, not for somebody's thousand. `cache_texts` vectors are remembered, by a hash of the text alone.
    """

    def __init__(self, load: Callable[[], Runtime] = _load, *, batch_texts: int = 32, cache_texts: int = 4096) -> None:
        self._load = load
        self._batch_texts = batch_texts
        self._cache_texts = cache_texts
        self._cache: OrderedDict[bytes, _Row] = OrderedDict()
        self._pending: dict[bytes, _Job] = {}
        self._callers: deque[deque[_Job]] = deque()
        self._runtime: Runtime | None = None
        self._thread: ThreadPoolExecutor | None = None
        self._worker: asyncio.Task[None] | None = None
        self._loading: asyncio.Task[Runtime] | None = None
        self._pieces: OrderedDict[bytes, asyncio.Task[list[str]]] = OrderedDict()
        self._closed = False

    @property
    def loaded(self) -> bool:
        """Whether the model is in memory."""
        return self._runtime is not None

    def missing(self) -> str | None:
        """What is not installed that the model needs, None where nothing is. Loads nothing."""
        from router import minilm

        return minilm.missing()

    async def windows(self, text: str, most: int = 16) -> "NDArray[np.float32]":
        """A text of any length: unit vectors of its pieces in their order, float32 [W, D], 1 ≤ W ≤ `most`.

        A text that the model reads whole is one piece. Of more than `most` pieces, the first and the last ones are
        read and, between them, as many at even distances. Raises as `encode` does.
        """
        return await self.embed(await self.pieces(text, most))

    async def pieces(self, text: str, most: int = 16) -> list[str]:
        """The pieces that `windows` embeds. Raises as `encode` does."""
        text = _clean(text)
        if len(text.encode()) <= MAX_TOKENS - 2:  # a token is one byte at least
            return [text]
        pieces = await self._split(text)
        if len(pieces) > most:
            pieces = [pieces[round(at * (len(pieces) - 1) / max(1, most - 1))] for at in range(most)]
        return pieces

    async def _split(self, text: str) -> list[str]:
        """Pieces of a text; signals that ask for the same text meanwhile, or soon after, share the work."""
        if self._closed:
            raise _closed()
        digest = _digest(text)
        task = self._pieces.get(digest)
        if task is None or (task.done() and (task.cancelled() or task.exception() is not None)):
            task = self._pieces[digest] = asyncio.ensure_future(self._cut(text))
            task.add_done_callback(_retrieve)
            while len(self._pieces) > _SPLIT_TEXTS:
                self._pieces.popitem(last=False)
        return await asyncio.shield(task)

    async def _cut(self, text: str) -> list[str]:
        runtime = await self._ready()
        assert self._thread is not None, "the runtime is loaded in it"
        return await asyncio.get_running_loop().run_in_executor(self._thread, runtime.split, text)

    async def embed(self, texts: Sequence[str]) -> "NDArray[np.float32]":
        """Unit vectors, one row a text, float32 [N, D]. Raises as `encode` does."""
        return (await self.encode(texts)).vectors

    async def encode(self, texts: Sequence[str]) -> Encoded:
        """The texts as vectors, with what was read of each.

        The first call waits for the model to be loaded. Raises `SourceError` where that fails, `UnavailableError` after
        `close`. A caller that is cancelled costs the others nothing; what only it wanted is not computed any more.
        """
        if self._closed:
            raise _closed()
        rows = [self._find(_clean(text)) for text in texts]
        waiting = {row for row in rows if isinstance(row, _Job)}
        if waiting:
            await self._wait(waiting)
        done = [row.done.result() if isinstance(row, _Job) else row for row in rows]
        import numpy as np

        vectors = np.stack([row.vector for row in done]) if done else np.empty((0, DIMENSIONS), np.float32)
        return Encoded(vectors, tuple(row.tokens for row in done), tuple(row.truncated for row in done))

    def _find(self, text: str) -> "_Row | _Job":
        """What is known of a text: its row, or the job that somebody is waiting for, or a new one."""
        digest = _digest(text)
        if (row := self._cache.get(digest)) is not None:
            self._cache.move_to_end(digest)
            return row
        job = self._pending.get(digest)
        if job is None:
            job = self._pending[digest] = _Job(text, digest, asyncio.get_running_loop().create_future())
            job.done.add_done_callback(_retrieve)
        return job

    async def _wait(self, jobs: set[_Job]) -> None:
        """Wait until all jobs are done, one way or the other. Those that nobody has queued yet are queued."""
        if new := sorted((job for job in jobs if not job.queued), key=lambda job: len(job.text)):
            self._callers.append(deque(new))
        for job in jobs:
            job.queued = True
            job.waiters += 1
        if self._worker is None:
            self._worker = asyncio.ensure_future(self._work())
        try:
            await asyncio.wait([job.done for job in jobs])
        finally:
            for job in jobs:
                job.waiters -= 1

    async def _work(self) -> None:
        """Encode until nothing is left to do. What arrives while a batch runs makes up the next one."""
        loop = asyncio.get_running_loop()
        try:
            try:
                runtime = await self._ready()
            except Exception as error:
                self._fail(error)
                return
            while batch := self._take():
                try:
                    encoded = await loop.run_in_executor(self._thread, runtime.encode, [j.text for j in batch])
                except Exception as error:
                    self._finish(batch, error)
                else:
                    self._finish(batch, encoded)
        finally:
            self._worker = None

    async def _ready(self) -> Runtime:
        """The runtime, loaded first where it is not yet; those who wait for it wait for the same one."""
        if self._runtime is not None:
            return self._runtime
        if self._loading is None:
            self._loading = asyncio.ensure_future(self._load_in_thread())
        return await asyncio.shield(self._loading)

    async def _load_in_thread(self) -> Runtime:
        try:
            if self._thread is None:
                self._thread = ThreadPoolExecutor(1, thread_name_prefix="embed")
            self._runtime = await asyncio.get_running_loop().run_in_executor(self._thread, self._load)
            return self._runtime
        except Exception as error:
            log.warning("the sentence embedder was not loaded: %s", error)
            raise
        finally:
            self._loading = None

    def _take(self) -> list[_Job]:
        """The next batch: one text of each caller in turn, without those that nobody waits for any more."""
        batch: list[_Job] = []
        characters = 0
        while self._callers and len(batch) < self._batch_texts and characters < _BATCH_CHARACTERS:
            caller = self._callers.popleft()
            job = caller.popleft()
            if caller:
                self._callers.append(caller)
            if job.waiters:
                batch.append(job)
                characters += min(len(job.text), _LONGEST)
            else:
                self._forget(job)
        return batch

    def _finish(self, batch: list[_Job], result: "Encoded | Exception") -> None:
        for at, job in enumerate(batch):
            self._forget(job)
            if isinstance(result, Exception):
                job.done.set_exception(result)
                continue
            vector = result.vectors[at].copy()  # not a view that would keep the whole batch in memory
            row = _Row(vector, result.tokens[at], result.truncated[at])
            self._cache[job.digest] = row
            job.done.set_result(row)
        while len(self._cache) > self._cache_texts:
            self._cache.popitem(last=False)

    def _fail(self, error: Exception) -> None:
        """Tell everybody whose texts are not being encoded already that they will not be."""
        callers, self._callers = self._callers, deque()
        self._finish([job for caller in callers for job in caller], error)

    def _forget(self, job: _Job) -> None:
        if self._pending.get(job.digest) is job:
            del self._pending[job.digest]

    async def close(self) -> None:
        """Refuse what is waiting, let the running batch end, free the model. May be called twice."""
        self._closed = True
        self._fail(_closed())
        running = [task for task in (self._worker, self._loading, *self._pieces.values()) if task is not None]
        if running:
            await asyncio.wait(running)
        if self._thread is not None:
            self._thread.shutdown(wait=False)
        self._runtime = self._thread = None
        self._cache.clear()
        self._pieces.clear()


def _closed() -> UnavailableError:
    return UnavailableError("the sentence embedder is closed: this server is stopping", retry_after_s=1.0)


def _clean(text: str) -> str:
    """The text as UTF-8 has it: half surrogate pairs become `?`."""
    return text if text.isascii() else text.encode("utf-8", "replace").decode()


def _digest(text: str) -> bytes:
    return hashlib.blake2b(text.encode(), digest_size=16).digest()


def _retrieve(done: "asyncio.Future[Any]") -> None:
    """Look at the failure of a text, so that one whose callers all left is not reported as lost."""
    if not done.cancelled():
        done.exception()
