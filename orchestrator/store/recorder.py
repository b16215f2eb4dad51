"""Takes records off the hot path and writes them in batches. Knows nothing of what led to an answer.

`put` only appends to a bounded queue; one background task writes. While the database is away or locked, records wait;
when the queue is full, the oldest are dropped and counted. Nothing here delays or fails an answer. `store.keep` is
enforced here and in `writing.py`, nowhere else.
"""

import asyncio
import contextlib
import logging
import time
from collections import deque
from collections.abc import Callable, Sequence
from datetime import UTC, date, datetime, timedelta

import sqlalchemy as sa

from experts.errors import ConflictError, InputError, NotFoundError, StoreError
from orchestrator.caller import Key
from orchestrator.store.models import feedback, requests
from orchestrator.store.queries import purge, purge_checkpoints, spent_usd
from orchestrator.store.records import Keep, RequestRecord
from orchestrator.store.store import Store
from orchestrator.store.writing import clean, write

log = logging.getLogger("madrigal.store")

CHECKPOINT_LIFE = timedelta(days=1)
"""How long a durable run that nobody takes up again is kept; where texts are not kept any more it goes at once."""
_FIRST_RETRY_S = 0.25
_LONGEST_RETRY_S = 5.0
_DAY_S = 86_400.0


class Recorder:
    """The log of one process. Every method belongs to the event loop it was started on.

    Counters since the start: `written`; `dropped` because the queue was full; `failed` because the database refuses
    their data. `queued` is how many wait now.
    """

    def __init__(
        self,
        store: Store,
        *,
        keep: Keep = "features",
        retention_days: float | None = 30.0,
        interval_s: float = 0.5,
        batch: int = 500,
        capacity: int = 10_000,
        clock: Callable[[], float] = time.time,
    ) -> None:
        """Write what was put at most `interval_s` seconds later, `batch` records a transaction, holding `capacity`.

        Records older than `retention_days` days are deleted once a day (None: never). `clock` gives seconds since the
        epoch. Nothing runs before `start`.
        """
        self.written = self.dropped = self.failed = 0
        self._store = store
        self._keep: Keep = keep
        self._retention_days = retention_days
        self._interval_s = interval_s
        self._batch = batch
        self._capacity = capacity
        self._clock = clock
        self._queue: deque[RequestRecord] = deque()
        self._put = 0  # records ever put: the queue holds the newest of them
        self._hand: list[RequestRecord] = []  # being written
        self._hand_start = 0  # how many were put before the hand's first
        self._wake = asyncio.Event()  # there is something to write now
        self._timer: asyncio.TimerHandle | None = None  # … or will be soon
        self._hurry = asyncio.Event()  # somebody waits for it: no pause between tries
        self._progress = asyncio.Event()  # replaced after each batch
        self._overflowing = False
        self._loop: asyncio.AbstractEventLoop | None = None
        self._tasks: list[asyncio.Task[None]] = []

    @property
    def queued(self) -> int:
        """Records that were put and are not written yet."""
        return len(self._queue) + len(self._hand)

    def configure(self, *, keep: Keep, retention_days: float | None) -> None:
        """Change what is kept, from the next batch on."""
        self._keep, self._retention_days = keep, retention_days

    def start(self) -> None:
        """Begin to write, and to delete what is too old, on the running loop."""
        if self._loop is not None:
            return
        self._loop = asyncio.get_running_loop()
        self._tasks = [
            self._loop.create_task(self._write_all(), name="store: write"),
            self._loop.create_task(self._purge_daily(), name="store: purge"),
        ]
        if self._queue:  # put before the start
            self._wake.set()

    def put(self, record: RequestRecord) -> None:
        """Have `record` written soon. Never blocks, never raises."""
        queue = self._queue
        if len(queue) + len(self._hand) >= self._capacity and queue:
            queue.popleft()
            self.dropped += 1
            if not self._overflowing:
                self._overflowing = True
                log.warning("the log's queue is full (%d records): the oldest are dropped", self._capacity)
        queue.append(record)
        self._put += 1
        if len(queue) >= self._batch:
            self._wake.set()
        elif self._timer is None and self._loop is not None:
            self._timer = self._loop.call_later(self._interval_s, self._wake.set)

    async def flush(self, timeout_s: float = 2.0) -> bool:
        """Return True once all that was put before is written (or dropped), False if it takes over `timeout_s` seconds."""
        target = self._put
        try:
            async with asyncio.timeout(timeout_s):
                while self._open(target):
                    progress = self._progress
                    self._wake.set()
                    self._hurry.set()
                    await progress.wait()
        except TimeoutError:
            return False
        return True

    async def close(self, timeout_s: float = 5.0) -> None:
        """Write what is left, for at most `timeout_s` seconds, and stop. May be called twice."""
        if self._loop is None:
            return
        if not await self.flush(timeout_s):
            log.warning("%d records of the log could not be written in time and are lost", self.queued)
        for task in self._tasks:
            task.cancel()
        for task in self._tasks:
            with contextlib.suppress(asyncio.CancelledError):
                await task
        self._tasks = []

    async def feedback(self, request_id: str, key: Key, score: float, comment: str | None = None) -> None:
        """Note what `key` thinks of the answer to `request_id`: `score` from 0 (bad) to 1 (good).

        The comment is kept only where text is. Raises `InputError` for another score, `ConflictError` the second
        time, and `NotFoundError` for an unknown request; another key's request is as unknown, except to an admin.
        """
        if isinstance(score, bool) or not isinstance(score, int | float) or not 0 <= score <= 1:
            raise InputError(f"score must be a number from 0 to 1, not {score!r}.", param="score")
        owner = await self._owner(request_id)
        if owner is None and await self.flush():  # perhaps it was answered a moment ago
            owner = await self._owner(request_id)
        if owner is None or not (owner == key.id or key.has("admin")):
            hint = "Nothing is kept of requests here (store.keep: none)." if self._keep == "none" else None
            raise NotFoundError(f"no request {request_id!r} of this key is known.", remedy=hint, param="request_id")
        row = {
            "request_id": request_id,
            "key_id": key.id,
            "score": float(score),
            "comment": clean(comment) if comment is not None and self._keep == "text" else None,
            "created_at": datetime.fromtimestamp(self._clock(), UTC),
        }
        try:
            async with self._store.writing() as connection:
                await connection.execute(sa.insert(feedback).values(row))
        except sa.exc.IntegrityError:
            raise ConflictError(f"request {request_id!r} has its feedback already.", param="request_id") from None

    async def spent_usd(self, key_id: str, since: date | None) -> float:
        """What a key has spent since the UTC day `since` (None: ever), what still waits here included, in US dollars."""
        await self.flush()
        return await spent_usd(self._store, key_id, since)

    async def _owner(self, request_id: str) -> str | None:
        if "\x00" in request_id:  # no id of ours, and nothing PostgreSQL could look up
            return None
        async with self._store.reading() as connection:
            found = await connection.execute(sa.select(requests.c.key_id).where(requests.c.id == request_id))
            owner: str | None = found.scalar_one_or_none()
            return owner

    def _open(self, target: int) -> bool:
        """Whether any of the first `target` records is not done with."""
        in_hand = bool(self._hand) and self._hand_start < target
        return in_hand or self._put - len(self._queue) < target

    async def _write_all(self) -> None:
        assert self._loop is not None
        while True:
            await self._wake.wait()
            self._wake.clear()
            if self._timer is not None:
                self._timer.cancel()
            self._timer = None
            self._hand_start = self._put - len(self._queue)
            self._hand = [self._queue.popleft() for _ in range(min(self._batch, len(self._queue)))]
            await self._write_hand()
            self._hand = []
            # What came meanwhile waits for more company, unless it is a batch already: small batches cost most.
            if len(self._queue) >= self._batch:
                self._wake.set()
            elif self._queue and self._timer is None:
                self._timer = self._loop.call_later(self._interval_s, self._wake.set)
            self._progress.set()
            self._progress = asyncio.Event()
            if self._overflowing:
                self._overflowing = False
                log.warning("the log is written again; %d records were dropped so far", self.dropped)

    async def _write_hand(self) -> None:
        """Write the hand, however long it takes; a record whose data the database refuses is left out and counted."""
        parts: list[Sequence[RequestRecord]] = [self._hand] if self._hand else []
        pause_s = _FIRST_RETRY_S
        while parts:
            part = parts[-1]
            try:
                async with self._store.writing() as connection:
                    await write(connection, part, self._keep)
            except Exception as error:
                if not _is_about_data(error):
                    if pause_s == _FIRST_RETRY_S:
                        log.warning("the log cannot be written and is kept in memory for now: %s", error)
                    await self._pause(pause_s)
                    pause_s = min(pause_s * 2, _LONGEST_RETRY_S)
                    continue
                parts.pop()
                if len(part) > 1:  # find the one it is about
                    middle = len(part) // 2
                    parts += [part[middle:], part[:middle]]
                else:
                    self.failed += 1
                    log.error("the record of request %s cannot be stored: %s", part[0].id, error)
            else:
                parts.pop()
                self.written += len(part)
                pause_s = _FIRST_RETRY_S

    async def _pause(self, pause_s: float) -> None:
        self._hurry.clear()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(pause_s):
                await self._hurry.wait()

    async def _purge_daily(self) -> None:
        while True:
            now = datetime.fromtimestamp(self._clock(), UTC)
            try:
                await purge_checkpoints(self._store, now - CHECKPOINT_LIFE if self._keep == "text" else now)
                if self._retention_days is not None:
                    older_than = now - timedelta(days=self._retention_days)
                    if removed := await purge(self._store, older_than):
                        log.info("%d requests older than %g days were deleted", removed, self._retention_days)
            except StoreError as error:
                log.warning("what is too old could not be deleted: %s", error)
            await asyncio.sleep(_DAY_S)


def _is_about_data(error: Exception) -> bool:
    """Whether trying again is pointless: the fault is in a record, not in the database or the way to it."""
    if not isinstance(error, StoreError):  # a constraint, or a value of which no row can be made
        return True
    cause = error.__cause__
    if isinstance(cause, sa.exc.DataError):
        return True
    if isinstance(cause, sa.exc.StatementError) and not isinstance(cause, sa.exc.DBAPIError):
        return True  # a value SQLAlchemy itself could not turn into the column's type
    driver = getattr(cause, "orig", None)
    if str(getattr(driver, "sqlstate", "") or "").startswith(("22", "23")):  # SQL's classes for data and constraints
        return True
    return isinstance(getattr(driver, "__cause__", None), TypeError | ValueError | OverflowError)  # asyncpg's own
