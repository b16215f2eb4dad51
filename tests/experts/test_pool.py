"""The pool with scripted engines: leases, queues, restarts, reload. Time is moved by hand."""

import asyncio
from pathlib import Path
from typing import Any

import pytest

from experts.backends import Site
from experts.breaker import CANCELLED, CLIENT_ERROR, Rules, busy, failed
from experts.catalog import Catalog
from experts.errors import (
    EngineBusyError,
    EngineDownError,
    EngineFaultError,
    NotFoundError,
    SourceError,
    StreamCutError,
)
from experts.pool import Pool, Restarts
from experts.spec import ExpertSpec
from tests.scripted import Clock, ScriptedBackend, settle, up

SITE = Site(Path("cache"), Path("logs"))


def catalog(backend: ScriptedBackend, *specs: ExpertSpec, **more: Any) -> Catalog:
    return Catalog.of(specs or (ExpertSpec(name="general", **more),), backends=lambda _: backend)


async def started(catalog: Catalog, clock: Clock | None = None) -> Pool:
    clock = clock or Clock()
    rules, restarts = Rules(failures=2, open_s=5.0), Restarts(first_s=1.0, longest_s=8.0, stable_s=30.0)
    pool = Pool(catalog, SITE, rules=rules, restarts=restarts, clock=clock, sleep=clock.sleep)
    await pool.start()
    await settle()
    return pool


async def test_a_lease_is_a_place_on_an_engine_that_is_up() -> None:
    pool = await started(catalog(up(ScriptedBackend())))
    with await pool.lease("general") as lease:
        assert lease.endpoint.url == "http://127.0.0.1:1/v1"
        assert pool.status()[0].in_flight == 1
    lease.close()
    assert pool.status()[0].in_flight == 0, "a second close counts for nothing"
    with pytest.raises(NotFoundError):
        await pool.lease("coder")
    await pool.stop()


async def test_many_calls_wait_for_one_start() -> None:
    backend = ScriptedBackend(slots=20)
    pool = await started(catalog(backend))
    waiting = [asyncio.ensure_future(pool.lease("general")) for _ in range(20)]
    await settle()
    assert (pool.status()[0].state, pool.status()[0].waiting, pool.why_not("general")) == ("starting", 20, None)
    backend.up.set()
    leases = await asyncio.gather(*waiting)
    assert len(backend.engines) == 1
    assert pool.status()[0].in_flight == 20
    for lease in leases:
        lease.close()
    await pool.stop()


async def test_places_are_given_in_order_of_arrival_and_the_line_has_an_end() -> None:
    pool = await started(catalog(up(ScriptedBackend(slots=1)), max_queue=2))
    first = await pool.lease("general")
    second, third = (asyncio.ensure_future(pool.lease("general")) for _ in range(2))
    await settle()
    with pytest.raises(EngineBusyError, match="max_queue") as caught:
        await pool.lease("general")
    assert caught.value.retry_after_s is not None and caught.value.retry_after_s >= 1
    first.close()
    (await second).close()
    assert third.done() or not (await third).lost
    third.result().close()
    await pool.stop()


async def test_a_wait_is_bounded() -> None:
    pool = await started(catalog(up(ScriptedBackend(slots=1))))
    with await pool.lease("general"):
        with pytest.raises(EngineBusyError, match=r"no free place within 0\.01 s"):
            await pool.lease("general", wait_s=0.01)
        assert pool.status()[0].waiting == 0
    await pool.stop()

    slow = await started(catalog(ScriptedBackend()))
    with pytest.raises(EngineDownError, match=r"still starting after 0\.01 s"):
        await slow.lease("general", wait_s=0.01)
    await slow.stop()


