"""Nothing of a request stays behind: no task, file, connection, lease or memory, whether its client stayed or left."""

import asyncio
import gc
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from orchestrator.request import ChatRequest
from tests.bench.soak import soak
from tests.fakes import Upstream, until
from tests.serving import Served, serving


async def test_six_hundred_requests_leave_nothing_behind() -> None:
    """`python -m tests.bench.soak` does the same with ten thousand (docs/benchmarks.md)."""
    report = await soak(600, warm=300, at_once=16)
    assert (report.answered, report.abandoned) == (600, 300)
    assert report.rows == 900
    assert report.outcomes == {"ok": 600, "cancelled": 300}
    assert report.unseen_aborts == 0
    assert report.slowest_abort_s < 1
    assert (report.end.in_flight, report.end.leased) == (0, 0)
    assert report.end.tasks <= report.warm.tasks
    assert report.end.files <= report.warm.files + 3, "the pool of the database may have opened another connection"
    assert report.connections <= 16, "idle ones, kept for the next call"
    assert report.growth < 0.05
    assert report.stopped_in_s < 10


@pytest.fixture
async def upstream() -> AsyncIterator[Upstream]:
    async with Upstream().running() as server:
        yield server


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("what", ["answered", "abandoned", "failed", "cut"])
async def test_a_finished_request_is_freed_at_once_without_the_garbage_collector(
    upstream: Upstream, tmp_path: Path, what: str, stream: bool
) -> None:
    """A request in a reference cycle would stay, with its body, until the collector's rare full run."""
    if what == "cut" and not stream:
        pytest.skip("only streams are cut")
    model = {"answered": "ok", "abandoned": "drip" if stream else "hang", "failed": "err-500", "cut": "cut"}[what]
    policy = f"""
experts:
  e0: {{backend: openai, url: "{upstream.url}", model: "{model}"}}
decisions:
  - {{name: rest, use: [e0]}}
fallback: {{attempts: 1}}
"""
    async with serving(policy, tmp_path) as served:
        await one(served, upstream, stream, leave=what == "abandoned")
        await until(lambda: not served.service.recorder.queued)
        gc.collect()
        gc.disable()
        try:
            for _ in range(3):
                await one(served, upstream, stream, leave=what == "abandoned")
            assert len(upstream.bodies) == 4
            await until(lambda: not requests_alive())
        finally:
            gc.enable()


@pytest.mark.parametrize("leaves", [False, True])
async def test_an_engine_that_never_ends_its_response_is_hung_up_on(
    upstream: Upstream, tmp_path: Path, leaves: bool
) -> None:
    """The answer is complete and recorded as such, whether its client still waits for the end of the body or not."""
    policy = f"""
experts:
  e0: {{backend: openai, url: "{upstream.url}", model: linger}}
decisions:
  - {{name: rest, use: [e0]}}
"""
    async with serving(policy, tmp_path) as served:
        body = {"model": "auto", "messages": [{"role": "user", "content": "hi"}], "stream": True}
        async with served.http.stream("POST", "/v1/chat/completions", json=body) as answer:
            async for line in answer.aiter_lines():
                if leaves and line == "data: [DONE]":
                    break
        await until(lambda: upstream.aborted)
        await until(lambda: served.counted('outcome="ok"'))
        assert await served.counted("madrigal_requests_in_flight 0.0")
        assert await served.counted('madrigal_expert_in_flight{expert="e0"} 0.0')


def requests_alive() -> int:
    """Requests that something still refers to."""
    return sum(isinstance(thing, ChatRequest) for thing in gc.get_objects())


async def one(served: Served, upstream: Upstream, stream: bool, *, leave: bool) -> None:
    """One request, answered or left in mid-answer."""
    if not leave:
        assert (await served.chat(stream=stream)).status_code in (200, 502)
        return
    before, gone = len(upstream.bodies), upstream.aborted
    task = asyncio.ensure_future(served.chat(stream=stream))
    await until(lambda: len(upstream.bodies) > before)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await until(lambda: upstream.aborted > gone)
