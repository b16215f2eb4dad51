"""Durable strategies: what is kept of a run, that it goes on after a kill, and that it is forgotten."""

import asyncio
import json
import signal
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from experts.errors import EngineFaultError, MadrigalError
from orchestrator import engine
from orchestrator.budget import Budget
from orchestrator.caller import Key
from orchestrator.durable import Durable
from orchestrator.request import ChatRequest
from orchestrator.store.models import checkpoint_calls, checkpoint_writes, checkpoints
from orchestrator.store.queries import purge_checkpoints
from orchestrator.store.recorder import Recorder
from orchestrator.store.store import Store
from orchestrator.strategies import moa, self_moa
from tests.deliberating import Scripted, job, said
from tests.fakes import Upstream, until
from tests.serving import serving

ROOT = Path(__file__).parents[2]


async def process(url: str, file: Path, strategy: str, params: dict[str, Any], kill: int = 0) -> tuple[int, Any]:
    """(exit status, what it printed) of one process that runs the thread."""
    arguments = ("-m", "tests.dying", url, str(file), strategy, json.dumps(params), str(kill))
    child = await asyncio.create_subprocess_exec(
        sys.executable, *arguments, cwd=ROOT, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
    )
    out, errors = await child.communicate()
    assert child.returncode in (0, -signal.SIGKILL), errors.decode()
    return child.returncode, json.loads(out) if out else None


async def kept(store: Store) -> int:
    """Rows of durable runs."""
    async with store.reading() as connection:
        rows = [
            (await connection.execute(sa.select(sa.func.count()).select_from(table))).scalar_one()
            for table in (checkpoints, checkpoint_writes, checkpoint_calls)
        ]
    return sum(rows)


async def test_a_killed_process_is_taken_up_by_another_and_no_call_is_made_twice(
    database_url: str, tmp_path: Path
) -> None:
    """moa of two layers of three, killed at the second call of the second layer: three and one are answered."""
    file = tmp_path / "calls.txt"
    assert (await process(database_url, file, "moa", {"layers": 2}, kill=5))[0] == -signal.SIGKILL
    store = await Store.open(database_url)
    assert await kept(store) > 0
    status, told = await process(database_url, file, "moa", {"layers": 2})
    assert status == 0
    assert told["calls"] == 3  # the rest of the second layer, the aggregator
    assert told["text"] == "aggregate#1"
    assert file.read_text().splitlines() == [
        *(f"layer 1#{n}" for n in (1, 2, 3)),
        *(f"layer 2#{n}" for n in (1, 2, 3)),
        "aggregate#1",
    ]
    assert told["completion_tokens"] == 6 * 2 + 1  # usage is that of all calls, by word
    assert "taken up again after 4 answered calls" in told["notes"]
    assert await kept(store) == 0
    await store.close()


async def test_a_long_run_may_be_killed_again_and_again(tmp_path: Path) -> None:
    """Within its samples, then at a fold: each call is still answered once."""
    url, file = f"sqlite:///{tmp_path / 'a.db'}", tmp_path / "calls.txt"
    params = {"samples": 8, "window": 3}
    for kill in (4, 7):
        assert (await process(url, file, "self_moa_seq", params, kill=kill))[0] == -signal.SIGKILL
    status, told = await process(url, file, "self_moa_seq", params)
    assert (status, told["text"]) == (0, "aggregate#1")
    assert file.read_text().splitlines() == [f"sample#{n}" for n in range(1, 9)] + [
        "fold#1",
        "fold#2",
        "fold#3",
        "aggregate#1",
    ]


class Boom(Exception):
    """A fault that no strategy knows: it stands for whatever ends a run from outside."""


async def broken_off(store: Store, at: int, **params: Any) -> Scripted:
    """A run that ends at call number `at`."""
    attempts = Scripted(lambda expert, call: "")
    attempts.reply = lambda expert, call: _raise(Boom()) if len(attempts.calls) >= at else "It is 42."
    with pytest.raises(Boom):
        await moa.run(job(attempts.reply, attempts=attempts, durable=Durable("t", store)), moa.Params(**params))
    return attempts


def _raise(error: Exception) -> str:
    raise error


async def go_on(store: Store, **params: Any) -> Scripted:
    attempts = Scripted(lambda expert, call: "It is 42.")
    work = job(attempts.reply, attempts=attempts, durable=Durable("t", store))
    assert await said(await moa.run(work, moa.Params(**params))) == "It is 42."
    return attempts


async def test_the_budget_goes_on_where_it_was(database_url: str) -> None:
    store = await Store.open(database_url)
    budget = Budget(calls=7)
    await broken_off(store, at=4, layers=4, budget=budget)
    attempts = await go_on(store, layers=4, budget=budget)
    assert len(attempts.calls) == 4  # three of seven were spent: another layer and the aggregator
    await store.close()


