"""`/v1/responses` through the real application and OpenAI's own client; the translation by itself."""

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import openai
import pytest
from aiohttp import web
from openai import AsyncOpenAI
from openai.types.responses import Response, ResponseStreamEvent
from pydantic import BaseModel, TypeAdapter

from api.responses_events import Conversion
from api.responses_request import chat_body, messages, skeleton
from experts.errors import InputError, StreamCutError
from tests.fakes import Upstream, until
from tests.serving import Served, serving


class Scripted(Upstream):
    """Also answers with the chunks of `said`, one delta each, where there are any; `finish` ends them."""

    said: tuple[dict[str, Any], ...] = ()
    finish = "stop"
    logprobs: tuple[dict[str, Any] | None, ...] = ()

    def _whole(self, chat: bool, model: str, choices: int) -> dict[str, Any]:
        whole = super()._whole(chat, model, choices)
        if self.said:
            whole["choices"][0].update(message={"role": "assistant", **self.said[0]}, finish_reason=self.finish)
        if self.logprobs:
            whole["choices"][0]["logprobs"] = {"content": list(self.logprobs)}
        return whole

    async def _frames(self, response: web.StreamResponse, chat: bool, model: str, body: dict[str, Any]) -> None:
        if not self.said:
            return await super()._frames(response, chat, model, body)
        wire = {"id": "chatcmpl-x", "object": "chat.completion.chunk", "created": 1, "model": body["model"]}
        ends = [(delta, None) for delta in self.said] + [({}, self.finish)]
        for at, (delta, finish) in enumerate(ends):
            choice = {"index": 0, "delta": delta, "finish_reason": finish}
            if at < len(self.logprobs):
                choice["logprobs"] = {"content": [self.logprobs[at]]}
            await response.write(f"data: {json.dumps({**wire, 'choices': [choice]})}\n\n".encode())
        usage = {"prompt_tokens": 7, "completion_tokens": 3, "prompt_tokens_details": {"cached_tokens": 2}}
        await response.write(f"data: {json.dumps({**wire, 'choices': [], 'usage': usage})}\n\n".encode())
        await response.write(b"data: [DONE]\n\n")
        return None


@pytest.fixture
async def upstream() -> AsyncIterator[Scripted]:
    async with Scripted().running() as server:
        assert isinstance(server, Scripted)
        yield server


def config(upstream: Upstream, *models: str, more: str = "") -> str:
    experts = "\n".join(
        f'  e{i}: {{backend: openai, url: "{upstream.url}", model: "{m}"}}' for i, m in enumerate(models)
    )
    names = ", ".join(f"e{i}" for i in range(len(models)))
    return f"experts:\n{experts}\ndecisions:\n  - {{name: rest, use: [{names}]}}\nfallback: {{backoff_s: 0.01}}\n{more}"


@pytest.fixture
async def served(upstream: Scripted, tmp_path: Path) -> AsyncIterator[Served]:
    async with serving(config(upstream, "ok", "cut", "drip"), tmp_path) as served:
        yield served


@pytest.fixture
async def client(served: Served) -> AsyncIterator[AsyncOpenAI]:
    async with AsyncOpenAI(base_url=f"{served.url}/v1", api_key="none", max_retries=0) as client:
        yield client


def types_of(events: list[Any]) -> list[str]:
    return [event.type.removeprefix("response.") for event in events]


async def test_an_answer_is_a_response(client: AsyncOpenAI, upstream: Scripted) -> None:
    response = await client.responses.create(
        model="auto",
        instructions="Be brief.",
        input="count",
        max_output_tokens=20,
        temperature=0.5,
        metadata={"who": "me"},
        store=True,
    )
    Response.model_validate(response.to_dict(), strict=True)  # no field is missing or of another type
    assert response.output_text == " one two three"
    assert (response.status, response.model, response.error, response.incomplete_details) == (
        "completed",
        "ok",
        None,
        None,
    )
    assert response.usage is not None
    assert (response.usage.input_tokens, response.usage.output_tokens, response.usage.total_tokens) == (7, 3, 10)
    assert response.id.startswith("resp_") and response.output[0].id.startswith("msg_")  # type: ignore[union-attr]
    assert (response.instructions, response.temperature, response.metadata) == ("Be brief.", 0.5, {"who": "me"})
    assert response.to_dict()["store"] is False, "nothing is kept, whatever was asked"
    assert upstream.bodies[0] == {
        "model": "ok",
        "messages": [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "count"}],
        "max_completion_tokens": 20,
        "temperature": 0.5,
        "metadata": {"who": "me"},
    }


