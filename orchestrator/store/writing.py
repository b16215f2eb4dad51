"""From records to rows: one batch, one transaction. Knows what may be kept, not when or how often it is written."""

from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, date, datetime
from typing import Any

from sqlalchemy.dialects.postgresql import insert as postgresql_insert
from sqlalchemy.dialects.sqlite import insert as sqlite_insert
from sqlalchemy.ext.asyncio import AsyncConnection

from orchestrator.store.bulk import insert_new
from orchestrator.store.models import calls, requests, usage
from orchestrator.store.records import Keep, RequestRecord

CHUNK = 48
"""Records per statement. Preparing one's rows holds the event loop, about 15 µs each; between statements others run."""

Row = dict[str, Any]
_TOTALS = ("requests", "calls", "prompt_tokens", "completion_tokens", "cached_tokens", "cost_usd")
_EPOCH = date(1970, 1, 1).toordinal()


async def write(connection: AsyncConnection, records: Sequence[RequestRecord], keep: Keep) -> None:
    """Write `records` in the connection's transaction: their rows where `keep` allows, their totals always."""
    insert: Callable[..., Any] = sqlite_insert if connection.dialect.name == "sqlite" else postgresql_insert
    if keep != "none":
        for start in range(0, len(records), CHUNK):
            chunk = records[start : start + CHUNK]
            # An id that is there already was written by a try whose success we never learned of.
            await insert_new(connection, requests, [_request_row(record, keep) for record in chunk])
            if call_rows := [row for record in chunk for row in _call_rows(record)]:
                await insert_new(connection, calls, call_rows)
    if rows := totals(records):
        await connection.execute(_add_usage(insert), rows)


def totals(records: Iterable[RequestRecord]) -> list[Row]:
    """What `records` add to the usage table, one row per day, key, decision and expert.

    Tokens and cost are those of the calls, by the expert called; where none was made (a refusal, the cache), those of
    the request.
    """
    rows: dict[tuple[int, str, str, str], list[float]] = {}

    def add(record: RequestRecord, expert: str, *amounts: float) -> None:
        key = (int(record.created_at // 86_400), record.key_id, record.decision or "", expert)
        row = rows.get(key)
        rows[key] = list(amounts) if row is None else [a + b for a, b in zip(row, amounts, strict=True)]

    for record in records:
        answered = record.expert or ""
        if len(record.calls) == 1 and record.calls[0].expert == answered:  # nearly always: one row, not two
            of = record.calls[0]
            add(record, answered, 1, 1, of.prompt_tokens, of.completion_tokens, of.cached_tokens, of.cost_usd)
        elif record.calls:
            add(record, answered, 1, 0, 0, 0, 0, 0.0)
            for call in record.calls:
                tokens = (call.prompt_tokens, call.completion_tokens, call.cached_tokens)
                add(record, call.expert, 0, 1, *tokens, call.cost_usd)
        else:
            tokens = (record.prompt_tokens, record.completion_tokens, record.cached_tokens)
            add(record, answered, 1, 0, *tokens, record.cost_usd)
    return [
        {
            "day": date.fromordinal(_EPOCH + day),
            "key_id": key_id,
            "decision": decision,
            "expert": expert,
            **dict(zip(_TOTALS, amounts, strict=True)),
        }
        # Sorted: two workers that add to the same rows lock them in the same order.
        for (day, key_id, decision, expert), amounts in sorted(rows.items())
    ]


def clean(text: str) -> str:
    """`text` as both databases take it: without NUL (PostgreSQL) and lone surrogates (UTF-8 has none)."""
    if text.isascii():
        return text.replace("\x00", "�") if "\x00" in text else text
    return text.replace("\x00", "�").encode("utf-8", "replace").decode()


def _add_usage(insert: Callable[..., Any]) -> Any:
    statement = insert(usage)
    return statement.on_conflict_do_update(
        index_elements=[usage.c.day, usage.c.key_id, usage.c.decision, usage.c.expert],
        set_={name: usage.c[name] + statement.excluded[name] for name in _TOTALS},
    )


def _request_row(record: RequestRecord, keep: Keep) -> Row:
    text, reply = (record.text, record.reply) if keep == "text" else (None, None)
    return {
        "id": record.id,
        "created_at": datetime.fromtimestamp(record.created_at, UTC),
        "path": record.path,
        "key_id": record.key_id,
        "tenant": record.tenant,
        "user_name": record.user,
        "policy": record.policy,
        "policy_hash": record.policy_hash,
        "decision": record.decision,
        "strategy": record.strategy,
        "propensity": record.propensity,
        "model": None if record.model is None else clean(record.model),
        "expert": record.expert,
        "stream": record.stream,
        "status": record.status,
        "outcome": record.outcome,
        "error": record.error,
        "prompt_tokens": record.prompt_tokens,
        "completion_tokens": record.completion_tokens,
        "cached_tokens": record.cached_tokens,
        "cost_usd": record.cost_usd,
        "first_token_s": record.first_token_s,
        "total_s": record.total_s,
        "features": record.features,
        "embedding": record.embedding,
        "text": None if text is None else clean(text),
        "reply": None if reply is None else clean(reply),
    }


def _call_rows(record: RequestRecord) -> list[Row]:
    return [
        {
            "request_id": record.id,
            "seq": seq,
            "expert": call.expert,
            "revision": call.revision,
            "attempt": call.attempt,
            "prompt_tokens": call.prompt_tokens,
            "completion_tokens": call.completion_tokens,
            "cached_tokens": call.cached_tokens,
            "estimated": call.estimated,
            "first_token_s": call.first_token_s,
            "total_s": call.total_s,
            "cost_usd": call.cost_usd,
            "outcome": call.outcome,
            "error": call.error,
        }
        for seq, call in enumerate(record.calls)
    ]
