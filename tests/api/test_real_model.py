"""The main job on the real SmolLM2, through the real application: answers, streams, obeys, survives."""

import asyncio
import json
import os
import signal
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import psutil
import pytest
import pytest_asyncio

from tests.fakes import chunks_of, text_of, until
from tests.serving import Served, serving

POLICY = """
experts:
  general:
    source: "file:{model}"
    slots: 4
    context: 1024
    threads: 1
    system_prompt: Answer briefly and correctly.
decisions:
  - {{name: rest, use: [general]}}
fallback: {{backoff_s: 0.05}}
"""
COUNT = "Count from one to one hundred in words."
ENDLESS = {"2": -100}
"""Forbids the token that ends an answer, where a test needs all the tokens that it asks for."""


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def served(smollm2: Path, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Served]:
    folder = tmp_path_factory.mktemp("real")
    async with serving(POLICY.format(model=smollm2), folder) as served:
        await served.until_ready()
        yield served


pytestmark = [pytest.mark.model, pytest.mark.asyncio(loop_scope="module")]


async def said(served: Served, text: str, **more: Any) -> str:
    answer = await served.chat(text, temperature=0, **more)
    assert answer.status_code == 200, answer.text
    content: str = answer.json()["choices"][0]["message"]["content"]
    return content


async def test_it_knows_the_capital_of_france(served: Served) -> None:
    for question in ("capital of France", "What is the capital of France?"):
        assert "Paris" in await said(served, question, max_tokens=24)


async def test_a_stream_says_what_the_whole_answer_says(served: Served) -> None:
    whole = await said(served, "Name the capital of Germany.", max_tokens=16)
    stream = await served.chat("Name the capital of Germany.", temperature=0, max_tokens=16, stream=True)
    assert text_of(stream.content) == whole
    assert "Berlin" in whole


async def test_the_answer_ends_at_stop_and_at_max_tokens(served: Served) -> None:
    stopped = (await served.chat(COUNT, temperature=0, max_tokens=60, stop=["two", "Two"])).json()["choices"][0]
    assert stopped["finish_reason"] == "stop"
    assert "two" not in stopped["message"]["content"].lower()
    short = (await served.chat(COUNT, temperature=0, max_completion_tokens=5)).json()
    assert short["choices"][0]["finish_reason"] == "length"
    assert short["usage"]["completion_tokens"] == 5


async def test_the_same_seed_says_the_same_and_another_does_not(served: Served) -> None:
    async def tell(seed: int) -> str:
        answer = await served.chat("Tell a story.", temperature=1.5, seed=seed, max_tokens=24)
        content: str = answer.json()["choices"][0]["message"]["content"]
        return content

    first, second, other = await tell(7), await tell(7), await tell(8)
    assert first == second
    assert first != other


async def test_a_json_schema_is_kept(served: Served) -> None:
    schema = {
        "type": "object",
        "properties": {
            "name": {"type": "string", "maxLength": 20},
            "age": {"type": "integer", "minimum": 0, "maximum": 150},
        },
        "required": ["name", "age"],
        "additionalProperties": False,
    }
    form = {"type": "json_schema", "json_schema": {"name": "person", "schema": schema, "strict": True}}
    for seed in range(3):
        answer = await served.chat(
            "Ada is 36 years old. Who is she?", response_format=form, seed=seed, temperature=1, max_tokens=80
        )
        person = json.loads(answer.json()["choices"][0]["message"]["content"])
        assert set(person) == {"name", "age"}
        assert isinstance(person["age"], int)
    colours = [
        {"role": "user", "content": "A colour as JSON"},
        {"role": "assistant", "content": '{"colour": "red"}'},
        {"role": "user", "content": "Another colour as JSON"},
    ]
    loose = await served.chat(messages=colours, response_format={"type": "json_object"}, temperature=0, max_tokens=200)
    assert isinstance(json.loads(loose.json()["choices"][0]["message"]["content"]), dict)


async def test_a_schema_that_cannot_be_enforced_is_refused_and_not_ignored(served: Served) -> None:
    form = {"type": "json_schema", "json_schema": {"name": "x", "schema": {"type": "string", "pattern": "(?=a)b"}}}
    answer = await served.chat("hello", response_format=form)
    assert answer.status_code == 400
    assert answer.json()["error"]["param"] == "response_format"


@pytest.mark.parametrize("stream", [False, True])
async def test_several_choices_are_counted_together(served: Served, stream: bool) -> None:
    more: dict[str, Any] = {"stream": True, "stream_options": {"include_usage": True}} if stream else {}
    answer = await served.chat("Tell a story.", n=3, max_tokens=6, seed=1, temperature=1, logit_bias=ENDLESS, **more)
    wire = chunks_of(answer.content)[-1] if stream else answer.json()
    assert wire["usage"]["completion_tokens"] == 18
    if not stream:
        texts = [choice["message"]["content"] for choice in wire["choices"]]
        assert [choice["index"] for choice in wire["choices"]] == [0, 1, 2]
        assert len(set(texts)) > 1