async def test_headers_and_record_are_those_of_a_chat(client: AsyncOpenAI, served: Served) -> None:
    raw = await client.responses.with_raw_response.create(model="auto", input="count")
    assert raw.headers["x-madrigal-decision"] == "rest" and raw.headers["x-madrigal-expert"] == "e0"
    request_id = raw.headers["x-request-id"]
    assert raw.parse().id.removeprefix("resp_") == request_id.removeprefix("req_")
    given = await served.http.post("/v1/feedback", json={"request_id": request_id, "score": 1})
    assert given.status_code == 200


async def test_a_stream_is_the_right_sequence_of_events(client: AsyncOpenAI) -> None:
    events = [event async for event in await client.responses.create(model="auto", input="count", stream=True)]
    assert types_of(events) == [
        "created",
        "in_progress",
        "output_item.added",
        "content_part.added",
        "output_text.delta",
        "output_text.delta",
        "output_text.delta",
        "output_text.done",
        "content_part.done",
        "output_item.done",
        "completed",
    ]
    assert [event.sequence_number for event in events] == list(range(len(events)))
    for event in events:
        TypeAdapter(ResponseStreamEvent).validate_python(event.to_dict(), strict=True)
    last: Any = events[-1]
    assert last.response.output_text == " one two three"
    assert last.response.usage.total_tokens == 10
    assert last.response.id == events[0].response.id  # type: ignore[union-attr]


async def test_the_wire_names_each_event_and_ends_without_done(served: Served) -> None:
    answer = await served.http.post("/v1/responses", json={"model": "auto", "input": "count", "stream": True})
    assert answer.headers["content-type"].startswith("text/event-stream")
    assert answer.headers["x-madrigal-expert"] == "e0"
    frames = answer.text.strip().split("\n\n")
    for frame in frames:
        name, data = frame.split("\n")
        assert name == f"event: {json.loads(data.removeprefix('data: '))['type']}"
    assert "[DONE]" not in answer.text


async def test_the_clients_own_accumulation_agrees(client: AsyncOpenAI) -> None:
    async with client.responses.stream(model="auto", input="count") as stream:
        final = await stream.get_final_response()
    assert final.output_text == " one two three"


WEATHER: Any = {
    "type": "function",
    "name": "weather",
    "description": "The weather",
    "parameters": {"type": "object", "properties": {"city": {"type": "string"}}},
    "strict": False,
}


def call(index: int, name: str, arguments: str, id: str) -> dict[str, Any]:
    return {"index": index, "id": id, "type": "function", "function": {"name": name, "arguments": arguments}}


@pytest.mark.parametrize("stream", [False, True])
async def test_a_round_of_tools(client: AsyncOpenAI, upstream: Scripted, stream: bool) -> None:
    upstream.finish = "tool_calls"
    calls = [call(0, "weather", '{"city": "Paris"}', "call_a"), call(1, "weather", '{"city": "Rome"}', "call_b")]
    upstream.said = ({"content": "Let me see.", "tool_calls": calls},)
    asked: Any = [{"role": "user", "content": "Paris or Rome?"}]
    if stream:
        async with client.responses.stream(model="auto", input=asked, tools=[WEATHER]) as events:
            response: Any = await events.get_final_response()
    else:
        response = await client.responses.create(model="auto", input=asked, tools=[WEATHER], tool_choice="auto")
    assert response.status == "completed"
    assert [item.type for item in response.output] == ["message", "function_call", "function_call"]
    first, second = response.output[1:]
    assert (first.name, json.loads(first.arguments), first.call_id) == ("weather", {"city": "Paris"}, "call_a")
    assert (second.call_id, second.status) == ("call_b", "completed")
    assert upstream.bodies[0]["tools"][0]["function"]["name"] == "weather"

    upstream.said, upstream.finish = (), "stop"
    done = [{"type": "function_call_output", "call_id": item.call_id, "output": "sunny"} for item in (first, second)]
    again = [item.to_dict() for item in response.output]
    response = await client.responses.create(model="auto", input=[*asked, *again, *done], tools=[WEATHER])
    assert response.output_text == " one two three"
    assert upstream.bodies[1]["messages"] == [
        {"role": "user", "content": "Paris or Rome?"},
        {
            "role": "assistant",
            "content": "Let me see.",
            "tool_calls": [{key: value for key, value in one.items() if key != "index"} for one in calls],
        },
        {"role": "tool", "tool_call_id": "call_a", "content": "sunny"},
        {"role": "tool", "tool_call_id": "call_b", "content": "sunny"},
    ]


