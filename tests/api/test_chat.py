"""Chat completions through the real application: the wire, faults and fallback, clients that leave."""

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest

from tests.fakes import Upstream, chunks_of, text_of, until
from tests.serving import Served, serving


@pytest.fixture
async def upstream() -> AsyncIterator[Upstream]:
    async with Upstream().running() as server:
        yield server


def config(upstream: Upstream, *models: str, more: str = "") -> str:
    """A policy whose experts e0, e1 … are models of the scripted server, tried in that order."""
    experts = "\n".join(
        f'  e{i}: {{backend: openai, url: "{upstream.url}", model: "{model}", price: {{input: 1, output: 2}}}}'
        for i, model in enumerate(models)
    )
    names = ", ".join(f"e{i}" for i in range(len(models)))
    return f"experts:\n{experts}\ndecisions:\n  - {{name: rest, use: [{names}]}}\nfallback: {{backoff_s: 0.01}}\n{more}"


@pytest.fixture
async def served(upstream: Upstream, tmp_path: Path) -> AsyncIterator[Served]:
    async with serving(config(upstream, "ok"), tmp_path) as served:
        yield served


async def test_an_answer_says_who_decided_and_who_answered(served: Served) -> None:
    answer = await served.chat()
    assert answer.status_code == 200
    assert answer.json()["choices"][0]["message"]["content"] == " one two three"
    assert answer.headers["x-madrigal-decision"] == "rest"
    assert answer.headers["x-madrigal-expert"] == "e0"
    assert answer.headers["x-madrigal-strategy"] == "single"
    assert answer.headers["x-madrigal-attempts"] == "1"
    assert answer.headers["x-request-id"].startswith("req_")


async def test_a_stream_keeps_openais_promises(served: Served) -> None:
    answer = await served.chat(stream=True)
    assert answer.headers["content-type"].startswith("text/event-stream")
    chunks = chunks_of(answer.content)
    assert len({chunk["id"] for chunk in chunks}) == 1
    assert chunks[0]["choices"][0]["delta"]["role"] == "assistant"
    assert [c["finish_reason"] for chunk in chunks for c in chunk["choices"] if c["finish_reason"]] == ["stop"]
    assert not any(chunk.get("usage") for chunk in chunks)
    assert text_of(answer.content) == " one two three"
    assert answer.content.endswith(b"data: [DONE]\n\n")


async def test_usage_comes_in_one_more_chunk_when_asked_for(served: Served) -> None:
    answer = await served.chat(stream=True, stream_options={"include_usage": True})
    last = chunks_of(answer.content)[-1]
    assert last["choices"] == []
    assert {"prompt_tokens", "completion_tokens", "total_tokens"} <= set(last["usage"])


async def test_the_trace_is_in_the_body_when_asked_for(served: Served) -> None:
    whole = (await served.chat(madrigal={"trace": True})).json()["madrigal"]
    assert whole["trace"]["decision"] == "rest"
    assert whole["attempts"][0]["expert"] == "e0"
    assert whole["attempts"][0]["usage"]["total_tokens"] == 10
    stream = await served.chat(stream=True, madrigal={"trace": True})
    assert chunks_of(stream.content)[-1]["madrigal"]["trace"]["decision"] == "rest"
    assert stream.content.endswith(b"data: [DONE]\n\n")


async def test_experts_can_be_named_directly_and_unknown_models_are_refused(served: Served) -> None:
    direct = await served.chat(model="e0")
    assert direct.headers["x-madrigal-decision"] == "direct"
    unknown = await served.chat(model="gpt-9")
    assert unknown.status_code == 404
    assert unknown.json()["error"]["code"] == "model_not_found"
    assert "e0" in unknown.json()["error"]["message"]


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("fault", ["err-500", "err-429", "err-404", "err-401", "mute", "errframe", "cut"])
async def test_a_failing_expert_is_replaced_before_the_first_byte(
    upstream: Upstream, tmp_path: Path, fault: str, stream: bool
) -> None:
    if fault in ("mute", "errframe", "cut") and not stream:
        pytest.skip("a fault of streams")
    async with serving(config(upstream, fault, "ok"), tmp_path) as served:
        answer = await served.chat(stream=stream)
        if fault == "cut":  # the first byte had gone out
            assert answer.headers["x-madrigal-expert"] == "e0"
            return
        assert answer.status_code == 200
        assert answer.headers["x-madrigal-expert"] == "e1"
        assert answer.headers["x-madrigal-attempts"] == "2"


