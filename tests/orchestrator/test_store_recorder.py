"""The log: what is written, what is kept, and what happens when the database is away. On both databases."""

import asyncio
import contextlib
import inspect
import logging
import sqlite3
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest
import sqlalchemy as sa

from experts.errors import ConflictError, InputError, NotFoundError
from orchestrator.caller import ANONYMOUS, Key
from orchestrator.store import queries
from orchestrator.store.models import calls, feedback, metadata, requests
from orchestrator.store.recorder import Recorder
from orchestrator.store.records import CallRecord, Keep, RequestRecord, UsageRow
from orchestrator.store.store import Store

NOON = datetime(2026, 1, 31, 12, tzinfo=UTC).timestamp()
ALICE = Key("key_a", "alice")
BOB = Key("key_b", "bob")


@pytest.fixture
async def store(database_url: str) -> AsyncIterator[Store]:
    store = await Store.open(database_url)
    yield store
    await store.close()


@contextlib.asynccontextmanager
async def recording(store: Store, **options: Any) -> AsyncIterator[Recorder]:
    recorder = Recorder(store, **{"retention_days": None, **options})
    recorder.start()
    yield recorder
    await recorder.close()


def record(number: int = 0, **more: Any) -> RequestRecord:
    """A request of Alice's that one expert answered."""
    basis = RequestRecord(
        id=f"req-{number}",
        created_at=NOON + number,
        path="chat/completions",
        key_id=ALICE.id,
        decision="code",
        expert="coder",
        features={"signals": {"code": {"matched": True}}},
        text="the question",
        reply="the answer",
        calls=(CallRecord("coder", "r1", prompt_tokens=10, completion_tokens=5, cost_usd=0.001),),
    )
    return replace(basis, **more)


async def rows(store: Store, table: sa.Table) -> list[dict[str, Any]]:
    async with store.reading() as connection:
        found = await connection.execute(sa.select(table).order_by(*table.primary_key.columns))
        return [dict(row) for row in found.mappings()]


async def test_a_record_becomes_a_request_and_its_calls(store: Store) -> None:
    failed = CallRecord("general", "r0", total_s=0.2, outcome="error", error="expert_unavailable")
    answered = CallRecord(
        "coder", "r1", 2, 10, 5, cached_tokens=4, estimated=True, first_token_s=0.1, total_s=0.5, cost_usd=0.001
    )
    async with recording(store) as recorder:
        recorder.put(
            record(
                tenant="acme",
                user="ann",
                policy="auto",
                policy_hash="beef",
                strategy="single",
                propensity=0.75,
                model="auto",
                stream=True,
                embedding=b"\x00\x01",
                prompt_tokens=10,
                completion_tokens=5,
                cost_usd=0.001,
                first_token_s=0.3,
                total_s=0.8,
                calls=(failed, answered),
            )
        )
        assert await recorder.flush()
        assert (recorder.written, recorder.dropped, recorder.failed, recorder.queued) == (1, 0, 0, 0)
    [request] = await rows(store, requests)
    assert request["created_at"] == datetime(2026, 1, 31, 12, tzinfo=UTC)
    assert request["features"] == {"signals": {"code": {"matched": True}}}
    assert bytes(request["embedding"]) == b"\x00\x01"
    assert {name: request[name] for name in ("tenant", "user_name", "propensity", "stream", "status", "total_s")} == {
        "tenant": "acme",
        "user_name": "ann",
        "propensity": 0.75,
        "stream": True,
        "status": 200,
        "total_s": 0.8,
    }
    first, second = await rows(store, calls)
    assert (first["seq"], first["expert"], first["outcome"], first["error"]) == (
        0,
        "general",
        "error",
        "expert_unavailable",
    )
    assert (second["seq"], second["attempt"], second["cached_tokens"], second["estimated"]) == (1, 2, 4, True)


async def test_records_arrive_without_being_asked_for(store: Store) -> None:
    async with recording(store, interval_s=0.01) as recorder:
        recorder.put(record())
        await until(lambda: recorder.written == 1)


