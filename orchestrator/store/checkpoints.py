"""LangGraph's checkpoints in our tables: the last state of each run, on SQLite and PostgreSQL.

Only what going on needs: of each thread the newest checkpoint and the writes of its tasks; older ones are deleted as the run
proceeds. States are LangGraph's msgpack of plain data; other classes, and pickles, are not read back. Knows no strategy.
"""

from collections.abc import AsyncIterator, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import insert as postgresql_insert
from sqlalchemy.dialects.sqlite import insert as sqlite_insert
from sqlalchemy.ext.asyncio import AsyncConnection

from orchestrator.store.kept_calls import forget
from orchestrator.store.models import checkpoint_writes, checkpoints
from orchestrator.store.store import Store, whole

if TYPE_CHECKING:
    from langchain_core.runnables import RunnableConfig
    from langgraph.checkpoint.base import (
        BaseCheckpointSaver,
        ChannelVersions,
        Checkpoint,
        CheckpointMetadata,
        CheckpointTuple,
    )


def checkpointer(store: Store) -> "BaseCheckpointSaver[int]":
    """A checkpointer over a store. Its methods raise `StoreError`; there are asynchronous ones only. Loads LangGraph, which
    takes seconds where it has not been loaded before."""
    from langgraph.checkpoint.base import (
        WRITES_IDX_MAP,
        BaseCheckpointSaver,
        CheckpointTuple,
        get_checkpoint_id,
        get_checkpoint_metadata,
    )
    from langgraph.checkpoint.serde.jsonplus import JsonPlusSerializer

    class Checkpoints(BaseCheckpointSaver[int]):
        async def aget_tuple(self, config: "RunnableConfig") -> "CheckpointTuple | None":
            """The checkpoint a config names, or its thread's newest."""
            async for found in self._told(config, get_checkpoint_id(config), None, 1):
                return found
            return None

        async def alist(
            self,
            config: "RunnableConfig | None",
            *,
            filter: dict[str, Any] | None = None,
            before: "RunnableConfig | None" = None,
            limit: int | None = None,
        ) -> "AsyncIterator[CheckpointTuple]":
            """Checkpoints that are there, the newest first; of a config's thread, or of all."""
            id = get_checkpoint_id(config) if config is not None else None
            given = 0
            async for found in self._told(config, id, get_checkpoint_id(before) if before else None, None):
                if limit is not None and given >= limit:
                    return
                if all(found.metadata.get(key) == value for key, value in (filter or {}).items()):
                    given += 1
                    yield found

        async def aput(
            self,
            config: "RunnableConfig",
            checkpoint: "Checkpoint",
            metadata: "CheckpointMetadata",
            new_versions: "ChannelVersions",
        ) -> "RunnableConfig":
            """Keep a checkpoint, in place of those before it."""
            thread, namespace = _place(config)
            kind, state = self.serde.dumps_typed(checkpoint)
            about_kind, about = self.serde.dumps_typed(get_checkpoint_metadata(config, metadata))
            row = {"id": checkpoint["id"], "parent": get_checkpoint_id(config), "kind": kind, "state": state}
            row |= {"thread": thread, "namespace": namespace, "about_kind": about_kind, "about": about}
            await whole(_replace(store, row))
            return _config(thread, namespace, checkpoint["id"])

        async def aput_writes(
            self, config: "RunnableConfig", writes: Sequence[tuple[str, Any]], task_id: str, task_path: str = ""
        ) -> None:
            """Keep what a task has written, until the step's checkpoint is there."""
            thread, namespace = _place(config)
            same = {"thread": thread, "namespace": namespace, "checkpoint": config["configurable"]["checkpoint_id"]}
            same |= {"task": task_id, "task_path": task_path}
            rows = []
            for at, (channel, value) in enumerate(writes):
                kind, dumped = self.serde.dumps_typed(value)
                seq = WRITES_IDX_MAP.get(channel, at)
                rows.append({**same, "seq": seq, "channel": channel, "kind": kind, "value": dumped})
            await whole(_add(store, rows))

        async def adelete_thread(self, thread_id: str) -> None:
            """Forget a thread."""
            await forget(store, thread_id)

        async def _told(
            self, config: "RunnableConfig | None", id: str | None, before: str | None, limit: int | None
        ) -> "AsyncIterator[CheckpointTuple]":
            load = self.serde.loads_typed
            for row, writes in await _found(store, config, id, before, limit):
                yield CheckpointTuple(
                    config=_config(row.thread, row.namespace, row.id),
                    checkpoint=load((row.kind, row.state)),
                    metadata=load((row.about_kind, row.about)),
                    parent_config=_config(row.thread, row.namespace, row.parent) if row.parent else None,
                    pending_writes=[(write.task, write.channel, load((write.kind, write.value))) for write in writes],
                )

    return Checkpoints(serde=JsonPlusSerializer(allowed_msgpack_modules=None))