async def test_a_cut_stream_ends_with_an_error_frame_and_nothing_is_recorded_as_success(
    upstream: Upstream, tmp_path: Path
) -> None:
    async with serving(config(upstream, "cut"), tmp_path) as served:
        answer = await served.chat(stream=True)
        assert answer.status_code == 200
        *_, last = chunks_of(answer.content)
        assert last["error"]["code"] == "stream_cut"
        assert b"[DONE]" not in answer.content
        assert not [c for x in chunks_of(answer.content) for c in x.get("choices", []) if c["finish_reason"]]
        metrics = (await served.http.get("/metrics")).text
        assert 'outcome="cut"' in metrics and 'outcome="ok"' not in metrics


async def test_an_expert_that_recovers_is_asked_again(upstream: Upstream, tmp_path: Path) -> None:
    upstream.script = ["err-500", "ok"]
    async with serving(config(upstream, "ok"), tmp_path) as served:
        answer = await served.chat()
        assert answer.status_code == 200
        assert answer.headers["x-madrigal-attempts"] == "2"


async def test_a_retry_after_that_is_short_enough_is_waited_for(upstream: Upstream, tmp_path: Path) -> None:
    upstream.script = ["err-429", "ok"]
    async with serving(config(upstream, "ok"), tmp_path) as served:
        began = asyncio.get_running_loop().time()
        answer = await served.chat()
        assert answer.status_code == 200
        assert asyncio.get_running_loop().time() - began >= 1.0


async def test_a_retry_after_that_is_too_long_is_handed_on(upstream: Upstream, tmp_path: Path) -> None:
    more = "fallback: {max_retry_after_s: 0.5}"
    text = config(upstream, "err-429").replace("fallback: {backoff_s: 0.01}\n", more)
    async with serving(text, tmp_path) as served:
        answer = await served.chat()
        assert answer.status_code == 429
        assert int(answer.headers["retry-after"]) == 1
        assert len(upstream.bodies) == 1


@pytest.mark.parametrize(("fault", "status"), [("err-500", 502), ("err-429", 429), ("err-503", 429)])
async def test_when_nobody_can_answer_the_status_says_why(
    upstream: Upstream, tmp_path: Path, fault: str, status: int
) -> None:
    text = config(upstream, fault).replace("backoff_s: 0.01", "backoff_s: 0.01, max_retry_after_s: 0.1")
    async with serving(text, tmp_path) as served:
        answer = await served.chat(stream=True)
        assert answer.status_code == status
        error = answer.json()["error"]
        assert set(error) == {"message", "type", "param", "code"}
        assert "scripted" in error["message"]


async def test_a_clients_mistake_is_handed_on_without_retry_and_opens_no_breaker(
    upstream: Upstream, tmp_path: Path
) -> None:
    async with serving(config(upstream, "ok"), tmp_path) as served:
        for _ in range(20):
            upstream.script = ["err-400"]
            assert (await served.chat()).status_code == 400
        assert len(upstream.bodies) == 20
        assert (await served.chat()).status_code == 200


async def test_a_dead_expert_is_left_alone_for_a_while(upstream: Upstream, tmp_path: Path) -> None:
    async with serving(config(upstream, "err-500", "ok"), tmp_path) as served:
        for _ in range(20):
            assert (await served.chat()).status_code == 200
        asked = sum(body["model"] == "err-500" for body in upstream.bodies)
        assert asked < 20, "the breaker opened"


@pytest.mark.parametrize("stream", [False, True])
async def test_a_client_that_leaves_stops_the_generation(upstream: Upstream, tmp_path: Path, stream: bool) -> None:
    async with serving(config(upstream, "drip" if stream else "hang"), tmp_path) as served:
        task = asyncio.ensure_future(served.chat(stream=stream))
        await until(lambda: upstream.bodies)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await until(lambda: upstream.aborted)
        await until(lambda: served.counted('outcome="cancelled"'))