async def test_closing_writes_what_is_left(store: Store) -> None:
    recorder = Recorder(store, retention_days=None, interval_s=3600, batch=7)
    for number in range(20):
        recorder.put(record(number))
    recorder.start()
    await recorder.close()
    await recorder.close()
    assert len(await rows(store, requests)) == recorder.written == 20


@pytest.mark.parametrize(
    ("keep", "text", "features"), [("text", "the question", True), ("features", None, True), ("none", None, False)]
)
async def test_what_is_kept(store: Store, keep: Keep, text: str | None, features: bool) -> None:
    async with recording(store, keep=keep) as recorder:
        recorder.put(record())
        assert await recorder.flush()
        if keep == "none":
            assert await rows(store, requests) == await rows(store, calls) == []
            with pytest.raises(NotFoundError, match=r"store\.keep: none"):
                await recorder.feedback("req-0", ALICE, 1.0)
        else:
            await recorder.feedback("req-0", ALICE, 1.0, "my comment")
            [request], [judged] = await rows(store, requests), await rows(store, feedback)
            assert (request["text"], request["features"] is not None) == (text, features)
            assert request["reply"] == ("the answer" if keep == "text" else None)
            assert judged["comment"] == ("my comment" if keep == "text" else None)
    assert await queries.usage(store) == [UsageRow("2026-01-31", 1, 1, 10, 5, 0, 0.001)]


async def test_no_word_of_the_user_is_anywhere_in_the_file_unless_text_is_kept(tmp_path: Any) -> None:
    store = await Store.open(f"sqlite:///{tmp_path / 'x.db'}")
    async with recording(store, keep="features") as recorder:
        recorder.put(record(text="xyzzy-question", reply="xyzzy-answer"))
        assert await recorder.flush()
        await recorder.feedback("req-0", ALICE, 1.0, "xyzzy-comment")
    await store.close()
    assert all(b"xyzzy" not in file.read_bytes() for file in tmp_path.iterdir())


async def test_usage_adds_up_over_batches_days_experts_and_decisions(store: Store) -> None:
    async with recording(store, batch=3) as recorder:
        for number in range(10):
            recorder.put(record(number))
        recorder.put(record(10, created_at=NOON + 86_400, decision="rest", expert="general", calls=()))
        recorder.put(record(11, key_id=BOB.id, decision=None, expert=None, calls=(), outcome="refused"))
        several = (CallRecord("coder", prompt_tokens=1), CallRecord("general", completion_tokens=2, cost_usd=0.5))
        recorder.put(record(12, decision="both", expert="general", calls=several))
        assert await recorder.flush()

    def totals(found: list[UsageRow]) -> dict[str, tuple[int, int, int, int, float]]:
        return {
            row.group: (row.requests, row.calls, row.prompt_tokens, row.completion_tokens, round(row.cost_usd, 6))
            for row in found
        }

    assert totals(await queries.usage(store, by="day")) == {
        "2026-01-31": (12, 12, 101, 52, 0.51),
        "2026-02-01": (1, 0, 0, 0, 0.0),
    }
    assert totals(await queries.usage(store, key_id=ALICE.id, by="expert")) == {
        "coder": (10, 11, 101, 50, 0.01),
        "general": (2, 1, 0, 2, 0.5),
    }
    assert totals(await queries.usage(store, by="decision")) == {
        "": (1, 0, 0, 0, 0.0),
        "both": (1, 2, 1, 2, 0.5),
        "code": (10, 10, 100, 50, 0.01),
        "rest": (1, 0, 0, 0, 0.0),
    }
    assert set(totals(await queries.usage(store, by="key"))) == {"key_a", "key_b"}
    assert [row.group for row in await queries.usage(store, since=date(2026, 2, 1))] == ["2026-02-01"]
    assert [row.group for row in await queries.usage(store, until=date(2026, 1, 31))] == ["2026-01-31"]
    assert await queries.spent_usd(store, ALICE.id, None) == pytest.approx(0.51)
    assert await queries.spent_usd(store, ALICE.id, date(2026, 2, 1)) == 0