async def test_who_leaves_while_waiting_takes_no_place() -> None:
    pool = await started(catalog(up(ScriptedBackend(slots=1))))
    held = await pool.lease("general")
    gone, handed = (asyncio.ensure_future(pool.lease("general")) for _ in range(2))
    await settle()
    gone.cancel()
    await settle()
    held.close()
    handed.cancel()  # in the very moment it was handed the place
    await settle()
    assert (pool.status()[0].in_flight, pool.status()[0].waiting) == (0, 0)
    await pool.stop()


async def test_a_crash_loses_its_calls_and_is_repaired_at_once() -> None:
    clock, backend = Clock(), up(ScriptedBackend())
    pool = await started(catalog(backend), clock)
    lease = await pool.lease("general")
    clock.now = 60.0
    backend.engines[0].die("killed by signal 9 (SIGKILL)")
    await settle()
    assert lease.lost
    lease.close(failed("connection reset"))
    status = pool.status()[0]
    assert (status.state, status.restarts, len(backend.engines)) == ("ready", 1, 2)
    assert not (await pool.lease("general")).lost
    await pool.stop()


async def test_a_call_that_learns_of_a_crash_first_keeps_others_from_running_into_it() -> None:
    backend = up(ScriptedBackend())
    pool = await started(catalog(backend))
    with pytest.raises(StreamCutError), await pool.lease("general"):
        backend.engines[0].stopped = True  # its process is gone, but nobody has heard of it yet
        raise StreamCutError("connection reset")
    waiting = asyncio.ensure_future(pool.lease("general"))
    await settle()
    assert not waiting.done()
    backend.engines[0].die("killed by signal 9 (SIGKILL)")
    assert not (await waiting).lost
    assert len(backend.engines) == 2
    await pool.stop()


async def test_a_broken_connection_to_a_live_engine_delays_others_only_a_moment() -> None:
    pool = await started(catalog(up(ScriptedBackend())))
    (await pool.lease("general")).close(failed("connection reset", cut=True))
    (await pool.lease("general", wait_s=5.0)).close()
    assert pool.status()[0].restarts == 0
    await pool.stop()


async def test_a_crash_loop_is_slowed_down_and_says_why() -> None:
    clock, backend = Clock(), up(ScriptedBackend())
    pool = await started(catalog(backend), clock)
    backend.failures += [EngineDownError("out of memory") for _ in range(3)]
    backend.engines[0].die("killed by signal 9")
    await settle()
    assert pool.why_not("general") == "down: out of memory"
    with pytest.raises(EngineDownError, match="out of memory") as caught:
        await pool.lease("general")
    assert caught.value.retry_after_s is not None and 1.0 <= caught.value.retry_after_s <= 2.0
    starts = []
    for _ in range(64):
        await clock.advance(0.25)
        starts.append(len(backend.engines))
    assert starts[-1] == 5 and pool.status()[0].state == "ready"
    first, second = starts.index(3), starts.index(4)
    assert second - first > first, "each wait is longer than the one before"
    await pool.stop()


async def test_a_load_that_failed_recovers_by_itself_and_tells_those_who_wait() -> None:
    clock, backend = Clock(), ScriptedBackend()
    backend.failures.append(SourceError("no network"))
    pool = await started(catalog(backend), clock)
    waiting = asyncio.ensure_future(pool.lease("general"))
    await settle()
    backend.up.set()
    with pytest.raises(EngineDownError, match="no network"):
        await waiting
    await clock.advance(1.0)
    (await pool.lease("general")).close()
    await pool.stop()


async def test_failing_calls_open_the_breaker_and_a_child_is_replaced() -> None:
    clock, backend = Clock(), up(ScriptedBackend())
    pool = await started(catalog(backend), clock)
    for _ in range(2):
        (await pool.lease("general")).close(failed("500: broken"))
    await settle()
    assert backend.engines[0].stopped and len(backend.engines) == 2
    assert pool.why_not("general") is None, "a fresh engine has a clean record"
    await pool.stop()


