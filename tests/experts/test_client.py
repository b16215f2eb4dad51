"""The client against a real HTTP server: answers, faults, abandoned calls, several choices."""

import json
from collections.abc import AsyncIterator
from typing import Any

import pytest

from experts.call import Call, Endpoint, Usage
from experts.client import Client
from experts.errors import (
    EngineBusyError,
    EngineDownError,
    EngineFaultError,
    EngineTimeoutError,
    InputError,
    StreamCutError,
)
from tests.fakes import Upstream, chunks_of, text_of, until

BODY = {"messages": [{"role": "user", "content": "count"}]}


@pytest.fixture
async def upstream() -> AsyncIterator[Upstream]:
    async with Upstream().running() as server:
        yield server


@pytest.fixture
async def client() -> AsyncIterator[Client]:
    client = Client()
    yield client
    await client.aclose()


def at(upstream: Upstream, model: str = "ok", **more: Any) -> Endpoint:
    return Endpoint("e", "openai", upstream.url, model, **more)


def chat(stream: bool = False) -> Call:
    return Call("chat/completions", BODY, stream=stream)


async def whole(answer: Any) -> bytes:
    out = b"".join([block async for block in answer])
    await answer.aclose()
    return out


async def test_a_json_answer_goes_on_as_it_came(upstream: Upstream, client: Client) -> None:
    answer = await client.open(at(upstream), chat(), [BODY])
    body = json.loads(await answer.read())
    assert body["choices"][0]["message"]["content"] == " one two three"
    assert answer.usage == Usage(7, 3)
    assert answer.finish == {0: "stop"}
    assert upstream.bodies[0] == {**BODY, "model": "ok"}


async def test_usage_is_always_asked_of_a_stream_and_shown_only_on_demand(upstream: Upstream, client: Client) -> None:
    plain = await client.open(at(upstream), chat(True), [BODY])
    assert not any("usage" in c for c in chunks_of(await whole(plain)))
    assert plain.usage == Usage(7, 3)
    assert upstream.bodies[0]["stream_options"] == {"include_usage": True}
    asked = await client.open(at(upstream), chat(True), [BODY], ask_usage=True)
    assert chunks_of(await whole(asked))[-1]["usage"]["total_tokens"] == 10


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(
    ("model", "error"),
    [
        ("err-400", InputError),
        ("err-401", EngineFaultError),
        ("err-404", EngineFaultError),
        ("err-429", EngineBusyError),
        ("err-500", EngineFaultError),
        ("err-503", EngineBusyError),
        ("slow-2000", EngineTimeoutError),
    ],
)
async def test_faults_become_errors_of_the_tree(
    upstream: Upstream, client: Client, model: str, error: type[Exception], stream: bool
) -> None:
    limit_s = 0.2 if model.startswith("slow") else 60.0
    with pytest.raises(error) as raised:
        await client.open(at(upstream, model, first_token_timeout_s=limit_s, timeout_s=limit_s), chat(stream), [BODY])
    if error is EngineBusyError:
        assert raised.value.retry_after_s == 1.0  # type: ignore[attr-defined]


@pytest.mark.parametrize("model", ["mute", "errframe"])
async def test_a_stream_that_fails_before_its_first_frame_may_go_elsewhere(
    upstream: Upstream, client: Client, model: str
) -> None:
    with pytest.raises(EngineFaultError):
        await client.open(at(upstream, model), chat(True), [BODY])


@pytest.mark.parametrize("model", ["empty", "unfinished"])
async def test_a_json_answer_that_did_not_come_to_an_end_may_go_elsewhere(
    upstream: Upstream, client: Client, model: str
) -> None:
    with pytest.raises(EngineFaultError, match="0 whole choices where 1 were asked for"):
        await client.open(at(upstream, model), chat(), [BODY])


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("chat/completions", {**BODY, "n": 2}),
        ("completions", {"prompt": ["a", "b"]}),
        ("completions", {"prompt": [[1, 2], [3]]}),
    ],
)
async def test_an_engine_that_passes_over_a_choice_has_not_answered(
    upstream: Upstream, client: Client, path: Any, body: dict[str, Any]
) -> None:
    with pytest.raises(EngineFaultError, match="1 whole choices where 2 were asked for"):
        await client.open(at(upstream, "single"), Call(path, body), [body])