async def test_two_processes_add_to_the_same_totals(store: Store) -> None:
    async with recording(store, batch=5) as one, recording(store, batch=5) as other:
        for number in range(100):
            one.put(record(number, decision=f"d{number % 7}"))
            other.put(record(1000 + number, decision=f"d{6 - number % 7}"))
        assert await one.flush(10) and await other.flush(10)
    [row] = await queries.usage(store)
    assert (row.requests, row.calls) == (200, 200)


async def test_one_bad_record_costs_only_itself(store: Store, caplog: pytest.LogCaptureFixture) -> None:
    async with recording(store) as recorder:
        for number in range(10):
            recorder.put(record(number, status=2**70 if number == 4 else 200))
        recorder.put(record(10, cost_usd=None, calls=()))  # no amount can be added up from it
        assert await recorder.flush()
        assert (recorder.written, recorder.failed) == (9, 2)
    assert {row["id"] for row in await rows(store, requests)} == {f"req-{n}" for n in range(10) if n != 4}
    assert "req-4" in caplog.text
    assert sum(row.requests for row in await queries.usage(store)) == 9


async def test_any_text_can_be_kept(store: Store) -> None:
    async with recording(store, keep="text") as recorder:
        odd = "a\x00b\ud800c"
        recorder.put(record(text=odd, reply=odd, model=odd, features={"label": odd, "n": 2**80}))
        assert await recorder.flush()
        await recorder.feedback("req-0", ALICE, 0.5, odd)
        assert recorder.failed == 0
    [request] = await rows(store, requests)
    assert request["text"] == "a�b?c"


async def test_a_record_put_twice_is_kept_once(store: Store) -> None:
    async with recording(store) as recorder:
        recorder.put(record())
        recorder.put(record())
        assert await recorder.flush()
    assert len(await rows(store, requests)) == len(await rows(store, calls)) == 1


async def test_while_the_file_is_locked_nothing_waits_and_the_oldest_are_dropped(
    tmp_path: Any, caplog: pytest.LogCaptureFixture
) -> None:
    file = tmp_path / "x.db"
    store = await Store.open(f"sqlite:///{file}")
    other_process = sqlite3.connect(file, isolation_level=None)
    async with recording(store, interval_s=0.01, batch=10, capacity=50) as recorder:
        other_process.execute("BEGIN EXCLUSIVE")
        recorder.put(record(0))
        longest_s = 0.0
        for number in range(1, 200):
            before = time.perf_counter()
            recorder.put(record(number))
            await asyncio.sleep(0.001)
            longest_s = max(longest_s, time.perf_counter() - before)
        assert longest_s < 3  # a write attempt blocks for five seconds; this loop never does
        assert await recorder.flush(0.05) is False
        assert recorder.queued == 50
        assert recorder.dropped == 150
        assert (await queries.usage(store)) == []  # reading does not wait either
        assert sum("queue is full" in message for message in caplog.messages) == 1
        other_process.execute("ROLLBACK")
        assert await recorder.flush(20)
        assert (recorder.written, recorder.queued) == (50, 0)
    other_process.close()
    assert "req-199" in {row["id"] for row in await rows(store, requests)}
    await store.close()


async def test_records_survive_a_database_that_goes_away_for_a_while(
    store: Store, caplog: pytest.LogCaptureFixture
) -> None:
    async with recording(store, interval_s=0.01) as recorder:
        async with store.writing() as connection:
            await connection.execute(sa.text("ALTER TABLE usage RENAME TO away"))
        recorder.put(record(0))
        await until(lambda: "kept in memory for now" in caplog.text)
        recorder.put(record(1))
        assert (recorder.written, recorder.failed, recorder.queued) == (0, 0, 2)
        async with store.writing() as connection:
            await connection.execute(sa.text("ALTER TABLE away RENAME TO usage"))
        assert await recorder.flush(10)
    assert sum(row.requests for row in await queries.usage(store)) == 2


@pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)
async def test_a_server_that_drops_its_connections_costs_nothing(store: Store) -> None:
    async with recording(store, interval_s=0.01) as recorder:
        for number in range(5):
            recorder.put(record(number))
            assert await recorder.flush(10)
            async with store.reading() as connection:
                await connection.execute(
                    sa.text(
                        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
                        "WHERE datname = current_database() AND pid <> pg_backend_pid()"
                    )
                )
    assert len(await rows(store, requests)) == 5


