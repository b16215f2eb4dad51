"""Collections, documents and passages in the database. Knows their columns; what they are for is `orchestrator/collections.py`.

Every write draws the collection's next change within its own transaction: its row is locked until that transaction ends,
so that writers wait for each other, and a collection deleted meanwhile takes nothing in.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from experts.errors import ConflictError
from orchestrator.store.models import collections, documents, passages
from orchestrator.store.store import Store

_IDS = 500
"""Ids named in one statement: databases bound how many parameters that may have."""


@dataclass(frozen=True, slots=True)
class Collection:
    """A collection of one tenant; `change` grows with every write."""

    id: str
    name: str
    description: str | None
    created_at: datetime
    change: int
    documents: int = 0
    passages: int = 0


@dataclass(frozen=True, slots=True)
class Document:
    """A document; of one that is listed `text` is left out."""

    id: str
    title: str | None
    url: str | None
    metadata: Mapping[str, Any]
    created_at: datetime
    text: str = ""
    passages: Sequence[tuple[str, bytes]] = field(default=(), repr=False)
    """Text and vector (float32, little-endian) of each."""
    count: int = 0


async def add(store: Store, tenant: str, collection: Collection) -> None:
    """Add an empty collection. Raises `ConflictError` where the tenant has one of that name."""
    row = {name: getattr(collection, name) for name in ("id", "name", "description", "created_at", "change")}
    try:
        async with store.writing() as connection:
            await connection.execute(sa.insert(collections).values(tenant=tenant, **row))
    except sa.exc.IntegrityError as error:
        raise ConflictError(
            f"there is a collection {collection.name!r} already", remedy="Delete it first, or choose another name."
        ) from error


async def listed(store: Store, tenant: str, name: str | None = None) -> list[Collection]:
    """A tenant's collections by name, or the one of that name, with their counts."""
    table = collections
    of = sa.select(sa.func.count()).where(documents.c.collection == table.c.id).correlate(table).scalar_subquery()
    parts = sa.select(sa.func.count()).where(passages.c.collection == table.c.id).correlate(table).scalar_subquery()
    query = sa.select(table, of.label("documents"), parts.label("passages")).where(table.c.tenant == tenant)
    if name is not None:
        query = query.where(table.c.name == name)
    async with store.reading() as connection:
        rows = (await connection.execute(query.order_by(table.c.name))).mappings().all()
    return [Collection(**{key: value for key, value in row.items() if key != "tenant"}) for row in rows]


async def change_of(store: Store, tenant: str, name: str) -> tuple[str, int] | None:
    """Id and last change of a collection."""
    query = sa.select(collections.c.id, collections.c.change).where(
        collections.c.tenant == tenant, collections.c.name == name
    )
    async with store.reading() as connection:
        row = (await connection.execute(query)).one_or_none()
    return None if row is None else (row.id, row.change)


async def remove(store: Store, tenant: str, name: str) -> bool:
    """Delete a collection and all in it; whether there was one."""
    async with store.writing() as connection:
        mine = sa.and_(collections.c.tenant == tenant, collections.c.name == name)
        return (await connection.execute(sa.delete(collections).where(mine))).rowcount > 0


async def put(store: Store, collection: str, given: Sequence[Document]) -> tuple[int, int] | None:
    """Add documents, in the place of those of the same ids: the numbers of documents and passages there are then.
    None, and nothing added, where the collection is gone."""
    async with store.writing() as connection:
        change = await _next_change(connection, collection)
        if change is None:
            return None
        await _drop(connection, collection, [one.id for one in given])
        rows = [
            {
                "collection": collection,
                "id": one.id,
                "title": one.title,
                "url": one.url,
                "metadata": dict(one.metadata),
                "text": one.text,
                "created_at": one.created_at,
                "change": change,
            }
            for one in given
        ]
        await connection.execute(sa.insert(documents), rows)
        parts = [
            {"collection": collection, "document": one.id, "seq": at, "text": text, "vector": vector}
            for one in given
            for at, (text, vector) in enumerate(one.passages)
        ]
        if parts:
            await connection.execute(sa.insert(passages), parts)
        return await _counts(connection, collection)


