"""Questions to the log: what was used and spent; and forgetting what is old. Knows nothing of who may ask."""

from datetime import date, datetime
from typing import Literal

import sqlalchemy as sa

from orchestrator.store.models import checkpoint_calls, checkpoint_writes, checkpoints, requests
from orchestrator.store.models import usage as usage_table
from orchestrator.store.records import UsageRow
from orchestrator.store.store import Store, whole

PURGE_ROWS = 2_000
"""Requests deleted in one transaction: other writers wait for no more than this."""

By = Literal["day", "expert", "decision", "key"]


async def usage(
    store: Store,
    *,
    key_id: str | None = None,
    since: date | None = None,
    until: date | None = None,
    by: By = "day",
) -> list[UsageRow]:
    """Totals of one key (None: of all), grouped by `by`, in the order of the group's name.

    Days are UTC, `since` and `until` both included. Counts survive retention and `keep: none`.
    """
    table = usage_table
    group = {"day": table.c.day, "expert": table.c.expert, "decision": table.c.decision, "key": table.c.key_id}[by]
    query = (
        sa.select(
            group,
            *(
                sa.cast(sa.func.sum(table.c[name]), table.c[name].type)
                for name in ("requests", "calls", "prompt_tokens", "completion_tokens", "cached_tokens", "cost_usd")
            ),
        )
        .group_by(group)
        .order_by(group)
    )
    if key_id is not None:
        query = query.where(table.c.key_id == key_id)
    if since is not None:
        query = query.where(table.c.day >= since)
    if until is not None:
        query = query.where(table.c.day <= until)
    async with store.reading() as connection:
        rows = (await connection.execute(query)).all()
    return [UsageRow(str(name), *amounts) for name, *amounts in rows]


async def spent_usd(store: Store, key_id: str, since: date | None) -> float:
    """What a key has spent from the UTC day `since` on (None: ever), in US dollars."""
    query = sa.select(sa.func.coalesce(sa.func.sum(usage_table.c.cost_usd), 0.0)).where(usage_table.c.key_id == key_id)
    if since is not None:
        query = query.where(usage_table.c.day >= since)
    async with store.reading() as connection:
        return float((await connection.execute(query)).scalar_one())


async def purge(store: Store, older_than: datetime, *, rows: int = PURGE_ROWS) -> int:
    """Delete requests that began before `older_than` (aware), with their calls and feedback; totals stay.

    Returns how many. Deletes `rows` of them a transaction, so that others can write in between.
    """
    old = sa.select(requests.c.id).where(requests.c.created_at < older_than).order_by(requests.c.created_at).limit(rows)
    total = 0
    while True:
        async with store.writing() as connection:
            removed = (await connection.execute(sa.delete(requests).where(requests.c.id.in_(old)))).rowcount
        total += removed
        if removed < rows:
            return total


async def purge_checkpoints(store: Store, older_than: datetime) -> int:
    """Delete the states of durable runs that did not come any further since `older_than` (aware), and calls and writes
    from before. Returns how many states."""

    async def delete() -> int:
        async with store.writing() as connection:
            for table in (checkpoint_calls, checkpoint_writes):
                await connection.execute(sa.delete(table).where(table.c.created_at < older_than))
            return (
                await connection.execute(sa.delete(checkpoints).where(checkpoints.c.created_at < older_than))
            ).rowcount

    return await whole(delete())


async def table_rows(store: Store) -> dict[str, int]:
    """How many rows each table holds."""
    counts: dict[str, int] = {}
    async with store.reading() as connection:
        for table in requests.metadata.sorted_tables:
            count = await connection.execute(sa.select(sa.func.count()).select_from(table))
            counts[table.name] = count.scalar_one()
    return counts
