"""Calls of durable runs that were answered, kept until the run's answer is given. Knows nothing of graphs.

A step of a strategy makes many calls; a run that is broken off within one goes on with those that had come.
"""

from dataclasses import dataclass
from datetime import UTC, datetime

import orjson
import sqlalchemy as sa

from experts.call import Usage
from orchestrator.store.models import checkpoint_calls, checkpoint_writes, checkpoints
from orchestrator.store.store import Store, whole
from orchestrator.voice import Voice


@dataclass(frozen=True, slots=True)
class KeptCall:
    """An answered call: what it was for, what was said and what it cost."""

    role: str
    voice: Voice
    usage: Usage


async def keep(store: Store, thread: str, asked: int, seq: int, call: KeptCall) -> None:
    """Keep call number `seq` of the run's asking number `asked`. Raises `StoreError`."""
    usage = call.usage
    row = {
        "thread": thread,
        "asked": asked,
        "seq": seq,
        "role": call.role,
        "voice": orjson.dumps(call.voice),
        "prompt_tokens": usage.prompt_tokens,
        "completion_tokens": usage.completion_tokens,
        "cached_tokens": usage.cached_tokens,
        "estimated": usage.estimated,
        "created_at": datetime.now(UTC),
    }

    async def write() -> None:
        async with store.writing() as connection:
            await connection.execute(sa.insert(checkpoint_calls), row)

    await whole(write())


async def kept(store: Store, thread: str) -> dict[tuple[int, int], KeptCall]:
    """The answered calls of a run, by asking and number. Raises `StoreError`."""
    async with store.reading() as connection:
        rows = await connection.execute(sa.select(checkpoint_calls).where(checkpoint_calls.c.thread == thread))
        return {
            (row.asked, row.seq): KeptCall(
                row.role,
                orjson.loads(row.voice),
                Usage(row.prompt_tokens, row.completion_tokens, row.cached_tokens, row.estimated),
            )
            for row in rows
        }


async def forget(store: Store, thread: str) -> None:
    """Delete all that was kept of a run, its states among it. Raises `StoreError`."""
    async with store.writing() as connection:
        for table in (checkpoint_calls, checkpoint_writes, checkpoints):
            await connection.execute(sa.delete(table).where(table.c.thread == thread))
