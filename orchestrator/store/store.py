"""Opens the database and hands out connections. Knows nothing of what is stored, beyond bringing the tables up to date.

SQLite runs in its write-ahead mode: readers never wait for a writer, and each connection works in a thread of its own,
so a file locked by another process delays the log and nothing else.
"""

import asyncio
import json
import os
import sqlite3
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, TypeVar

import orjson
import sqlalchemy as sa
from sqlalchemy.engine import URL
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine

from experts.errors import StoreError
from orchestrator.store import migrations
from orchestrator.store.models import SCHEMA
from orchestrator.store.url import default_url, parse, shown

T = TypeVar("T")

BUSY_TIMEOUT_S = 5.0
"""How long one statement waits for another process's lock on the SQLite file before it fails (and is tried again)."""

_CONNECT_TIMEOUT_S = 5.0
_COMMAND_TIMEOUT_S = 60.0
_WRITE = "madrigal_write"
_LOCK = 0x6D616472  # "madr": the advisory lock under which PostgreSQL databases are migrated


class Store:
    """An open database whose tables are up to date. Make one with `Store.open`; `url` is safe to show."""

    def __init__(self, engine: AsyncEngine, url: str) -> None:
        self.engine = engine
        self.url = url
        self._errors = _driver_errors(engine)

    @classmethod
    async def open(cls, url: str | None = None) -> "Store":
        """Open the database at `url` (default: an SQLite file in the user's data folder), making the file and its
        folder and migrating the tables where needed. Several processes may do so at once.

        Raises `StoreError` if it cannot be reached or written, or belongs to a newer version.
        """
        parsed = parse(default_url() if url is None else url)
        if parsed.get_backend_name() == "sqlite":
            _make_room(Path(parsed.database or ""))
        store = cls(_engine(parsed), shown(parsed))
        try:
            await store._migrate()
        except BaseException:
            await store.close()
            raise
        return store

    async def close(self) -> None:
        """Close every connection. May be called twice."""
        await self.engine.dispose()

    async def ping(self, timeout_s: float = 2.0) -> None:
        """Return if the database answers within `timeout_s` seconds; raises `StoreError` otherwise."""
        try:
            async with asyncio.timeout(timeout_s), self.reading() as connection:
                await connection.execute(sa.text("SELECT 1"))
        except TimeoutError:
            raise StoreError(f"the database {self.url} did not answer within {timeout_s:g} s.") from None

    @asynccontextmanager
    async def reading(self) -> AsyncIterator[AsyncConnection]:
        """A connection in a transaction for reading. Database errors leave it as `StoreError` with their cause."""
        async with self._transaction({}) as connection:
            yield connection

    @asynccontextmanager
    async def writing(self) -> AsyncIterator[AsyncConnection]:
        """A connection in a transaction that is committed at the end, undone by an exception. Waits for other writers.

        Database errors leave it as `StoreError` with their cause; `sqlalchemy.exc.IntegrityError` leaves as it is.
        """
        async with self._transaction({_WRITE: True}) as connection:
            yield connection

    @asynccontextmanager
    async def _transaction(self, options: dict[str, Any]) -> AsyncIterator[AsyncConnection]:
        try:
            async with self.engine.connect() as connection:
                await connection.execution_options(**options)
                async with connection.begin():
                    yield connection
        except sa.exc.IntegrityError:
            raise
        except self._errors as error:
            raise _explained(error, self.url) from error

    async def _migrate(self) -> None:
        async with self.reading() as connection:
            version = await connection.run_sync(migrations.current)
        if version == SCHEMA:
            return
        async with self.writing() as connection:  # on SQLite this alone holds other writers off
            if connection.dialect.name == "postgresql":
                await connection.execute(sa.select(sa.func.pg_advisory_xact_lock(_LOCK)))
            await connection.run_sync(migrations.upgrade)


async def whole(write: Coroutine[Any, Any, T]) -> T:
    """What a short write gives, waited for also where the waiting is cancelled: a transaction that is cut in half costs its
    connection."""
    task = asyncio.ensure_future(write)
    try:
        return await asyncio.shield(task)
    except asyncio.CancelledError:
        await asyncio.wait([task])
        raise


def _make_room(file: Path) -> None:
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise StoreError(
            f"the folder of the database {str(file)!r} cannot be made: {error.strerror}.",
            remedy="Name a place you may write to (store.url, --store or MADRIGAL_STORE).",
        ) from error
    if not os.access(file if file.exists() else file.parent, os.W_OK):
        raise StoreError(
            f"the database {str(file)!r} cannot be written.",
            remedy="Give this user the right to, or name another place (store.url, --store or MADRIGAL_STORE).",
        )