BAD: list[tuple[object, str | None, str]] = [
    ({"messages": [{"role": "user", "content": "x"}]}, "model", "required"),
    ({"model": "auto"}, "messages", "required"),
    ({"model": "auto", "messages": []}, "messages", "at least 1"),
    ({"model": "auto", "messages": "hi"}, "messages", "array"),
    ({"model": "auto", "messages": [{"role": "king", "content": "x"}]}, "messages[0].role", "king"),
    ({"model": "auto", "messages": [{"role": "user", "content": 5}]}, "messages[0].content", "5"),
    ({"n": 0}, "n", "greater than or equal to 1"),
    ({"temperature": 9}, "temperature", "less than or equal to 2"),
    ({"temperature": "warm"}, "temperature", "number"),
    ({"top_p": -0.1}, "top_p", "greater"),
    ({"max_tokens": 0}, "max_tokens", "greater"),
    ({"max_tokens": 5, "max_completion_tokens": 5}, "max_tokens", "exclude"),
    ({"stop": ["a", "b", "c", "d", "e"]}, "stop", "at most 4"),
    ({"top_logprobs": 3}, "top_logprobs", "logprobs"),
    ({"tool_choice": "required"}, "tool_choice", "tools"),
    ({"response_format": {"type": "yaml"}}, "response_format", "json_schema"),
    ({"response_format": {"type": "json_schema"}}, "response_format.json_schema", "required"),
    (
        {"response_format": {"type": "json_schema", "json_schema": {"schema": {}}}},
        "response_format.json_schema.name",
        "required",
    ),
    ({"model": "nobody"}, "model", "'nobody' does not exist. Known: "),
    ({"stream_options": {"include_usage": True}}, "stream_options", "stream"),
    ({"functions": [{"name": "f"}]}, "functions", "tools"),
    ({"seed": 10**30}, "seed", "seed"),
    ({"madrigal": {"trase": True}}, "madrigal.trase", "trase"),
    ({"model": "auto+no_such_strategy"}, "model", "strategy"),
]


@pytest.mark.parametrize(("body", "param", "hint"), BAD, ids=[str(param) for _, param, _ in BAD])
async def test_bad_input_names_the_field_and_the_remedy(
    served: Served, body: dict[str, object], param: str, hint: str
) -> None:
    if "messages" not in body and param not in ("messages",):
        body = {"model": "auto", "messages": [{"role": "user", "content": "x"}], **body}
    answer = await served.http.post("/v1/chat/completions", json=body)
    assert answer.status_code in (400, 404)
    error = answer.json()["error"]
    assert error["param"] == param
    assert hint in error["message"]


@pytest.mark.parametrize("raw", [b"", b"{", b"[]", b"null", b'"x"', b"\xff\xfe", b'{"model": NaN}', b"[" * 100_000])
async def test_malformed_json_is_a_400(served: Served, raw: bytes) -> None:
    answer = await served.http.post("/v1/chat/completions", content=raw)
    assert answer.status_code == 400
    assert answer.json()["error"]["type"] == "invalid_request_error"


async def test_unknown_fields_and_odd_numbers_are_passed_on_or_refused_never_a_500(
    served: Served, upstream: Upstream
) -> None:
    assert (await served.chat(brand_new={"a": [1]})).status_code == 200
    assert upstream.bodies[-1]["brand_new"] == {"a": [1]}
    assert (await served.chat(brand_new=10**40)).status_code == 400
    lone = b'{"model":"auto","messages":[{"role":"user","content":"\\ud800"}]}'
    answer = await served.http.post("/v1/chat/completions", content=lone)
    assert answer.status_code == 400


async def test_unknown_paths_and_methods_are_told_in_openais_form(served: Served) -> None:
    for method, path, status in [("GET", "/v1/nothing", 404), ("GET", "/v1/chat/completions", 405)]:
        answer = await served.http.request(method, path)
        assert answer.status_code == status
        assert set(answer.json()["error"]) == {"message", "type", "param", "code"}
        assert "x-request-id" in answer.headers


async def test_a_body_that_is_too_large_is_refused(upstream: Upstream, tmp_path: Path) -> None:
    async with serving(config(upstream, "ok", more="server: {max_body_mb: 0.001}"), tmp_path) as served:
        assert (await served.chat("x" * 2000)).status_code == 413


async def test_more_requests_than_allowed_at_once_get_a_429(upstream: Upstream, tmp_path: Path) -> None:
    async with serving(config(upstream, "hang", more="server: {max_in_flight: 1}"), tmp_path) as served:
        first = asyncio.ensure_future(served.chat())
        await until(lambda: upstream.bodies)
        second = await served.chat()
        assert second.status_code == 429
        assert "retry-after" in second.headers
        first.cancel()
        await asyncio.gather(first, return_exceptions=True)


async def test_text_completions_go_the_same_way(served: Served, upstream: Upstream) -> None:
    answer = await served.http.post("/v1/completions", json={"model": "auto", "prompt": "Once", "max_tokens": 5})
    assert answer.json()["choices"][0]["text"] == " one two three"
    stream = await served.http.post("/v1/completions", json={"model": "auto", "prompt": "Once", "stream": True})
    said = "".join(c["text"] for chunk in chunks_of(stream.content) for c in chunk["choices"])
    assert said == " one two three"


