"""The real SmolLM2 in a real child process: what clients ask is done right, and a caller who leaves is noticed."""

import asyncio
import json
import os
import signal
import time
from collections.abc import AsyncIterator
from contextlib import aclosing
from pathlib import Path
from typing import Any

import aiohttp
import jinja2
import jsonschema
import pytest
import pytest_asyncio

from experts.backends import Site, llama_cpp
from experts.backends._gguf import metadata
from experts.backends.llama_cpp import LlamaServer, Params
from experts.breaker import outcome_of
from experts.call import Call, Endpoint
from experts.catalog import Catalog
from experts.client import Client
from experts.errors import ContextLengthError, EngineDownError, ExpertError, SourceError
from experts.pool import Pool
from experts.spec import ExpertSpec
from tests.fakes import chunks_of, text_of, until

pytestmark = [pytest.mark.model, pytest.mark.asyncio(loop_scope="module")]

CAPITAL = "Name the capital of France."
"""A question whose first word is not a close call: 0.38 against 0.07."""

ENDLESS = {"2": -100}
"""Forbids the token that ends an answer, where a test needs all the tokens that it asks for."""

COLOURS: Any = [
    {"role": "user", "content": "A colour as JSON"},
    {"role": "assistant", "content": '{"colour": "red"}'},
    {"role": "user", "content": "Another colour as JSON"},
]
"""A question whose answer repeats the form before it: where no schema bounds an object, a small model may otherwise go
on until its tokens run out."""

WEATHER = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "description": "Weather of a city",
        "parameters": {
            "type": "object",
            "properties": {"city": {"type": "string", "maxLength": 20}, "unit": {"type": "string", "enum": ["C", "F"]}},
            "required": ["city", "unit"],
            "additionalProperties": False,
        },
    },
}
ADD = {
    "type": "function",
    "function": {
        "name": "add",
        "description": "Add two integers",
        "parameters": {
            "type": "object",
            "properties": {name: {"type": "integer", "minimum": 0, "maximum": 999} for name in "ab"},
            "required": ["a", "b"],
            "additionalProperties": False,
        },
    },
}


def spec(model: Path, **options: Any) -> ExpertSpec:
    """One thread: two on a busy machine of two cores wait for each other most of the time."""
    return ExpertSpec(name="general", source=f"file:{model}", options=Params(threads=1, **options))


class Smol:
    """The model, and the client that asks it."""

    def __init__(self, endpoint: Endpoint, client: Client) -> None:
        self.endpoint, self.client = endpoint, client

    async def ask(self, text: str = "Say hi", **body: Any) -> dict[str, Any]:
        """A whole answer, greedy and short unless the body says otherwise."""
        body = {"messages": [{"role": "user", "content": text}], "max_tokens": 40, "temperature": 0, **body}
        return await self._whole(Call("chat/completions", body))

    async def complete(self, prompt: Any, **body: Any) -> dict[str, Any]:
        return await self._whole(Call("completions", {"prompt": prompt, "temperature": 0, **body}))

    async def stream(self, text: str = "Say hi", **body: Any) -> bytes:
        body = {"messages": [{"role": "user", "content": text}], "max_tokens": 40, "temperature": 0, **body}
        call = Call("chat/completions", body, stream=True)
        answer = await self.client.open(self.endpoint, call, llama_cpp.bodies(call, self.endpoint), ask_usage=True)
        return b"".join([block async for block in answer])

    async def _whole(self, call: Call) -> dict[str, Any]:
        answer = await self.client.open(self.endpoint, call, llama_cpp.bodies(call, self.endpoint))
        told: dict[str, Any] = json.loads(await answer.read())
        return told

    async def get(self, path: str, **post: Any) -> Any:
        url = f"{self.endpoint.url.removesuffix('/v1')}/{path}"
        async with aiohttp.ClientSession(headers=self.endpoint.headers) as http:
            answer = await (http.post(url, json=post) if post else http.get(url))
            return await answer.json()

    async def busy(self) -> bool:
        return any(slot["is_processing"] for slot in await self.get("slots"))


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def smol(smollm2: Path, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Smol]:
    folder = tmp_path_factory.mktemp("engine")
    engine = llama_cpp.engine(spec(smollm2, slots=2), Site(folder, folder))
    began = time.monotonic()
    endpoint = await engine.start()
    assert time.monotonic() - began < 60
    client = Client()
    yield Smol(endpoint, client)
    await client.aclose()
    await engine.stop()


