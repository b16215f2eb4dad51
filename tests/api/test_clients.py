"""OpenAI's own client against the real application over a real socket; content comes from the real SmolLM2."""

import asyncio
import json
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, Literal

import openai
import pytest
import pytest_asyncio
from openai import AsyncOpenAI
from pydantic import BaseModel, Field

from tests.clientside import WEATHER, Front, front
from tests.fakes import until
from tests.serving import serving

pytestmark = [pytest.mark.model, pytest.mark.asyncio(loop_scope="module")]

HELLO: Any = [{"role": "user", "content": "hello"}]
RAIN: Any = [{"role": "user", "content": "What is the weather in Paris, in Celsius?"}]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def server(smollm2: Path, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Front]:
    async with front(smollm2, tmp_path_factory.mktemp("clients")) as running:
        yield running


@pytest_asyncio.fixture(loop_scope="module")
async def client(server: Front) -> AsyncIterator[AsyncOpenAI]:
    async with AsyncOpenAI(base_url=server.url, api_key="none", max_retries=0, timeout=300) as made:
        yield made


async def test_a_chat(client: AsyncOpenAI) -> None:
    answer = await client.chat.completions.create(model="auto", messages=HELLO)
    assert answer.choices[0].message.content == " one two three"
    assert answer.choices[0].finish_reason == "stop"
    assert answer.usage is not None and answer.usage.total_tokens == 10


async def test_the_real_model_answers_under_its_experts_name(client: AsyncOpenAI) -> None:
    answer = await client.chat.completions.create(
        model="smol",
        messages=[{"role": "user", "content": "What is the capital of France?"}],
        max_completion_tokens=20,
        temperature=0,
    )
    assert "Paris" in (answer.choices[0].message.content or "")
    assert answer.model == "smol"
    assert answer.id.startswith("chatcmpl-")


@pytest.mark.parametrize("model", ["auto", "smol"])
@pytest.mark.parametrize("usage", [False, True])
async def test_a_stream_with_and_without_usage(client: AsyncOpenAI, model: str, usage: bool) -> None:
    options: Any = {"include_usage": True}
    stream = await client.chat.completions.create(
        model=model,
        messages=HELLO,
        max_tokens=8,
        stream=True,
        stream_options=options if usage else openai.omit,
    )
    chunks = [chunk async for chunk in stream]
    assert len({chunk.id for chunk in chunks}) == 1
    assert chunks[0].choices[0].delta.role == "assistant"
    assert "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices)
    assert sum(bool(choice.finish_reason) for chunk in chunks for choice in chunk.choices) == 1
    told = [chunk.usage for chunk in chunks if chunk.usage is not None]
    assert len(told) == usage
    if usage:
        assert chunks[-1].choices == []
        assert told[0].total_tokens == told[0].prompt_tokens + told[0].completion_tokens > 0


async def test_the_clients_stream_helper_puts_an_answer_together(client: AsyncOpenAI) -> None:
    async with client.chat.completions.stream(model="auto", messages=HELLO) as stream:
        async for _ in stream:
            pass
        whole = await stream.get_final_completion()
    assert whole.choices[0].message.content == " one two three"


async def test_several_choices(client: AsyncOpenAI) -> None:
    answer = await client.chat.completions.create(
        model="smol", messages=HELLO, n=3, max_tokens=4, temperature=1, seed=5
    )
    assert [choice.index for choice in answer.choices] == [0, 1, 2]
    assert all(choice.message.content for choice in answer.choices)
    stream = await client.chat.completions.create(model="smol", messages=HELLO, n=2, max_tokens=4, stream=True)
    ended = [choice.index async for chunk in stream for choice in chunk.choices if choice.finish_reason]
    assert sorted(ended) == [0, 1]


async def test_logprobs(client: AsyncOpenAI) -> None:
    answer = await client.chat.completions.create(
        model="smol", messages=HELLO, max_tokens=3, temperature=0, logprobs=True, top_logprobs=2
    )
    told = answer.choices[0].logprobs
    assert told is not None and told.content is not None
    assert "".join(token.token for token in told.content) == answer.choices[0].message.content
    for token in told.content:
        assert token.logprob <= 0
        assert len(token.top_logprobs) == 2
        assert token.top_logprobs[0].logprob >= token.top_logprobs[1].logprob