async def test_failing_calls_to_a_remote_engine_are_probed_later() -> None:
    clock, backend = Clock(), up(ScriptedBackend(has_process=False))
    pool = await started(catalog(backend), clock)
    for _ in range(2):
        (await pool.lease("general")).close(failed("500: broken"))
    with pytest.raises(EngineDownError, match="500: broken") as caught:
        await pool.lease("general")
    assert caught.value.retry_after_s == 5.0
    assert pool.why_not("general") == "open: 500: broken"
    await clock.advance(5.0)
    (await pool.lease("general")).close()
    assert pool.why_not("general") is None
    await pool.stop()


async def test_a_busy_engine_is_left_alone_and_a_clients_fault_is_not_held_against_it() -> None:
    clock = Clock()
    pool = await started(catalog(up(ScriptedBackend())), clock)
    for _ in range(10):
        (await pool.lease("general")).close(CLIENT_ERROR)
        (await pool.lease("general")).close(CANCELLED)
    with pytest.raises(EngineFaultError), await pool.lease("general"):
        raise EngineFaultError("no such model", status=404)
    (await pool.lease("general")).close(busy(7.0, "429"))
    with pytest.raises(EngineBusyError) as caught:
        await pool.lease("general")
    assert caught.value.retry_after_s == 7.0
    await pool.stop()


async def test_what_the_loaded_model_lacks_narrows_what_the_expert_can_do() -> None:
    pool = await started(catalog(up(ScriptedBackend(lacks=frozenset(("tools",))))))
    assert pool.capabilities("general").features == {"chat", "seed"}
    await pool.stop()


async def test_reload_keeps_what_did_not_change_and_drops_no_call() -> None:
    backend = up(ScriptedBackend())
    kept, changed, gone = (ExpertSpec(name=name) for name in ("kept", "changed", "gone"))
    pool = await started(catalog(backend, kept, changed, gone))
    engines = dict(zip(("kept", "changed", "gone"), backend.engines, strict=True))
    leases = {name: await pool.lease(name) for name in engines}

    dearer = kept.model_copy(update={"timeout_s": 5.0, "max_concurrent": 1})
    other = changed.model_copy(update={"options": {"flavour": "sour"}})
    await pool.reload(catalog(backend, dearer, other, ExpertSpec(name="new")))
    await settle()
    assert [s.name for s in pool.status()] == ["kept", "changed", "new"]
    assert not any(engine.stopped for engine in engines.values()), "calls are in flight on all of them"
    assert pool.status()[0].concurrency == 1
    (await pool.lease("new")).close()
    (await pool.lease("changed")).close()
    with pytest.raises(NotFoundError):
        await pool.lease("gone")

    for lease in leases.values():
        lease.close()
    await settle()
    assert {name for name, engine in engines.items() if engine.stopped} == {"changed", "gone"}
    assert (await pool.lease("kept")).endpoint.timeout_s == 5.0
    await pool.stop()
    assert all(engine.stopped for engine in backend.engines)


async def test_stop_ends_everything_and_turns_away_those_who_wait() -> None:
    backend = up(ScriptedBackend(slots=1))
    pool = await started(catalog(backend))
    await pool.lease("general")
    waiting = asyncio.ensure_future(pool.lease("general"))
    await settle()
    await pool.stop()
    with pytest.raises(EngineDownError, match="stopped"):
        await waiting
    with pytest.raises(EngineDownError, match="stopped"):
        await pool.lease("general")
    assert backend.engines[0].stopped


async def test_ready_waits_for_all_and_tells_the_failure() -> None:
    backend = up(ScriptedBackend())
    pool = await started(catalog(backend, ExpertSpec(name="a"), ExpertSpec(name="b")))
    await pool.ready()
    await pool.stop()
    broken = up(ScriptedBackend(failures=[SourceError("404")]))
    pool = await started(catalog(broken))
    with pytest.raises(EngineDownError, match="404"):
        await pool.ready("general")
    await pool.stop()
