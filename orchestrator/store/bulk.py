"""Many rows in one statement, where the driver makes each row a step of its own. Knows nothing of what the rows are.

Python's sqlite3 lets go of the interpreter's lock and takes it again for every row of an `executemany`; the event loop
pays for each hand-over (docs/benchmarks.md). One INSERT of many rows is one step. Their numbers are powers of two: the
driver keeps every statement that it prepared, and one for each number of rows held 8 MB.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import lru_cache
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import insert as postgresql_insert
from sqlalchemy.engine import Dialect
from sqlalchemy.ext.asyncio import AsyncConnection

Convert = Callable[[Any], Any]


async def insert_new(connection: AsyncConnection, table: sa.Table, rows: Sequence[Mapping[str, Any]]) -> None:
    """Insert `rows`, which all have the same keys; those whose primary key is there already are left alone."""
    if connection.dialect.name != "sqlite":
        await connection.execute(postgresql_insert(table).on_conflict_do_nothing(), list(rows))
        return
    names = tuple(rows[0])
    converts = _converts(table, names, connection.dialect)
    for few in split(rows):
        flat = tuple(
            convert(row[name]) if convert is not None else row[name] for row in few for name, convert in converts
        )
        await connection.exec_driver_sql(_statement(table, names, len(few)), flat)


def split(rows: Sequence[Mapping[str, Any]]) -> Iterator[Sequence[Mapping[str, Any]]]:
    """`rows` in order, in parts of 64 and then of ever smaller powers of two."""
    at = 0
    while left := len(rows) - at:
        size = min(64, 1 << left.bit_length() - 1)
        yield rows[at : at + size]
        at += size


@lru_cache(maxsize=32)
def _statement(table: sa.Table, names: tuple[str, ...], count: int) -> str:
    columns = ", ".join(f'"{name}"' for name in names)
    row = f"({', '.join('?' * len(names))})"
    return f'INSERT INTO "{table.name}" ({columns}) VALUES {", ".join([row] * count)} ON CONFLICT DO NOTHING'


@lru_cache(maxsize=16)
def _converts(table: sa.Table, names: tuple[str, ...], dialect: Dialect) -> tuple[tuple[str, Convert | None], ...]:
    """How each column's values are written, by the dialect's own rules."""
    return tuple((name, table.c[name].type.dialect_impl(dialect).bind_processor(dialect)) for name in names)