async def test_a_tool_call_and_its_result_go_round(client: AsyncOpenAI) -> None:
    messages: Any = list(RAIN)
    asked = await client.chat.completions.create(
        model="smol",
        messages=messages,
        tools=[WEATHER],
        tool_choice="required",
        parallel_tool_calls=False,
        temperature=0,
        max_tokens=120,
    )
    choice = asked.choices[0]
    assert choice.finish_reason == "tool_calls"
    assert choice.message.tool_calls is not None
    (call,) = choice.message.tool_calls
    assert call.type == "function" and call.function.name == "get_weather"
    assert json.loads(call.function.arguments)["unit"] in ("C", "F")
    messages.append(choice.message)  # the client takes its own answer back
    messages.append({"role": "tool", "tool_call_id": call.id, "content": '{"celsius": 21, "sky": "clear"}'})
    told = await client.chat.completions.create(
        model="smol",
        messages=messages,
        tools=[WEATHER],
        tool_choice="none",
        temperature=0,
        max_tokens=30,
    )
    assert told.choices[0].message.content
    assert told.choices[0].message.tool_calls is None


async def test_a_tool_call_comes_in_pieces_that_make_the_same_call(client: AsyncOpenAI) -> None:
    asked: dict[str, Any] = {"model": "smol", "messages": RAIN, "tools": [WEATHER], "tool_choice": "required"}
    asked |= {"parallel_tool_calls": False, "temperature": 0, "max_tokens": 120}
    whole = await client.chat.completions.create(**asked)
    async with client.chat.completions.stream(**asked) as stream:
        pieces = [event async for event in stream if event.type == "tool_calls.function.arguments.delta"]
        final = (await stream.get_final_completion()).choices[0]
    assert len(pieces) > 1
    assert final.finish_reason == "tool_calls"
    assert final.message.tool_calls is not None
    (call,) = final.message.tool_calls
    assert call.function.arguments == whole.choices[0].message.tool_calls[0].function.arguments
    assert call.id and call.function.name == "get_weather"


class City(BaseModel):
    """What is asked of the model. Each value has an end: a small model may run on in an open text or number."""

    name: str = Field(max_length=20)
    continent: Literal["Africa", "Asia", "Europe"]
    inhabitants: int = Field(ge=0, le=99_999_999)


async def test_an_answer_by_a_pydantic_model(client: AsyncOpenAI) -> None:
    answer = await client.chat.completions.parse(
        model="smol",
        messages=[{"role": "user", "content": "Describe the city of Paris as JSON."}],
        response_format=City,
        temperature=0,
        max_tokens=80,
    )
    parsed = answer.choices[0].message.parsed
    assert isinstance(parsed, City)
    assert parsed.continent in ("Africa", "Asia", "Europe")


async def test_text_completions(client: AsyncOpenAI) -> None:
    answer = await client.completions.create(model="smol", prompt="One, two, three,", max_tokens=6, temperature=0)
    assert "four" in answer.choices[0].text
    assert answer.usage is not None and answer.usage.completion_tokens == 6
    stream = await client.completions.create(
        model="smol", prompt="One, two, three,", max_tokens=6, temperature=0, stream=True
    )
    assert "".join([chunk.choices[0].text async for chunk in stream if chunk.choices]) == answer.choices[0].text


async def test_models(client: AsyncOpenAI) -> None:
    names = [model.id async for model in client.models.list()]
    assert names[0] == "auto" and {"smol", "ok"} < set(names)
    assert (await client.models.retrieve("smol")).owned_by == "llama_cpp"
    with pytest.raises(openai.NotFoundError):
        await client.models.retrieve("nobody")


async def test_the_trace_and_the_headers(client: AsyncOpenAI) -> None:
    raw = await client.chat.completions.with_raw_response.create(
        model="auto", messages=HELLO, extra_body={"madrigal": {"trace": True}}
    )
    assert raw.headers["x-madrigal-decision"] == "rest"
    assert raw.headers["x-madrigal-expert"] == "ok"
    answer = raw.parse()
    assert answer._request_id == raw.headers["x-request-id"]
    assert answer.model_extra is not None
    assert answer.model_extra["madrigal"]["trace"]["decision"] == "rest"
    assert answer.model_extra["madrigal"]["request_id"] == answer._request_id


