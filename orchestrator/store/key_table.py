"""Keys in the database. Knows their columns; what a key means and who asks is `orchestrator/keys.py`.

Every change draws the next number of the counter `keys` in its own transaction. The counter's row is locked until that
transaction ends, so numbers become visible in order and whoever has read up to N misses none by asking for more than N.
"""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import insert as postgresql_insert
from sqlalchemy.dialects.sqlite import insert as sqlite_insert
from sqlalchemy.ext.asyncio import AsyncConnection

from experts.errors import ConflictError
from orchestrator.caller import Key, Quota
from orchestrator.store.models import counters, keys
from orchestrator.store.store import Store


async def insert(store: Store, key: Key, digest: bytes) -> None:
    """Add `key` under the SHA-256 of its token. Raises `ConflictError` if a living key has its name."""
    row = {
        "id": key.id,
        "name": key.name,
        "prefix": key.prefix,
        "hash": digest,
        "tenant": key.tenant,
        "user_name": key.user,
        "roles": sorted(key.roles),
        "models": list(key.models),
        "requests_per_minute": key.quota.requests_per_minute,
        "tokens_per_minute": key.quota.tokens_per_minute,
        "budget_usd": key.quota.budget_usd,
        "budget_period": key.quota.budget_period,
        "created_at": _moment(key.created_at),
        "expires_at": _moment(key.expires_at),
    }
    try:
        async with store.writing() as connection:
            await connection.execute(sa.insert(keys).values(**row, change=await _next_change(connection)))
    except sa.exc.IntegrityError as error:
        raise ConflictError(
            f"a key named {key.name!r} exists already.", remedy="Revoke it first, or choose another name."
        ) from error


async def revoke(store: Store, name_or_id: str, now: float) -> Key | None:
    """Mark the living key of that name or id as revoked and return it; None if there is none."""
    async with store.writing() as connection:
        matches = sa.or_(keys.c.name == name_or_id, keys.c.id == name_or_id)
        found = await connection.execute(
            sa.update(keys)
            .where(matches, keys.c.revoked_at.is_(None))
            .values(revoked_at=_moment(now), change=await _next_change(connection))
            .returning(*keys.c)
        )
        row = found.mappings().one_or_none()
    return None if row is None else _key(row)


async def changed_since(store: Store, change: int) -> list[tuple[int, bytes, Key]]:
    """Keys that changed after the change of that number, in order: (number of the change, hash, key)."""
    async with store.reading() as connection:
        found = await connection.execute(sa.select(keys).where(keys.c.change > change).order_by(keys.c.change))
        return [(row["change"], bytes(row["hash"]), _key(row)) for row in found.mappings()]


async def _next_change(connection: AsyncConnection) -> int:
    insert_any: Any = sqlite_insert if connection.dialect.name == "sqlite" else postgresql_insert
    drawn = await connection.execute(
        insert_any(counters)
        .values(name="keys", number=1)
        .on_conflict_do_update(index_elements=[counters.c.name], set_={"number": counters.c.number + 1})
        .returning(counters.c.number)
    )
    return int(drawn.scalar_one())


def _key(row: Mapping[Any, Any]) -> Key:
    return Key(
        id=row["id"],
        name=row["name"],
        prefix=row["prefix"],
        tenant=row["tenant"],
        user=row["user_name"],
        roles=frozenset(row["roles"]),
        models=tuple(row["models"]),
        quota=Quota(row["requests_per_minute"], row["tokens_per_minute"], row["budget_usd"], row["budget_period"]),
        created_at=row["created_at"].timestamp(),
        expires_at=row["expires_at"] and row["expires_at"].timestamp(),
        revoked_at=row["revoked_at"] and row["revoked_at"].timestamp(),
    )


def _moment(seconds: float | None) -> Any:
    return None if seconds is None else datetime.fromtimestamp(seconds, UTC)