def _engine(url: URL) -> AsyncEngine:
    options: dict[str, Any] = {"json_serializer": _to_json, "json_deserializer": orjson.loads}
    if url.get_backend_name() == "postgresql":
        dsn = url.set(drivername="postgresql").render_as_string(hide_password=False)

        async def connect() -> Any:  # given the whole URL, the driver reads its options as every other client does
            import asyncpg

            return await asyncpg.connect(dsn, timeout=_CONNECT_TIMEOUT_S, command_timeout=_COMMAND_TIMEOUT_S)

        # Pre-ping: a connection that died while idle is found out before it is used.
        return create_async_engine(url, pool_pre_ping=True, pool_size=4, async_creator=connect, **options)

    async def open_file() -> Any:
        import aiosqlite

        connection = aiosqlite.connect(url.database or "", timeout=BUSY_TIMEOUT_S)
        connection._thread.daemon = (
            True  # as SQLAlchemy does: a connection that nobody closed must not keep the process
        )
        try:
            return await connection
        except BaseException:
            await asyncio.to_thread(connection._thread.join)  # it still tells the loop of its end: let it come to that
            raise

    engine = create_async_engine(url, pool_size=4, async_creator=open_file, **options)
    sa.event.listen(engine.sync_engine, "connect", _set_up_sqlite)
    sa.event.listen(engine.sync_engine, "begin", _begin_sqlite)
    return engine


def _to_json(value: Any) -> str:
    try:
        return orjson.dumps(value, default=str, option=orjson.OPT_NON_STR_KEYS).decode()
    except TypeError:  # a lone surrogate, or an integer beyond 64 bits
        return json.dumps(value, default=str, ensure_ascii=False).encode("utf-8", "replace").decode()


def _set_up_sqlite(connection: Any, record: object) -> None:
    connection.isolation_level = None  # transactions are ours to begin: the driver would begin them late
    cursor = connection.cursor()
    cursor.execute("PRAGMA journal_mode = WAL")
    cursor.execute("PRAGMA synchronous = NORMAL")  # with WAL: a power cut may cost the last moments, never the file
    cursor.execute("PRAGMA foreign_keys = ON")
    cursor.execute("PRAGMA cache_size = -512")  # KiB a connection; what is written is hardly read again
    cursor.close()


def _begin_sqlite(connection: sa.Connection) -> None:
    # A transaction that reads first and writes later cannot wait for the lock in between: take it at once.
    write = connection.get_execution_options().get(_WRITE)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if write else "BEGIN")


def _driver_errors(engine: AsyncEngine) -> tuple[type[BaseException], ...]:
    errors: tuple[type[BaseException], ...] = (sa.exc.SQLAlchemyError, OSError)
    if engine.dialect.name == "postgresql":
        import asyncpg  # connecting raises the driver's own errors, not SQLAlchemy's

        return (*errors, asyncpg.PostgresError, asyncpg.InterfaceError)
    return (*errors, sqlite3.Error)


def _explained(error: BaseException, url: str) -> StoreError:
    cause = (getattr(error, "orig", None) or error) if not isinstance(error, TimeoutError) else "no answer in time"
    reason = (str(cause) or type(cause).__name__).strip().splitlines()[0].rstrip(".")
    reason = reason.partition(">: ")[2] or reason  # asyncpg's errors come wrapped: "<class '…'>: message"
    return StoreError(f"the database {url} cannot be used: {reason}.", remedy=_remedy(reason.lower()))


def _remedy(reason: str) -> str | None:
    hints = {
        "password": "Check user and password in the URL (store.url, --store or MADRIGAL_STORE).",
        "does not exist": "Create it, or check its name in the URL (createdb NAME makes one).",
        "locked": "Another process holds the file; wait for it, or use PostgreSQL for several writers.",
        "not a database": "Name another file, or move this one away: it was not written by Madrigal, or is damaged.",
        "disk": "Free some space, or name another place (store.url, --store or MADRIGAL_STORE).",
        "unable to open": "It must be a file in a folder this user may write to.",
        "readonly": "Give this user the right to write it, or name another place.",
        "service not known": "Check the host in the URL.",
        "connect": "Check that the server runs and that host and port in the URL are right.",
        "in time": "Check that the server runs and can be reached from here.",
    }
    return next((hint for word, hint in hints.items() if word in reason), None)