async def _replace(store: Store, row: dict[str, Any]) -> None:
    async with store.writing() as connection:
        for table, id in ((checkpoint_writes, checkpoint_writes.c.checkpoint), (checkpoints, checkpoints.c.id)):
            older = (table.c.thread == row["thread"], table.c.namespace == row["namespace"], id < row["id"])
            await connection.execute(sa.delete(table).where(*older))
        await _put(connection, checkpoints, [row], replace=True)


async def _add(store: Store, rows: list[dict[str, Any]]) -> None:
    async with store.writing() as connection:
        for special in (True, False):  # those below 0 (errors, interrupts) replace; others stay as they came first
            some = [row for row in rows if (row["seq"] < 0) is special]
            await _put(connection, checkpoint_writes, some, replace=special)


async def _found(
    store: Store, config: "RunnableConfig | None", id: str | None, before: str | None, limit: int | None
) -> list[tuple[Any, Sequence[Any]]]:
    """Checkpoints, the newest first, each with what its tasks have written, in the order in which a run applies it."""
    table, written = checkpoints.c, checkpoint_writes.c
    query = sa.select(checkpoints).order_by(table.id.desc()).limit(limit)
    if config is not None:
        query = query.where(table.thread == config["configurable"]["thread_id"])
        if (namespace := config["configurable"].get("checkpoint_ns", "" if limit else None)) is not None:
            query = query.where(table.namespace == namespace)
    if id is not None:
        query = query.where(table.id == id)
    if before is not None:
        query = query.where(table.id < before)
    found = []
    async with store.reading() as connection:
        for row in (await connection.execute(query)).all():
            its = (written.thread == row.thread, written.namespace == row.namespace, written.checkpoint == row.id)
            order = (written.task_path, written.task, written.seq)
            writes = await connection.execute(sa.select(checkpoint_writes).where(*its).order_by(*order))
            found.append((row, writes.all()))
    return found


def _place(config: "RunnableConfig") -> tuple[str, str]:
    return config["configurable"]["thread_id"], config["configurable"].get("checkpoint_ns", "")


def _config(thread: str, namespace: str, id: str) -> "RunnableConfig":
    return {"configurable": {"thread_id": thread, "checkpoint_ns": namespace, "checkpoint_id": id}}


async def _put(connection: AsyncConnection, table: sa.Table, rows: list[dict[str, Any]], *, replace: bool) -> None:
    if not rows:
        return
    insert_any: Any = sqlite_insert if connection.dialect.name == "sqlite" else postgresql_insert
    insert = insert_any(table)
    key = list(table.primary_key.columns)
    if replace:
        new = {column.name: insert.excluded[column.name] for column in table.columns if not column.primary_key}
        insert = insert.on_conflict_do_update(index_elements=key, set_=new)
    else:
        insert = insert.on_conflict_do_nothing(index_elements=key)
    now = datetime.now(UTC)
    await connection.execute(insert, [{**row, "created_at": now} for row in rows])