async def test_only_the_newest_state_is_kept_and_none_once_the_answer_is_given(database_url: str) -> None:
    store = await Store.open(database_url)
    await broken_off(store, at=10, layers=4)
    async with store.reading() as connection:
        assert len((await connection.execute(sa.select(checkpoints))).all()) == 1
    attempts = Scripted(lambda expert, call: "It is 42.")
    answer = await moa.run(
        job(attempts.reply, attempts=attempts, stream=True, durable=Durable("t", store)), moa.Params(layers=4)
    )
    assert await kept(store) > 0, "the answer has begun and is not given"
    await answer.aclose()
    assert await kept(store) > 0, "it was broken off: it may be wanted again"
    assert len((await go_on(store, layers=4)).calls) == 1
    assert await kept(store) == 0
    await store.close()


async def test_a_run_that_failed_for_good_is_forgotten(database_url: str) -> None:
    store = await Store.open(database_url)
    dead = Scripted(lambda expert, call: EngineFaultError("dead", status=500))
    with pytest.raises(MadrigalError):
        await self_moa.run(job(dead.reply, attempts=dead, durable=Durable("t", store)), self_moa.Params())
    assert await kept(store) == 0
    await store.close()


async def test_runs_do_not_touch_each_other(database_url: str) -> None:
    store = await Store.open(database_url)
    await broken_off(store, at=4, layers=2)
    other = Scripted(lambda expert, call: "It is 41.")
    work = job(other.reply, attempts=other, durable=Durable("u", store))
    assert await said(await moa.run(work, moa.Params(layers=2))) == "It is 41."
    assert len(other.calls) == 7
    assert len((await go_on(store, layers=2)).calls) == 4
    await store.close()


async def test_what_nobody_takes_up_again_is_deleted(database_url: str) -> None:
    store = await Store.open(database_url)
    await broken_off(store, at=4, layers=2)
    now = datetime.now(UTC)
    assert await purge_checkpoints(store, now - timedelta(hours=1)) == 0
    assert await purge_checkpoints(store, now + timedelta(hours=1)) == 1
    assert await kept(store) == 0
    await broken_off(store, at=4, layers=2)
    recorder = Recorder(
        store, keep="features", retention_days=None
    )  # texts are not kept any more: what is left of them goes
    recorder.start()

    async def gone() -> bool:
        return await kept(store) == 0

    await until(gone, 10)
    await recorder.close()
    await store.close()


async def test_langgraph_reads_back_what_it_wrote(database_url: str) -> None:
    from langgraph.checkpoint.base import empty_checkpoint

    from orchestrator.store.checkpoints import checkpointer

    store = await Store.open(database_url)
    saver = checkpointer(store)
    config: Any = {"configurable": {"thread_id": "t", "checkpoint_ns": ""}}
    first = {**empty_checkpoint(), "channel_values": {"voices": [{"text": "ü\u0000", "chosen": [0.5]}]}}
    at = await saver.aput(config, first, {"source": "input", "step": -1}, {})
    await saver.aput_writes(at, [("a", 1), ("b", [2])], "task-2", "~2")
    await saver.aput_writes(at, [("a", 3)], "task-1", "~3")
    await saver.aput_writes(at, [("a", "not again")], "task-2", "~2")
    await saver.aput_writes(at, [("__error__", "one")], "task-1", "~3")
    await saver.aput_writes(at, [("__error__", "two")], "task-1", "~3")
    found = await saver.aget_tuple(config)
    assert found is not None
    assert found.checkpoint["channel_values"] == first["channel_values"]
    assert found.metadata["source"] == "input"
    assert found.pending_writes == [
        ("task-2", "a", 1),
        ("task-2", "b", [2]),
        ("task-1", "__error__", "two"),
        ("task-1", "a", 3),
    ]
    second = await saver.aput(at, empty_checkpoint(), {"source": "loop", "step": 0}, {})
    assert [found.config async for found in saver.alist(config)] == [second]
    assert [found.config async for found in saver.alist(None, filter={"step": 5})] == []
    newest = await saver.aget_tuple(config)
    assert newest is not None and newest.parent_config == at and newest.pending_writes == []
    assert await saver.aget_tuple(at) is None
    await saver.adelete_thread("t")
    assert await saver.aget_tuple(config) is None
    await store.close()


@pytest.mark.parametrize("keep", ["text", "features", "none"])
async def test_a_request_with_a_thread_is_kept_only_where_texts_are(tmp_path: Path, keep: str) -> None:
    """The one way in: `ChatRequest.thread`. What was kept goes with the end of the answer."""
    async with Upstream().running() as upstream:
        policy = (
            f'experts:\n  e: {{backend: openai, url: "{upstream.url}", model: ok}}\n'
            f'decisions: [{{name: rest, use: e}}]\nstore: {{url: "sqlite:///{tmp_path}/x.db", keep: {keep}}}\n'
        )
        async with serving(policy, tmp_path) as served:
            await served.until_ready()
            body = {"messages": [{"role": "user", "content": "hello"}]}
            request = ChatRequest("req_1", "chat/completions", body, "auto+self_moa", Key("k", "k"), thread="job-1")
            service = served.service
            for complete in (False, True):
                reply = await engine.answer(service.state, service.parts, request)
                assert (await kept(service.store) > 0) is (keep == "text")
                if complete:
                    await reply.read()
                await reply.close()
            calls = 8 if keep == "text" else 14  # six samples once or twice, the aggregation twice
            assert len(upstream.bodies) == calls
            assert await kept(service.store) == 0