async def test_logprobs_have_the_form_and_number_that_was_asked_for(served: Served) -> None:
    for asked in (None, 2):
        more = {} if asked is None else {"top_logprobs": asked}
        answer = await served.chat(COUNT, logprobs=True, max_tokens=3, temperature=0, logit_bias=ENDLESS, **more)
        content = answer.json()["choices"][0]["logprobs"]["content"]
        assert len(content) == 3
        assert all(token["logprob"] <= 0 and len(token["top_logprobs"]) == (asked or 0) for token in content)
    legacy = await served.http.post(
        "/v1/completions", json={"model": "auto", "prompt": "The capital of France is", "logprobs": 2, "max_tokens": 3}
    )
    logprobs = legacy.json()["choices"][0]["logprobs"]
    assert len(logprobs["tokens"]) == len(logprobs["token_logprobs"]) == len(logprobs["text_offset"]) == 3
    assert all(len(one) == 2 for one in logprobs["top_logprobs"])


async def test_a_forced_tool_call_has_valid_arguments(served: Served) -> None:
    tool = {
        "type": "function",
        "function": {
            "name": "get_weather",
            "description": "The weather in a city",
            "parameters": {
                "type": "object",
                "properties": {"city": {"type": "string", "maxLength": 20}},
                "required": ["city"],
                "additionalProperties": False,
            },
        },
    }
    answer = await served.chat(
        "What is the weather in Paris?", tools=[tool], tool_choice="required", temperature=0, max_tokens=80
    )
    choice = answer.json()["choices"][0]
    assert choice["finish_reason"] == "tool_calls"
    call = choice["message"]["tool_calls"][0]
    assert call["function"]["name"] == "get_weather"
    assert "city" in json.loads(call["function"]["arguments"])


@pytest.mark.parametrize(
    ("more", "param"),
    [
        ({"modalities": ["text", "audio"], "audio": {"voice": "x"}}, "audio"),
        ({"web_search_options": {}}, "web_search_options"),
        (
            {"messages": [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": "data:,"}}]}]},
            "messages",
        ),
    ],
)
async def test_what_the_engine_cannot_do_is_refused_by_name(served: Served, more: dict[str, Any], param: str) -> None:
    answer = await served.chat("hello", **more)
    assert answer.status_code == 400
    assert answer.json()["error"]["param"] == param


async def test_a_prompt_longer_than_the_context_is_told_as_such(served: Served) -> None:
    answer = await served.chat("word " * 5000)
    assert answer.status_code == 400
    assert answer.json()["error"]["code"] == "context_length_exceeded"


@pytest.mark.parametrize("stream", [False, True])
async def test_the_slot_is_free_within_a_second_of_the_client_leaving(served: Served, stream: bool) -> None:
    loop = asyncio.get_running_loop()
    began = loop.time()
    await said(served, "Hello", max_tokens=1)
    allowed_s = max(1.0, 5 * (loop.time() - began))  # where the machine is busy with other things
    task = asyncio.ensure_future(served.chat(COUNT, max_tokens=900, stream=stream, logit_bias=ENDLESS))

    async def busy() -> bool:
        return await served.counted('madrigal_expert_in_flight{expert="general"} 1.0')

    await until(busy, 60)
    task.cancel()
    left = loop.time()
    await asyncio.gather(task, return_exceptions=True)

    async def idle() -> bool:
        return await served.counted('madrigal_expert_in_flight{expert="general"} 0.0')

    await until(idle, 60)
    assert loop.time() - left < allowed_s


async def test_an_engine_killed_in_mid_answer_costs_its_calls_and_comes_back(served: Served) -> None:
    """Last in this file: it kills the engine that the tests share."""
    body = {"model": "auto", "messages": [{"role": "user", "content": COUNT}], "stream": True, "max_tokens": 900}
    status = served.service.pool.status()[0]
    assert status.pid is not None
    said_so_far = b""
    async with served.http.stream("POST", "/v1/chat/completions", json={**body, "logit_bias": ENDLESS}) as stream:
        async for block in stream.aiter_bytes():
            if not said_so_far:
                os.kill(status.pid, signal.SIGKILL)
            said_so_far += block
    assert chunks_of(said_so_far)[-1]["error"]["code"] == "stream_cut"
    assert b"[DONE]" not in said_so_far
    await served.until_ready()
    assert "Paris" in await said(served, "capital of France", max_tokens=24)
    assert served.service.pool.status()[0].restarts == 1
    assert not psutil.pid_exists(status.pid)