async def test_arguments_stream_piece_by_piece(client: AsyncOpenAI, upstream: Scripted) -> None:
    upstream.finish = "tool_calls"
    upstream.said = (
        {"role": "assistant", "content": None, "tool_calls": [call(0, "weather", "", "call_a")]},
        {"tool_calls": [{"index": 0, "function": {"arguments": '{"city":'}}]},
        {"tool_calls": [{"index": 0, "function": {"arguments": '"Paris"}'}}]},
    )
    asked = await client.responses.create(model="auto", input="?", tools=[WEATHER], stream=True)
    events: list[Any] = [event async for event in asked]
    assert types_of(events)[2:] == [
        "output_item.added",
        "function_call_arguments.delta",
        "function_call_arguments.delta",
        "function_call_arguments.done",
        "output_item.done",
        "completed",
    ]
    assert events[-3].arguments == '{"city":"Paris"}'
    assert events[-2].item.name == "weather"
    for event in events:
        TypeAdapter(ResponseStreamEvent).validate_python(event.to_dict(), strict=True)


class City(BaseModel):
    name: str
    people: int


async def test_structured_output_by_the_clients_parse(client: AsyncOpenAI, upstream: Scripted) -> None:
    upstream.said = ({"content": '{"name": "Paris", "people": 2000000}'},)
    response = await client.responses.parse(model="auto", input="Paris", text_format=City)
    assert response.output_parsed == City(name="Paris", people=2000000)
    form = upstream.bodies[0]["response_format"]
    assert form["type"] == "json_schema" and form["json_schema"]["name"] == "City"
    assert form["json_schema"]["strict"] is True


async def test_logprobs_on_request(client: AsyncOpenAI, upstream: Scripted) -> None:
    token = {"token": "é", "logprob": -0.5, "bytes": None, "top_logprobs": [{"token": "e", "logprob": -1.0}]}
    upstream.said, upstream.logprobs = ({"content": "é"},), (token,)
    response = await client.responses.create(
        model="auto", input="?", include=["message.output_text.logprobs"], top_logprobs=1
    )
    Response.model_validate(response.to_dict(), strict=True)
    told: Any = response.output[0]
    assert told.content[0].logprobs[0].to_dict() == {
        "token": "é",
        "logprob": -0.5,
        "bytes": [195, 169],
        "top_logprobs": [{"token": "e", "logprob": -1.0, "bytes": [101]}],
    }
    assert (upstream.bodies[0]["logprobs"], upstream.bodies[0]["top_logprobs"]) == (True, 1)
    events: list[Any] = [
        e async for e in await client.responses.create(model="auto", input="?", top_logprobs=1, stream=True)
    ]
    delta = next(e for e in events if e.type == "response.output_text.delta")
    assert delta.logprobs[0].token == "é"


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(("finish", "reason"), [("length", "max_output_tokens"), ("content_filter", "content_filter")])
async def test_an_answer_cut_short_is_incomplete(
    client: AsyncOpenAI, upstream: Scripted, finish: str, reason: str, stream: bool
) -> None:
    upstream.said, upstream.finish = ({"content": "so f"},), finish
    if stream:
        events: list[Any] = [e async for e in await client.responses.create(model="auto", input="?", stream=True)]
        assert events[-1].type == "response.incomplete"
        response: Any = events[-1].response
    else:
        response = await client.responses.create(model="auto", input="?")
    assert (response.status, response.incomplete_details.reason, response.completed_at) == ("incomplete", reason, None)
    assert (response.output_text, response.output[0].status) == ("so f", "incomplete")