async def test_errors_are_the_clients_own(client: AsyncOpenAI) -> None:
    with pytest.raises(openai.NotFoundError) as unknown:
        await client.chat.completions.create(model="gpt-9", messages=HELLO)
    assert (unknown.value.code, unknown.value.param) == ("model_not_found", "model")
    assert unknown.value.request_id is not None and unknown.value.request_id.startswith("req_")
    with pytest.raises(openai.BadRequestError) as wrong:
        await client.chat.completions.create(model="auto", messages=HELLO, temperature=9)
    assert (wrong.value.param, wrong.value.type) == ("temperature", "invalid_request_error")
    with pytest.raises(openai.BadRequestError) as unsupported:
        await client.chat.completions.create(
            model="smol",
            messages=[
                {"role": "user", "content": [{"type": "image_url", "image_url": {"url": "data:image/png;base64,"}}]}
            ],
        )
    assert unsupported.value.code == "unsupported_parameter"
    with pytest.raises(openai.InternalServerError) as failed:
        await client.chat.completions.create(model="err-500", messages=HELLO)
    assert failed.value.status_code == 502
    with pytest.raises(openai.RateLimitError):
        await client.chat.completions.create(model="err-429", messages=HELLO)


async def test_a_wrong_key_is_an_authentication_error(tmp_path: Path) -> None:
    policy = (
        "experts: {a: {backend: openai, url: 'http://127.0.0.1:9/v1', model: ok}}\ndecisions: [{name: r, use: [a]}]"
    )
    async with serving(policy, tmp_path) as served:
        _, token = await served.service.keys.create("alice")
        async with AsyncOpenAI(base_url=f"{served.url}/v1", api_key="sk-wrong", max_retries=0) as stranger:
            with pytest.raises(openai.AuthenticationError) as refused:
                await stranger.models.list()
            assert refused.value.code == "invalid_api_key"
        async with AsyncOpenAI(base_url=f"{served.url}/v1", api_key=token, max_retries=0) as alice:
            assert (await alice.models.list()).data


async def test_the_client_comes_back_when_it_was_told_to(server: Front) -> None:
    """The expert is busy and says for how long; we hand that on, and the client's own retry succeeds."""
    server.upstream.script = ["err-429", "ok"]
    async with AsyncOpenAI(base_url=server.url, api_key="none", max_retries=1) as client:
        began = time.monotonic()
        raw = await client.chat.completions.with_raw_response.create(model="drip", messages=HELLO)
    assert raw.retries_taken == 1
    assert 1 <= time.monotonic() - began < 30, "retry-after was one second; without it the client waits half of that"
    assert raw.parse().choices[0].message.content == " one two three"


async def test_a_client_out_of_patience_stops_the_generation(server: Front, client: AsyncOpenAI) -> None:
    before = server.upstream.aborted
    with pytest.raises(openai.APITimeoutError):
        await client.chat.completions.create(model="hang", messages=HELLO, timeout=2)
    await until(lambda: server.upstream.aborted > before)


async def test_a_stream_that_the_client_leaves_stops_the_generation(server: Front, client: AsyncOpenAI) -> None:
    before = server.upstream.aborted
    stream = await client.chat.completions.create(model="drip", messages=HELLO, stream=True)
    async for chunk in stream:
        if chunk.choices[0].delta.content == " drop":
            break
    await stream.close()
    await until(lambda: server.upstream.aborted > before)


async def test_a_stream_that_breaks_off_is_an_error_and_no_short_answer(client: AsyncOpenAI) -> None:
    said = ""
    with pytest.raises(openai.APIError, match="broke off"):
        async for chunk in await client.chat.completions.create(model="cut", messages=HELLO, stream=True):
            said += chunk.choices[0].delta.content or ""
    assert said == " one two"


async def test_many_at_once(client: AsyncOpenAI) -> None:
    answers = await asyncio.gather(
        *(client.chat.completions.create(model="auto", messages=HELLO) for _ in range(40)),
        *(client.chat.completions.create(model="smol", messages=HELLO, max_tokens=2) for _ in range(6)),
    )
    assert len({answer._request_id for answer in answers}) == 46


async def test_the_synchronous_client(server: Front) -> None:
    def ask() -> str | None:
        with openai.OpenAI(base_url=server.url, api_key="none", max_retries=0) as client:
            return client.chat.completions.create(model="auto", messages=HELLO).choices[0].message.content

    assert await asyncio.to_thread(ask) == " one two three"