def broken_copies(model: Path, folder: Path) -> None:
    whole = model.read_bytes()
    for name, content in {"junk": b"hello" * 99, "header": whole[:2000], "half": whole[: len(whole) // 2]}.items():
        (folder / f"{name}.gguf").write_bytes(content)


def message(answer: dict[str, Any]) -> dict[str, Any]:
    told: dict[str, Any] = answer["choices"][0]["message"]
    return told


async def test_it_knows_the_capital_of_france(smol: Smol) -> None:
    answer = await smol.ask(CAPITAL)
    assert "Paris" in message(answer)["content"]
    assert answer["model"] == "general"
    assert answer["usage"]["prompt_tokens"] > 20 and answer["usage"]["completion_tokens"] > 3


async def test_a_stream_says_the_same_and_no_frame_of_ours(smol: Smol) -> None:
    told = await smol.stream(CAPITAL)
    assert "Paris" in text_of(told)
    assert b"prompt_progress" not in told and told.endswith(b"data: [DONE]\n\n")
    chunks = chunks_of(told)
    assert [c["choices"][0]["finish_reason"] for c in chunks if c["choices"]].count("stop") == 1
    assert chunks[-1]["usage"]["completion_tokens"] > 3


async def test_stop_and_length(smol: Smol) -> None:
    short = await smol.ask("Count: one two three four", stop="two")
    assert "two" not in message(short)["content"] and short["choices"][0]["finish_reason"] == "stop"
    cut = await smol.ask("Tell me a story", max_completion_tokens=3)
    assert cut["choices"][0]["finish_reason"] == "length" and cut["usage"]["completion_tokens"] == 3


async def test_a_seed_repeats_an_answer_whatever_is_cached(smol: Smol) -> None:
    async def once(seed: int) -> str:
        return str(message(await smol.ask("Tell me a story", temperature=1.5, seed=seed))["content"])

    first = await once(7)
    await smol.ask("Tell me a story about a dog and a cat")
    assert await once(7) == first != await once(8)


async def test_several_choices_differ_and_are_all_counted(smol: Smol) -> None:
    answer = await smol.ask("Tell me a story", n=3, temperature=1.5, seed=1, max_tokens=12, logit_bias=ENDLESS)
    assert [choice["index"] for choice in answer["choices"]] == [0, 1, 2]
    assert len({choice["message"]["content"] for choice in answer["choices"]}) == 3
    assert answer["usage"]["completion_tokens"] == 36


async def test_log_probabilities(smol: Smol) -> None:
    answer = await smol.ask(logprobs=True, top_logprobs=3, max_tokens=2, logit_bias=ENDLESS)
    entries = answer["choices"][0]["logprobs"]["content"]
    assert len(entries) == 2 and all(len(entry["top_logprobs"]) == 3 and entry["logprob"] <= 0 for entry in entries)


async def test_completions_continue_each_prompt(smol: Smol) -> None:
    answer = await smol.complete(["The capital of France is", "The capital of Spain is"], max_tokens=4)
    france, spain = (choice["text"] for choice in answer["choices"])
    assert "Paris" in france and "Madrid" in spain
    assert answer["usage"]["completion_tokens"] == 8


@pytest.mark.parametrize(
    "schema",
    [
        {"type": "object", "properties": {"name": {"type": "string", "maxLength": 12}, "age": {"type": "integer", "minimum": 1, "maximum": 99}}, "required": ["name", "age"], "additionalProperties": False},
        {"type": "string", "pattern": "^[A-Z]{3}-[0-9]{2}$"},
        {"type": "array", "items": {"enum": ["red", "blue"]}, "minItems": 2, "maxItems": 4},
    ],
    ids=lambda schema: schema["type"],
)  # fmt: skip
async def test_answers_keep_to_a_schema(smol: Smol, schema: dict[str, Any]) -> None:
    form = {"type": "json_schema", "json_schema": {"name": "thing", "schema": schema, "strict": True}}
    for seed in range(3):
        answer = await smol.ask("Describe a person", response_format=form, seed=seed, temperature=1.2, max_tokens=120)
        jsonschema.validate(json.loads(message(answer)["content"]), schema)


async def test_any_json_object(smol: Smol) -> None:
    told = await smol.stream(messages=COLOURS, response_format={"type": "json_object"}, max_tokens=200)
    assert isinstance(json.loads(text_of(told)), dict)


async def test_a_tool_can_be_forced(smol: Smol) -> None:
    answer = await smol.ask(
        "What is the weather in Paris?", tools=[WEATHER, ADD], tool_choice="required", max_tokens=120
    )
    assert answer["choices"][0]["finish_reason"] == "tool_calls"
    call = message(answer)["tool_calls"][0]
    assert call["type"] == "function" and call["id"]
    assert call["function"]["name"] == "get_weather"
    jsonschema.validate(json.loads(call["function"]["arguments"]), WEATHER["function"]["parameters"])  # type: ignore[index]


@pytest.mark.parametrize("tool", [WEATHER, ADD], ids=["get_weather", "add"])
async def test_a_named_function_is_called_exactly_once(smol: Smol, tool: dict[str, Any]) -> None:
    name = tool["function"]["name"]
    wanted = {"type": "function", "function": {"name": name}}
    answer = await smol.ask("What is 2+3, and what is 5+6?", tools=[WEATHER, ADD], tool_choice=wanted, max_tokens=120)
    (call,) = message(answer)["tool_calls"]
    assert call["function"]["name"] == name
    jsonschema.validate(json.loads(call["function"]["arguments"]), tool["function"]["parameters"])


async def test_a_call_comes_in_pieces_that_fit(smol: Smol) -> None:
    told = await smol.stream(
        "What is 2+3?", tools=[ADD], tool_choice="required", parallel_tool_calls=False, max_tokens=120
    )
    pieces = [
        piece
        for chunk in chunks_of(told)
        for choice in chunk["choices"]
        for piece in choice["delta"].get("tool_calls", ())
    ]
    assert pieces[0]["function"]["name"] == "add" and {piece["index"] for piece in pieces} == {0}
    arguments = json.loads("".join(piece["function"].get("arguments", "") for piece in pieces))
    jsonschema.validate(arguments, ADD["function"]["parameters"])  # type: ignore[index]


async def test_tools_that_may_be_left_alone_and_their_results(smol: Smol) -> None:
    assert message(await smol.ask(CAPITAL, tools=[ADD]))["content"]
    told = [
        {"role": "user", "content": "What is the weather in Paris?"},
        {
            "role": "assistant",
            "content": None,
            "tool_calls": [
                {"id": "c1", "type": "function", "function": {"name": "get_weather", "arguments": '{"city": "Paris"}'}}
            ],
        },
        {"role": "tool", "tool_call_id": "c1", "content": "18 C and sunny"},
    ]
    assert "18" in message(await smol.ask(messages=told, tools=[WEATHER]))["content"]
    prompt = (await smol.get("apply-template", messages=told, tools=[WEATHER]))["prompt"]
    assert '<tool_call>\n{"name": "get_weather", "arguments": {"city": "Paris"}}\n</tool_call>' in prompt
    assert "<tool_response>\n18 C and sunny\n</tool_response>" in prompt


@pytest.mark.parametrize(
    "roles", [["user"], ["system", "user"], ["user", "assistant", "user"], ["system", "user", "assistant", "user"]]
)
async def test_without_tools_the_prompt_is_the_models_own(smol: Smol, smollm2: Path, roles: list[str]) -> None:
    """Compared with the template in the file, rendered by Jinja itself."""
    own = metadata(smollm2)["tokenizer.chat_template"]
    messages = [{"role": role, "content": f'{role} says "hi" \n'} for role in roles]
    expected = jinja2.Environment().from_string(own).render(messages=messages, add_generation_prompt=True)
    assert (await smol.get("apply-template", messages=messages))["prompt"] == expected


async def test_a_prompt_too_long_is_the_clients_to_shorten(smol: Smol) -> None:
    assert smol.endpoint.context_tokens == 4096
    with pytest.raises(ContextLengthError):
        await smol.ask("hello " * 5000)
    with pytest.raises(ContextLengthError):
        await smol.stream("hello " * 5000)


async def test_one_call_that_fills_its_context_ends_no_other(smollm2: Path, tmp_path: Path) -> None:
    engine = llama_cpp.engine(spec(smollm2, slots=2, context=256), Site(tmp_path, tmp_path))
    client = Client()
    small = Smol(await engine.start(), client)
    full, other = await asyncio.gather(
        small.complete("word " * 230, max_tokens=300, logit_bias=ENDLESS), small.ask(CAPITAL)
    )
    assert small.endpoint.context_tokens == 256
    assert full["choices"][0]["finish_reason"] == "length" and full["usage"]["completion_tokens"] < 40
    assert "Paris" in message(other)["content"]
    await client.aclose()
    await engine.stop()


@pytest.mark.parametrize("stream", [True, False], ids=["stream", "whole"])
@pytest.mark.parametrize("text", ["Tell me a story", "Tell me a long story " * 700], ids=["writing", "reading"])
async def test_who_leaves_stops_the_generation_within_a_second(smol: Smol, stream: bool, text: str) -> None:
    body = {
        "messages": [{"role": "user", "content": f"{stream} {text}"}],
        "max_tokens": 1500,
        "logit_bias": ENDLESS,
    }
    call = Call("chat/completions", body, stream=stream)

    async def ask() -> None:
        answer = await smol.client.open(smol.endpoint, call, llama_cpp.bodies(call, smol.endpoint))
        async with aclosing(answer):
            async for _ in answer:
                pass

    two_pieces = await smol.get("v1/completions", prompt="word " * 256, max_tokens=1, cache_prompt=False)
    allowed_s = max(1.0, 1.5 * two_pieces["timings"]["prompt_ms"] / 1000)  # where the machine is busy with other things
    asking = asyncio.ensure_future(ask())
    await until(smol.busy, 30)
    asking.cancel()
    await asyncio.gather(asking, return_exceptions=True)
    left = time.monotonic()

    async def free() -> bool:
        return not await smol.busy()

    await until(free, 60)
    assert time.monotonic() - left < allowed_s


async def test_a_file_that_is_no_model(smollm2: Path, tmp_path: Path) -> None:
    broken_copies(smollm2, tmp_path)
    site = Site(tmp_path, tmp_path)
    with pytest.raises(SourceError, match="no whole GGUF file: it starts with b'hell'"):
        await LlamaServer(spec(tmp_path / "junk.gguf"), site).start()
    with pytest.raises(SourceError, match="no whole GGUF file"):
        await LlamaServer(spec(tmp_path / "header.gguf"), site).start()
    with pytest.raises(EngineDownError, match="model is corrupted or incomplete"):
        await LlamaServer(spec(tmp_path / "half.gguf"), site).start()
    with pytest.raises(SourceError, match="there is no"):
        await LlamaServer(spec(tmp_path / "none.gguf"), site).start()


async def test_killed_it_costs_its_calls_and_comes_back(smollm2: Path, tmp_path: Path) -> None:
    pool = Pool(Catalog.of([spec(smollm2, slots=2, context=512)]), Site(tmp_path, tmp_path))
    await pool.start()
    await pool.ready()
    client = Client()
    lease = await pool.lease("general")
    body = {"messages": [{"role": "user", "content": "Tell me a story"}], "logit_bias": {"2": -100}}
    call = Call("chat/completions", body, stream=True)
    answer = await client.open(lease.endpoint, call, lease.backend.bodies(call, lease.endpoint))

    async def listen() -> None:
        with lease:
            async with aclosing(answer):
                async for _ in answer:
                    pass

    listening = asyncio.ensure_future(listen())
    before = pool.status()[0]
    assert before.pid is not None and before.in_flight == 1
    os.kill(before.pid, signal.SIGKILL)
    with pytest.raises(ExpertError) as caught:
        await listening
    assert outcome_of(caught.value).kind == "failed"

    with await pool.lease("general", wait_s=120) as again:
        call = Call("chat/completions", {**body, "max_tokens": 4})
        answer = await client.open(again.endpoint, call, again.backend.bodies(call, again.endpoint))
        assert json.loads(await answer.read())["usage"]["completion_tokens"] == 4
    after = pool.status()[0]
    assert (after.state, after.restarts) == ("ready", 1) and after.pid != before.pid
    assert after.revision == before.revision != ""
    await client.aclose()
    await pool.stop()