async def test_a_prompt_is_not_sent_on_to_where_an_engine_points(upstream: Upstream, client: Client) -> None:
    with pytest.raises(EngineFaultError, match="answered 307"):
        await client.open(at(upstream, "moved"), chat(), [BODY])
    assert len(upstream.bodies) == 1


async def test_a_stream_cut_in_the_middle_raises_after_what_arrived(upstream: Upstream, client: Client) -> None:
    answer = await client.open(at(upstream, "cut"), chat(True), [BODY])
    said = b""
    with pytest.raises(StreamCutError):
        async for block in answer:
            said += block
    await answer.aclose()
    assert text_of(said) == " one two"
    assert b"[DONE]" not in said and b'"stop"' not in said


async def test_nobody_listening(client: Client, unused_tcp_port: int) -> None:
    with pytest.raises(EngineDownError, match="cannot be reached"):
        await client.open(Endpoint("e", "openai", f"http://127.0.0.1:{unused_tcp_port}/v1", "m"), chat(), [BODY])


async def test_closing_an_unfinished_stream_stops_the_engine(upstream: Upstream, client: Client) -> None:
    answer = await client.open(at(upstream, "drip"), chat(True), [BODY])
    async for _ in answer:
        break
    await answer.aclose()
    await until(lambda: upstream.aborted)


async def test_a_stream_that_outlasts_its_time_is_cut(upstream: Upstream, client: Client) -> None:
    answer = await client.open(at(upstream, "drip", timeout_s=0.2), chat(True), [BODY])
    with pytest.raises(StreamCutError, match=r"longer than 0\.2 s"):
        await whole(answer)
    await answer.aclose()


async def test_several_bodies_come_back_as_choices_of_one_answer(upstream: Upstream, client: Client) -> None:
    answer = await client.open(at(upstream), chat(), [{**BODY, "seed": 1}, {**BODY, "seed": 2}])
    body = json.loads(await answer.read())
    assert [choice["index"] for choice in body["choices"]] == [0, 1]
    assert body["usage"]["prompt_tokens"] == 7, "the shared prompt is counted once"
    assert body["usage"]["completion_tokens"] == 6
    assert sorted(b["seed"] for b in upstream.bodies) == [1, 2]


async def test_several_streams_are_joined_under_one_id(upstream: Upstream, client: Client) -> None:
    answer = await client.open(at(upstream), chat(True), [BODY, BODY, BODY], ask_usage=True)
    chunks = chunks_of(await whole(answer))
    assert len({chunk["id"] for chunk in chunks}) == 1
    finished = [c["index"] for chunk in chunks for c in chunk["choices"] if c["finish_reason"]]
    assert sorted(finished) == [0, 1, 2]
    assert chunks[-1]["usage"]["completion_tokens"] == 9


async def test_one_failing_choice_fails_the_answer_and_stops_the_others(upstream: Upstream, client: Client) -> None:
    upstream.script = ["drip", "err-500"]
    with pytest.raises(EngineFaultError):
        await client.open(at(upstream), chat(True), [BODY, BODY])
    await until(lambda: upstream.aborted)


async def test_an_engine_that_only_streams_still_gives_one_json_body(upstream: Upstream, client: Client) -> None:
    answer = await client.open(at(upstream, stream_only=True), chat(), [BODY])
    body = json.loads(await answer.read())
    assert body["object"] == "chat.completion"
    assert body["choices"][0]["message"] == {"role": "assistant", "content": " one two three"}
    assert body["usage"]["total_tokens"] == 10
    assert upstream.bodies[0]["stream"] is True


async def test_a_cut_behind_a_json_answer_may_go_elsewhere(upstream: Upstream, client: Client) -> None:
    with pytest.raises(EngineFaultError):
        await client.open(at(upstream, "cut", stream_only=True), chat(), [BODY])