async def test_a_stream_that_breaks_off_fails_and_completes_nothing(served: Served, client: AsyncOpenAI) -> None:
    events: list[Any] = []
    with pytest.raises(openai.APIError, match="broke off"):
        async for event in await client.responses.create(model="e1", input="?", stream=True):
            events.append(event)
    assert events[-1].type == "response.failed"
    failed = events[-1].response
    assert (failed.status, failed.error.code) == ("failed", "server_error")
    assert (failed.output_text, failed.output[0].status) == (" one two", "incomplete")
    assert not {"response.completed", "response.output_text.done"} & {event.type for event in events}
    assert await served.counted('outcome="cut"')


@pytest.mark.parametrize("stream", [False, True])
async def test_an_error_before_the_first_byte_is_an_http_error(
    upstream: Scripted, tmp_path: Path, stream: bool
) -> None:
    async with serving(config(upstream, "err-500"), tmp_path) as served:
        answer = await served.http.post("/v1/responses", json={"model": "auto", "input": "?", "stream": stream})
    assert answer.status_code == 502
    assert answer.json()["error"]["type"] == "server_error"


@pytest.mark.parametrize("stream", [False, True])
async def test_a_client_that_leaves_stops_the_generation(served: Served, upstream: Scripted, stream: bool) -> None:
    upstream.script = ["drip" if stream else "hang"]
    body = {"model": "auto", "input": "?", "stream": stream}

    async def ask() -> None:
        async with served.http.stream("POST", "/v1/responses", json=body) as answer:
            async for _ in answer.aiter_bytes():
                return

    task = asyncio.ensure_future(ask())
    await until(lambda: bool(upstream.bodies))
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    await until(lambda: upstream.aborted == 1)


async def test_a_trace_on_request(client: AsyncOpenAI) -> None:
    more = {"madrigal": {"trace": True}}
    whole: Any = await client.responses.create(model="auto", input="?", extra_body=more)
    assert whole.madrigal["trace"]["decision"] == "rest"
    events: list[Any] = [
        e async for e in await client.responses.create(model="auto", input="?", extra_body=more, stream=True)
    ]
    assert events[-1].response.madrigal["attempts"][0]["expert"] == "e0"


@pytest.mark.parametrize(
    ("more", "param"),
    [
        ({"previous_response_id": "resp_1"}, "previous_response_id"),
        ({"conversation": "conv_1"}, "conversation"),
        ({"background": True}, "background"),
        ({"prompt": {"id": "pmpt_1"}}, "prompt"),
        ({"truncation": "auto"}, "truncation"),
        ({"include": ["file_search_call.results"]}, "include"),
        ({"tools": [{"type": "web_search"}]}, "tools"),
        ({"tool_choice": {"type": "mcp", "server_label": "x"}}, "tool_choice"),
        ({"tool_choice": "required"}, "tool_choice"),
        ({"tool_choice": {"type": "function", "name": "other"}, "tools": [WEATHER]}, "tool_choice"),
        ({"input": [{"type": "web_search_call", "id": "x"}]}, "input[0]"),
        ({"input": [{"role": "user", "content": [{"type": "input_file", "file_id": "x"}]}]}, "input[0].content[0]"),
        ({"input": [{"type": "function_call_output", "call_id": "x", "output": ""}]}, "input[0].call_id"),
        ({"input": []}, "input"),
        ({"input": None}, "input"),
        ({"messages": [{"role": "user", "content": "hi"}]}, "messages"),
        ({"max_tokens": 5}, "max_tokens"),
        ({"n": 2}, "n"),
        ({"temperature": 9}, "temperature"),
        ({"max_output_tokens": 0}, "max_output_tokens"),
        ({"text": {"format": {"type": "json_schema"}}}, "text.format.name"),
        ({"text": {"format": {"type": "grammar"}}}, "text.format"),
        ({"stream_options": {"include_obfuscation": True}, "stream": True}, "stream_options"),
        ({"madrigal": {"x": 1}}, "madrigal.x"),
        ({"tools": [{**WEATHER, "parameters": {"maximum": 10**30}}]}, "tools"),
        ({"tools": [WEATHER], "tool_choice": {"type": "function", "name": "weather", "x": 10**30}}, None),
    ],
)
async def test_what_cannot_be_done_is_refused_by_name(
    served: Served, upstream: Scripted, more: dict[str, Any], param: str | None
) -> None:
    answer = await served.http.post("/v1/responses", json={"model": "auto", "input": "hi", **more})
    assert answer.status_code == 400, answer.text
    assert answer.json()["error"]["param"] == param
    assert answer.json()["error"]["type"] == "invalid_request_error"
    assert upstream.bodies == []


