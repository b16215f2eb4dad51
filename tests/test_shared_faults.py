"""The faults of ../shared/bench/fake_upstream.py, a server that none of us scripted, through ours."""

import asyncio
import json
import sqlite3
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest
import pytest_asyncio

from tests.bench.__main__ import free_port
from tests.fakes import chunks_of, text_of, until
from tests.serving import Served, serving

FAKE = Path(__file__).parents[2] / "shared" / "bench" / "fake_upstream.py"

pytestmark = [
    pytest.mark.shared,
    pytest.mark.skipif(not FAKE.exists(), reason="../shared/bench/fake_upstream.py is not there"),
    pytest.mark.asyncio(loop_scope="module"),
]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def fake() -> AsyncIterator[str]:
    """The server in a process of its own; its base URL."""
    port = free_port()
    process = await asyncio.create_subprocess_exec(sys.executable, FAKE, str(port), "5")
    url = f"http://127.0.0.1:{port}"

    async def up() -> bool:
        try:
            async with httpx.AsyncClient(trust_env=False) as http:
                return (await http.get(f"{url}/health")).status_code == 200
        except httpx.ConnectError:
            return False

    try:
        await until(up, 30)
        yield f"{url}/v1"
    finally:
        process.kill()
        await process.wait()


def config(fake: str, *models: str, expert: str = "") -> str:
    """Experts e0, e1 … are models of the fake, tried in that order; `expert` is added to the first."""
    rows = [f'backend: openai, url: "{fake}", model: "{model}"' for model in models]
    rows[0] += expert
    experts = "\n".join(f"  e{i}: {{{row}}}" for i, row in enumerate(rows))
    names = ", ".join(f"e{i}" for i in range(len(models)))
    return f"""
experts:
{experts}
decisions:
  - {{name: rest, use: [{names}]}}
fallback: {{backoff_s: 0.01, max_retry_after_s: 0.1}}
"""


async def written(served: Served) -> list[dict[str, str]]:
    """Outcomes of requests and calls as they stand in the store: {"request": …, "calls": "e0 error, e1 ok"}."""
    assert await served.service.recorder.flush(10)
    with sqlite3.connect(served.service.store.url.removeprefix("sqlite:///")) as database:
        rows = database.execute(
            "SELECT r.outcome, group_concat(c.expert || ' ' || c.outcome, ', ') FROM requests r"
            " LEFT JOIN (SELECT * FROM calls ORDER BY attempt) c ON c.request_id = r.id GROUP BY r.id"
        ).fetchall()
    database.close()
    return [{"request": outcome, "calls": calls} for outcome, calls in rows]


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(("fault", "expert"), [("err-500", ""), ("err-429", ""), ("slow-300", ", timeout_s: 0.1")])
async def test_the_next_expert_takes_over(fake: str, tmp_path: Path, fault: str, expert: str, stream: bool) -> None:
    if stream:
        expert = expert.replace("timeout_s", "first_token_timeout_s")
    async with serving(config(fake, fault, "good", expert=expert), tmp_path) as served:
        answer = await served.chat(stream=stream)
        assert answer.status_code == 200
        assert answer.headers["x-madrigal-expert"] == "e1"
        assert answer.headers["x-madrigal-attempts"] == "2"
        said = text_of(answer.content) if stream else answer.json()["choices"][0]["message"]["content"]
        assert said == " tok0 tok1 tok2 tok3 tok4"
        (row,) = await written(served)
        assert row["request"] == "ok"
        assert row["calls"].startswith("e0 ") and row["calls"].endswith(", e1 ok") and "e0 ok" not in row["calls"]


async def test_a_slow_expert_that_may_take_its_time_is_waited_for(fake: str, tmp_path: Path) -> None:
    async with serving(config(fake, "slow-300", "good"), tmp_path) as served:
        answer = await served.chat(stream=True, madrigal={"trace": True})
        assert answer.headers["x-madrigal-expert"] == "e0"
        assert chunks_of(answer.content)[-1]["madrigal"]["attempts"][0]["first_token_ms"] >= 300


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(("fault", "status"), [("err-500", 502), ("err-429", 429)])
async def test_with_nobody_left_the_client_is_told_and_nothing_counts_as_success(
    fake: str, tmp_path: Path, fault: str, status: int, stream: bool
) -> None:
    async with serving(config(fake, fault), tmp_path) as served:
        answer = await served.chat(stream=stream)
        assert answer.status_code == status
        assert set(answer.json()["error"]) == {"message", "type", "param", "code"}
        (row,) = await written(served)
        assert row["request"] == "error"
        assert "ok" not in row["calls"]
        assert not await served.counted('outcome="ok"')


async def test_a_cut_stream_ends_in_an_error_frame(fake: str, tmp_path: Path) -> None:
    async with serving(config(fake, "cut", "good"), tmp_path) as served:
        answer = await served.chat(stream=True)
        assert answer.status_code == 200
        assert text_of(answer.content) == " tok0", "what had been said reached the client, and no second answer follows"
        *chunks, last = chunks_of(answer.content)
        assert set(last["error"]) == {"message", "type", "param", "code"}
        assert last["error"]["code"] == "stream_cut"
        assert not any(choice["finish_reason"] for chunk in chunks for choice in chunk["choices"])
        assert b"[DONE]" not in answer.content
        assert [row["request"] for row in await written(served)] == ["cut"]
        assert "ok" not in json.dumps(await written(served))
        assert not await served.counted('outcome="ok"')
