"""What users want remembered, in the database. Knows the columns; what is remembered is `orchestrator/memories.py`."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import insert as postgresql_insert
from sqlalchemy.dialects.sqlite import insert as sqlite_insert

from orchestrator.store.models import memories, memory_users
from orchestrator.store.store import Store


@dataclass(frozen=True, slots=True)
class Memory:
    """One fact of one user; `vector` is float32, little-endian."""

    id: str
    kind: str
    text: str
    vector: bytes
    created_at: datetime


def _of(table: sa.Table, tenant: str, user: str) -> sa.ColumnElement[bool]:
    return sa.and_(table.c.tenant == tenant, table.c.user_name == user)


async def is_on(store: Store, tenant: str, user: str) -> bool:
    """Whether a user has switched memory on."""
    query = sa.select(memory_users.c.is_on).where(_of(memory_users, tenant, user))
    async with store.reading() as connection:
        return bool((await connection.execute(query)).scalar_one_or_none())


async def switch(store: Store, tenant: str, user: str, on: bool) -> None:
    """Switch a user's memory on or off."""
    insert: Any = sqlite_insert if store.engine.dialect.name == "sqlite" else postgresql_insert
    async with store.writing() as connection:
        await connection.execute(
            insert(memory_users)
            .values(tenant=tenant, user_name=user, is_on=on)
            .on_conflict_do_update(index_elements=[memory_users.c.tenant, memory_users.c.user_name], set_={"is_on": on})
        )


async def listed(store: Store, tenant: str, user: str) -> list[Memory]:
    """A user's facts, oldest first."""
    table = memories
    query = sa.select(table.c.id, table.c.kind, table.c.text, table.c.vector, table.c.created_at)
    async with store.reading() as connection:
        rows = await connection.execute(query.where(_of(table, tenant, user)).order_by(table.c.created_at, table.c.id))
        return [Memory(**row) for row in rows.mappings()]


async def add(
    store: Store, tenant: str, user: str, given: Sequence[Memory], single: Collection[str], most: int
) -> None:
    """Add facts: in the place of equal ones, and of all of their kind where that is `single`. Beyond `most` the oldest go.

    Nothing is added where the user has switched memory off meanwhile.
    """
    table = memories
    on = sa.select(memory_users.c.is_on).where(_of(memory_users, tenant, user)).with_for_update()
    mine = _of(table, tenant, user)
    async with store.writing() as connection:
        if not (await connection.execute(on)).scalar_one_or_none():
            return
        for one in given:
            old = sa.func.lower(table.c.text) == one.text.lower()
            if one.kind in single:
                old = sa.or_(old, table.c.kind == one.kind)
            await connection.execute(sa.delete(table).where(mine, old))
            row = {"id": one.id, "kind": one.kind, "text": one.text, "vector": one.vector}
            await connection.execute(
                sa.insert(table).values(tenant=tenant, user_name=user, created_at=one.created_at, **row)
            )
        kept = sa.select(table.c.id).where(mine).order_by(table.c.created_at.desc(), table.c.id.desc()).limit(most)
        await connection.execute(sa.delete(table).where(mine, table.c.id.not_in(kept)))


async def remove(store: Store, tenant: str, user: str, id: str | None = None) -> int:
    """Delete one of a user's facts, or all; how many there were."""
    query = sa.delete(memories).where(_of(memories, tenant, user))
    async with store.writing() as connection:
        return (await connection.execute(query if id is None else query.where(memories.c.id == id))).rowcount