async def test_an_expert_that_lacks_a_feature_is_told_in_this_apis_words(upstream: Scripted, tmp_path: Path) -> None:
    text = config(upstream, "ok").replace('model: "ok"', 'model: "ok", without: [json_schema]')
    form = {"type": "json_schema", "name": "x", "schema": {"type": "object"}}
    async with serving(text, tmp_path) as served:
        answer = await served.http.post("/v1/responses", json={"model": "auto", "input": "?", "text": {"format": form}})
    error = answer.json()["error"]
    assert (answer.status_code, error["param"]) == (400, "text.format")
    assert "text.format" in error["message"] and "response_format" not in error["message"]


async def test_malformed_json_and_other_methods(served: Served) -> None:
    answer = await served.http.post("/v1/responses", content=b"{", headers={"content-type": "application/json"})
    assert (answer.status_code, answer.json()["error"]["code"]) == (400, "invalid_json")
    assert (await served.http.get("/v1/responses")).status_code == 405
    assert (await served.http.get("/v1/responses/resp_1")).status_code == 404
    unknown = await served.http.post("/v1/responses", json={"model": "nobody", "input": "?"})
    assert (unknown.status_code, unknown.json()["error"]["code"]) == (404, "model_not_found")


async def test_langchain_speaks_to_it(served: Served, upstream: Scripted) -> None:
    from langchain_openai import ChatOpenAI

    chat = ChatOpenAI(
        model="auto",
        base_url=f"{served.url}/v1",
        api_key="none",
        use_responses_api=True,
        max_retries=0,
        http_async_client=served.http,  # its own would stay open
    )
    answer = await chat.ainvoke("count")
    assert answer.text == " one two three"
    assert answer.usage_metadata is not None and answer.usage_metadata["total_tokens"] == 10
    pieces = [piece.text async for piece in chat.astream("count")]
    assert "".join(pieces) == " one two three"
    with pytest.raises(openai.APIError):  # a broken stream must not look like a short answer
        async for _ in chat.bind(model="e1").astream("count"):
            pass


# ---- the translation by itself


def test_items_become_messages() -> None:
    image = {"type": "input_image", "image_url": "data:image/png;base64,AA==", "detail": "low"}
    told = messages(
        [
            {"role": "developer", "content": "Be kind."},
            {"role": "user", "content": [{"type": "input_text", "text": "What is this?"}, image]},
            {"type": "reasoning", "id": "rs_1", "summary": []},
            {
                "type": "message",
                "id": "msg_1",
                "role": "assistant",
                "status": "completed",
                "content": [
                    {"type": "output_text", "text": "A ", "annotations": []},
                    {"type": "output_text", "text": "cat.", "annotations": []},
                ],
            },
            {"role": "user", "content": [{"type": "input_text", "text": "Sure?"}]},
        ],
        "Be brief.",
    )
    assert told == [
        {"role": "system", "content": "Be brief."},
        {"role": "developer", "content": "Be kind."},
        {
            "role": "user",
            "content": [
                {"type": "text", "text": "What is this?"},
                {"type": "image_url", "image_url": {"url": "data:image/png;base64,AA==", "detail": "low"}},
            ],
        },
        {"role": "assistant", "content": "A cat."},
        {"role": "user", "content": "Sure?"},
    ]
    with pytest.raises(InputError, match="no message"):
        messages([{"type": "reasoning"}])