async def test_a_constraint_refuses_without_calling_anyone(upstream: Upstream, tmp_path: Path) -> None:
    more = (
        "signals: {secret: {type: keyword, any: [launch codes]}}\n"
        'constraints: [{name: secrets, when: secret, refuse: "I cannot help with that."}]\n'
    )
    async with serving(config(upstream, "ok", more=more), tmp_path) as served:
        for stream in (False, True):
            for model in ("auto", "e0"):
                answer = await served.chat("the launch codes please", model=model, stream=stream)
                assert answer.status_code == 200
                said = text_of(answer.content) if stream else answer.json()["choices"][0]["message"]["content"]
                assert said == "I cannot help with that."
        assert upstream.bodies == []


async def test_what_is_written_down_matches_what_happened(served: Served) -> None:
    answer = await served.chat()
    await served.chat(model="nobody")
    usage = (await served.http.get("/v1/usage", params={"by": "expert"})).json()["data"]
    row = next(row for row in usage if row["group"] == "e0")
    assert (row["prompt_tokens"], row["completion_tokens"]) == (7, 3)
    assert row["cost_usd"] == pytest.approx((7 * 1 + 3 * 2) / 1e6)
    judged = await served.http.post("/v1/feedback", json={"request_id": answer.headers["x-request-id"], "score": 1.0})
    assert judged.status_code == 200
    again = await served.http.post("/v1/feedback", json={"request_id": answer.headers["x-request-id"], "score": 0.0})
    assert again.status_code == 409


async def test_route_explains_and_calls_nobody(served: Served, upstream: Upstream) -> None:
    body = {"model": "auto", "messages": [{"role": "user", "content": "hello"}]}
    trace = (await served.http.post("/v1/route", json=body)).json()
    assert trace["decision"] == "rest"
    assert trace["experts"][0]["name"] == "e0"
    assert {"strategy", "signals", "decisions", "ms"} <= set(trace)
    assert upstream.bodies == []


async def test_models_lists_policies_then_experts(served: Served) -> None:
    listed = (await served.http.get("/v1/models")).json()
    assert [entry["id"] for entry in listed["data"]][:2] == ["auto", "e0"]
    one = (await served.http.get("/v1/models/e0")).json()
    assert one["object"] == "model"
    assert (await served.http.get("/v1/models/zzz")).status_code == 404


async def test_pages_and_hosts_that_are_not_ours_are_refused(served: Served) -> None:
    for headers in ({"host": "evil.example"}, {"origin": "https://evil.example"}):
        answer = await served.http.get("/v1/models", headers=headers)
        assert answer.status_code == 403
    assert (await served.http.get("/v1/models", headers={"origin": served.url})).status_code == 200


async def test_a_failed_request_says_so_in_its_json(served: Served) -> None:
    answer = await served.http.post("/v1/feedback", json={"request_id": "req_unknown", "score": 0.5})
    assert answer.status_code == 404
    assert json.loads(answer.content)["error"]["code"]


async def test_stopping_lets_a_running_stream_end(upstream: Upstream, tmp_path: Path) -> None:
    async with serving(config(upstream, "slow-300"), tmp_path) as served:
        task = asyncio.ensure_future(served.chat(stream=True))
        await until(lambda: upstream.bodies)
        served.server.should_exit = True
        answer = await task
        assert text_of(answer.content) == " one two three"


@pytest.mark.parametrize("stream", [False, True])
async def test_an_answer_that_outlasts_the_stop_is_told_so(upstream: Upstream, tmp_path: Path, stream: bool) -> None:
    async with serving(config(upstream, "drip" if stream else "hang"), tmp_path, stop_s=1) as served:
        task = asyncio.ensure_future(served.chat(stream=stream))
        await until(lambda: upstream.bodies)
        served.server.should_exit = True
        answer = await task
        if stream:
            assert chunks_of(answer.content)[-1]["error"]["code"] == "no_expert_available"
            assert b"[DONE]" not in answer.content
        else:
            assert answer.status_code == 503
            assert "stopping" in answer.json()["error"]["message"]


async def test_health_needs_nothing(served: Served) -> None:
    async with httpx.AsyncClient(trust_env=False) as bare:
        assert (await bare.get(f"{served.url}/health")).json() == {"status": "ok"}
        assert (await bare.get(f"{served.url}/ready")).json()["status"] == "ready"