async def counts(store: Store, collection: str) -> tuple[int, int]:
    """How many documents and passages a collection has."""
    async with store.reading() as connection:
        return await _counts(connection, collection)


async def remove_documents(store: Store, collection: str, ids: Sequence[str]) -> int:
    """Delete documents; how many there were."""
    async with store.writing() as connection:
        if await _next_change(connection, collection) is None:
            return 0
        return await _drop(connection, collection, ids)


async def documents_of(store: Store, collection: str, after: str, limit: int) -> list[Document]:
    """Documents by id, from behind `after` on, without their texts."""
    table = documents
    count = (
        sa.select(sa.func.count())
        .where(passages.c.collection == table.c.collection, passages.c.document == table.c.id)
        .correlate(table)
        .scalar_subquery()
    )
    query = (
        sa.select(table.c.id, table.c.title, table.c.url, table.c.metadata, table.c.created_at, count.label("count"))
        .where(table.c.collection == collection, table.c.id > after)
        .order_by(table.c.id)
        .limit(limit)
    )
    async with store.reading() as connection:
        return [Document(**row) for row in (await connection.execute(query)).mappings()]


async def document(store: Store, collection: str, id: str) -> Document | None:
    """One document with its text."""
    table = documents
    query = sa.select(table.c.id, table.c.title, table.c.url, table.c.metadata, table.c.created_at, table.c.text)
    count = sa.select(sa.func.count()).where(passages.c.collection == collection, passages.c.document == id)
    async with store.reading() as connection:
        found = await connection.execute(query.where(table.c.collection == collection, table.c.id == id))
        row = found.mappings().one_or_none()
        if row is None:
            return None
        return Document(**row, count=(await connection.execute(count)).scalar_one())


@dataclass(frozen=True, slots=True)
class Stored:
    """A passage as it is kept, with what its document is called."""

    document: str
    seq: int
    title: str | None
    url: str | None
    text: str
    vector: bytes


async def changes(store: Store, collection: str) -> dict[str, int]:
    """Of each document of a collection the change by which it came."""
    query = sa.select(documents.c.id, documents.c.change).where(documents.c.collection == collection)
    async with store.reading() as connection:
        return {row.id: row.change for row in await connection.execute(query)}


async def passages_of(store: Store, collection: str, ids: Sequence[str]) -> list[Stored]:
    """The passages of these documents, in their order."""
    table = passages
    found: list[Stored] = []
    query = (
        sa.select(table.c.document, table.c.seq, documents.c.title, documents.c.url, table.c.text, table.c.vector)
        .join(documents, sa.and_(documents.c.collection == table.c.collection, documents.c.id == table.c.document))
        .where(table.c.collection == collection)
        .order_by(table.c.document, table.c.seq)
    )
    async with store.reading() as connection:
        for at in range(0, len(ids), _IDS):
            rows = await connection.execute(query.where(table.c.document.in_(ids[at : at + _IDS])))
            found += [Stored(*row) for row in rows]
    return found


async def _next_change(connection: AsyncConnection, collection: str) -> int | None:
    drawn = await connection.execute(
        sa.update(collections)
        .where(collections.c.id == collection)
        .values(change=collections.c.change + 1)
        .returning(collections.c.change)
    )
    change: int | None = drawn.scalar_one_or_none()
    return change


async def _drop(connection: AsyncConnection, collection: str, ids: Sequence[str]) -> int:
    dropped = 0
    for at in range(0, len(ids), _IDS):
        mine = sa.and_(documents.c.collection == collection, documents.c.id.in_(ids[at : at + _IDS]))
        dropped += (await connection.execute(sa.delete(documents).where(mine))).rowcount
    return dropped


async def _counts(connection: AsyncConnection, collection: str) -> tuple[int, int]:
    first = sa.select(sa.func.count()).where(documents.c.collection == collection)
    second = sa.select(sa.func.count()).where(passages.c.collection == collection)
    return (await connection.execute(first)).scalar_one(), (await connection.execute(second)).scalar_one()