async def test_feedback_for_a_request_answered_a_moment_ago(store: Store) -> None:
    async with recording(store, interval_s=3600) as recorder:
        recorder.put(record())
        await recorder.feedback("req-0", ALICE, 1)
    [judged] = await rows(store, feedback)
    assert (judged["request_id"], judged["key_id"], judged["score"]) == ("req-0", "key_a", 1.0)


async def test_feedback_is_for_ones_own_requests_once(store: Store) -> None:
    async with recording(store) as recorder:
        recorder.put(record(0))
        recorder.put(record(1))
        with pytest.raises(NotFoundError):
            await recorder.feedback("req-0", BOB, 0.0)
        await recorder.feedback("req-0", ALICE, 0.5)
        with pytest.raises(ConflictError):
            await recorder.feedback("req-0", ALICE, 1.0)
        await recorder.feedback("req-1", ANONYMOUS, 0.0)  # an admin may judge any
        for unknown in ("req-2", "", "\x00", "x" * 10_000):
            with pytest.raises(NotFoundError):
                await recorder.feedback(unknown, ANONYMOUS, 0.0)


@pytest.mark.parametrize("score", [-0.1, 1.1, float("nan"), float("inf"), True, "1", None])
async def test_a_score_is_a_number_from_0_to_1(store: Store, score: Any) -> None:
    with pytest.raises(InputError, match="from 0 to 1") as refused:
        await Recorder(store).feedback("req-0", ALICE, score)
    assert refused.value.param == "score"


async def test_purging_removes_old_requests_with_all_that_hangs_on_them_but_no_totals(store: Store) -> None:
    async with recording(store) as recorder:
        for number in range(5):
            recorder.put(record(number))
        await recorder.feedback("req-0", ALICE, 1.0)
        removed = await queries.purge(store, datetime.fromtimestamp(NOON + 3, UTC), rows=2)
        assert removed == 3
        assert [row["id"] for row in await rows(store, requests)] == ["req-3", "req-4"]
        assert [row["request_id"] for row in await rows(store, calls)] == ["req-3", "req-4"]
        assert await rows(store, feedback) == []
        assert (await queries.usage(store))[0].requests == 5


async def test_the_recorder_forgets_what_is_too_old_by_itself(store: Store) -> None:
    now = NOON + timedelta(days=30).total_seconds() + 2.5
    async with recording(store) as recorder:
        for number in range(5):
            recorder.put(record(number))
    async with recording(store, retention_days=30, clock=lambda: now):

        async def only_the_young_are_left() -> bool:
            return [row["id"] for row in await rows(store, requests)] == ["req-3", "req-4"]

        await until(only_the_young_are_left)


async def test_the_tables_can_be_counted(store: Store) -> None:
    async with recording(store) as recorder:
        recorder.put(record())
    counted = await queries.table_rows(store)
    assert set(counted) == set(metadata.tables)
    assert (counted["requests"], counted["calls"], counted["keys"]) == (1, 1, 0)


async def test_under_load_records_are_written_in_company(store: Store) -> None:
    transactions = 0
    sa.event.listen(store.engine.sync_engine, "commit", lambda connection: count())

    def count() -> None:
        nonlocal transactions
        transactions += 1

    async with recording(store, interval_s=0.1, batch=1000) as recorder:
        started = time.perf_counter()
        for number in range(300):
            recorder.put(record(number))
            await asyncio.sleep(0)
        assert await recorder.flush()
        took_s = time.perf_counter() - started
    assert transactions <= 3 + took_s / 0.1


async def until(true: Callable[[], Any], timeout_s: float = 30.0) -> None:
    """Wait for something that the background task does in its own time. `true` may be a coroutine function."""
    async with asyncio.timeout(timeout_s):
        while not (await found if inspect.isawaitable(found := true()) else found):  # noqa: ASYNC110
            await asyncio.sleep(0.005)  # nothing tells us: another task, or the database, is at work


@pytest.fixture(autouse=True)
def _log_everything(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, logger="madrigal.store")