def test_parameters_are_translated_and_unknown_ones_go_on() -> None:
    chat = chat_body(
        {
            "model": "auto",
            "input": "hi",
            "text": {"format": {"type": "json_object"}, "verbosity": "low"},
            "reasoning": {"effort": "low"},
            "store": True,
            "tool_choice": "auto",
            "tools": [],
            "top_p": None,
            "top_k": 20,
            "seed": 1,
        }
    )
    assert chat == {
        "model": "auto",
        "messages": [{"role": "user", "content": "hi"}],
        "response_format": {"type": "json_object"},
        "verbosity": "low",
        "reasoning_effort": "low",
        "top_k": 20,
        "seed": 1,
    }


def test_allowed_tools_are_those_that_are_sent() -> None:
    other = {**WEATHER, "name": "other"}
    allowed = {"type": "allowed_tools", "mode": "required", "tools": [{"type": "function", "name": "other"}]}
    body = {"model": "auto", "input": "hi", "tools": [WEATHER, other], "tool_choice": allowed}
    chat = chat_body(body)
    assert [tool["function"]["name"] for tool in chat["tools"]] == ["other"]
    assert chat["tool_choice"] == "required"
    assert skeleton(body, id="resp_1", created_at=1)["tool_choice"] == allowed
    with pytest.raises(InputError, match="not among tools"):
        chat_body({**body, "tools": [WEATHER]})


def conversion() -> Conversion:
    return Conversion(skeleton({"model": "auto", "input": "hi"}, id="resp_1", created_at=1))


def delta(finish: str | None = None, **said: Any) -> dict[str, Any]:
    return {"model": "m", "choices": [{"index": 0, "delta": said, "finish_reason": finish}]}


def test_reasoning_refusal_and_text_are_items_and_parts_of_their_own() -> None:
    one = conversion()
    events = [
        event
        for said in ({"reasoning_content": "hm"}, {"content": "No"}, {"refusal": "sorry"})
        for event in one.chunk(delta(**said))
    ]
    events += one.chunk(delta("stop")) + one.end(at=2)
    for event in events:
        TypeAdapter(ResponseStreamEvent).validate_python(event, strict=True)
    output = events[-1]["response"]["output"]
    assert [item["type"] for item in output] == ["reasoning", "message"]
    assert output[0]["content"] == [{"type": "reasoning_text", "text": "hm"}]
    assert [part["type"] for part in output[1]["content"]] == ["output_text", "refusal"]
    assert [e["type"] for e in events].count("response.output_item.done") == 2
    assert [e["sequence_number"] for e in events] == list(range(len(events)))


def test_calls_that_come_by_turns_are_kept_apart() -> None:
    one = conversion()
    one.chunk(delta(tool_calls=[call(0, "a", "{", "x"), call(1, "b", "[", "y")]))
    one.chunk(
        delta(tool_calls=[{"index": 0, "function": {"arguments": "}"}}, {"index": 1, "function": {"arguments": "]"}}])
    )
    one.chunk(delta("tool_calls"))
    output = one.end(at=2)[-1]["response"]["output"]
    assert [(item["name"], item["arguments"]) for item in output] == [("a", "{}"), ("b", "[]")]


def test_calls_without_an_index_begin_with_an_id() -> None:
    one = conversion()
    for id, arguments in (("x", "{"), (None, "}"), ("y", "[]")):
        one.chunk(delta(tool_calls=[{"id": id, "function": {"name": "f" if id else None, "arguments": arguments}}]))
    one.chunk(delta("tool_calls"))
    assert [item["arguments"] for item in one.end(at=2)[-1]["response"]["output"]] == ["{}", "[]"]


def test_an_answer_of_no_words_is_still_a_message() -> None:
    one = conversion()
    one.chunk(delta("stop", role="assistant", content=""))
    response = one.end(at=2)[-1]["response"]
    Response.model_validate({**response, "usage": None}, strict=True)
    assert response["output"][0]["content"][0]["text"] == ""


def test_no_end_is_invented() -> None:
    one = conversion()
    one.chunk(delta(content="so far"))
    with pytest.raises(StreamCutError):
        one.end(at=2)
