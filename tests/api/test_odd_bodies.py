"""Odd but valid bodies, as real clients send them: each is answered, and reaches the expert as it was sent."""

import json
from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio

from tests.fakes import Upstream
from tests.serving import Served, serving

pytestmark = pytest.mark.asyncio(loop_scope="module")

POLICY = """
experts:
  e0: {{backend: openai, url: "{url}", model: ok, features: {features}}}
signals:
  code:     {{type: keyword, any: [python], regex: ['\\d{{4}}'], fuzzy: [traceback]}}
  long:     {{type: context, min_tokens: 100000}}
  lists:    {{type: structure, of: list_items, gte: 3}}
  language: {{type: language, in: [de, fr, ja]}}
  beta:     {{type: metadata, header: x-beta}}
decisions:
  - {{name: code,   when: code and not long, use: [e0]}}
  - {{name: other,  when: language or lists or beta, use: [e0]}}
  - {{name: rest,   use: [e0]}}
"""
FEATURES = "[chat, completions, tools, json_object, json_schema, logprobs, logit_bias, n, seed, images, audio]"

WEATHER = {"type": "function", "function": {"name": "weather", "parameters": {"type": "object", "properties": {}}}}
CALLED = {"id": "call_1", "type": "function", "function": {"name": "weather", "arguments": '{"city": "Köln"}'}}
PIXEL = "data:image/png;base64,iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="


def user(content: Any, **more: Any) -> dict[str, Any]:
    return {"role": "user", "content": content, **more}


def text(said: str) -> dict[str, str]:
    return {"type": "text", "text": said}


ODD: dict[str, list[dict[str, Any]]] = {
    "one part": [user([text("hello")])],
    "several parts": [user([text("hello "), text("world"), text("")])],
    "no part": [user([])],
    "an image": [user([text("what is this?"), {"type": "image_url", "image_url": {"url": PIXEL, "detail": "low"}}])],
    "an image alone": [user([{"type": "image_url", "image_url": {"url": PIXEL}}])],
    "audio": [user([{"type": "input_audio", "input_audio": {"data": "AAAA", "format": "wav"}}])],
    "an empty text": [user("")],
    "blanks": [user(" \n\t ")],
    "an empty system text": [{"role": "system", "content": ""}, user("hello")],
    "developer": [{"role": "developer", "content": "Be brief."}, user("hello")],
    "developer in parts": [{"role": "developer", "content": [text("Be brief.")]}, user("hello")],
    "two system messages": [
        {"role": "system", "content": "a"},
        {"role": "system", "content": "b", "name": "rules"},
        user("hello"),
    ],
    "system in the middle": [user("a"), {"role": "system", "content": "Now in French."}, user("b")],
    "system alone": [{"role": "system", "content": "Say hello."}],
    "names": [
        user("hello", name="ada_1"),
        {"role": "assistant", "content": "hi", "name": "bot"},
        user("you?", name="b"),
    ],
    "a null name": [user("hello", name=None)],
    "an answer to be continued": [user("Count."), {"role": "assistant", "content": "One, two,"}],
    "assistant first": [{"role": "assistant", "content": "Hello, how can I help?"}, user("python")],
    "two users in a row": [user("a"), user("b"), user("c")],
    "a refusal": [user("a"), {"role": "assistant", "content": None, "refusal": "No."}, user("why?")],
    "a refusal part": [user("a"), {"role": "assistant", "content": [{"type": "refusal", "refusal": "No."}]}, user("b")],
    "an assistant without content": [user("a"), {"role": "assistant", "tool_calls": None}, user("b")],
    "a tool loop": [
        user("weather in Köln?"),
        {"role": "assistant", "content": None, "tool_calls": [CALLED]},
        {"role": "tool", "tool_call_id": "call_1", "content": '{"celsius": 21}'},
    ],
    "a tool call without content": [
        user("weather?"),
        {"role": "assistant", "tool_calls": [CALLED]},
        {"role": "tool", "tool_call_id": "call_1", "content": [text("21 °C")]},
        {"role": "assistant", "content": "21 °C"},
        user("and now?"),
    ],
    "two tool calls at once": [
        user("weather?"),
        {"role": "assistant", "content": "", "tool_calls": [CALLED, {**CALLED, "id": "call_2"}]},
        {"role": "tool", "tool_call_id": "call_1", "content": "21"},
        {"role": "tool", "tool_call_id": "call_2", "content": ""},
    ],
    "arguments that are no JSON": [
        user("weather?"),
        {"role": "assistant", "content": None, "tool_calls": [{**CALLED, "function": {"name": "f", "arguments": "{"}}]},
        {"role": "tool", "tool_call_id": "call_1", "content": "that was no JSON"},
    ],
    "the old function role": [user("a"), {"role": "function", "name": "f", "content": "42"}, user("b")],
    "500 turns": [
        user(f"question {i}") if i % 2 == 0 else {"role": "assistant", "content": f"answer {i}"} for i in range(501)
    ],
    "a long text": [user("lorem ipsum dolor sit amet " * 20_000)],
    "a word without end": [user("x" * 200_000)],
    "Unicode": [
        user("Grüße 👩‍👩‍👧‍👦 日本語 العربية \u202e reversed \u0000 nul \ufeff bom 𝔘𝔫𝔦 e\u0301\u0301\u0301 \U0010ffff")
    ],
    "line separators": [user("a\u2028b\u2029c\r\nd\x85e\x0bf data: [DONE]\n\ndata: {}")],
    "all emoji": [user("🎉" * 500)],
    "combining marks": [user("z" + "\u0351" * 2000)],
    "JSON in a text": [user('{"finish_reason":"stop","usage":{"prompt_tokens":1}}')],
    "unknown fields": [user("a", metadata={"x": [1, None, 2.5]}, cache_control={"type": "ephemeral"})],
}
OPTIONS: dict[str, dict[str, Any]] = {
    "every field null": dict.fromkeys(
        [
            *("stream", "n", "stop", "seed", "temperature", "top_p", "max_tokens", "max_completion_tokens", "tools"),
            *("logprobs", "top_logprobs", "tool_choice", "response_format", "user", "metadata", "logit_bias"),
        ]
    ),
    "numbers at their edges": {"temperature": 0, "top_p": 1, "presence_penalty": -2, "frequency_penalty": 2.0, "n": 1},
    "whole numbers where fractions may stand": {"temperature": 1, "top_p": 0, "max_tokens": 1},
    "the largest seed": {"seed": 2**63 - 1},
    "an empty stop": {"stop": []},
    "four stops": {"stop": ["a", "b", "\n", "🎉"]},
    "no logit bias": {"logit_bias": {}},
    "a logit bias": {"logit_bias": {"50256": -100, "11": 0.5}},
    "tools unused": {"tools": [WEATHER], "tool_choice": "none"},
    "no tools": {"tools": []},
    "parallel tools": {"tools": [WEATHER], "parallel_tool_calls": False},
    "a named tool": {"tools": [WEATHER], "tool_choice": {"type": "function", "function": {"name": "weather"}}},
    "metadata": {"metadata": {"a": "b", "ü": ""}, "user": "ada", "store": False, "service_tier": "auto"},
    "plain text format": {"response_format": {"type": "text"}},
    "text modality": {"modalities": ["text"]},
    "an unknown option of the engine": {
        "min_p": 0.05,
        "repetition_penalty": 1.1,
        "chat_template_kwargs": {"think": False},
    },
    "no trace": {"madrigal": {"trace": False}},
    "madrigal's options left empty": {"madrigal": {}},
    "madrigal's options null": {"madrigal": None},
}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def upstream() -> AsyncIterator[Upstream]:
    async with Upstream().running() as server:
        yield server


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def served(upstream: Upstream, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Served]:
    policy = POLICY.format(url=upstream.url, features=FEATURES)
    async with serving(policy, tmp_path_factory.mktemp("odd")) as served:
        yield served


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
@pytest.mark.parametrize("messages", ODD.values(), ids=ODD.keys())
async def test_odd_messages_are_answered_and_sent_on_unchanged(
    served: Served, upstream: Upstream, messages: list[dict[str, Any]], stream: bool
) -> None:
    answer = await served.http.post(
        "/v1/chat/completions", json={"model": "auto", "messages": messages, "stream": stream}
    )
    assert answer.status_code == 200, answer.text
    assert upstream.bodies[-1]["messages"] == messages
    told = await served.http.post("/v1/route", json={"model": "auto", "messages": messages})
    assert told.status_code == 200
    assert told.json()["decision"] == answer.headers["x-madrigal-decision"]


@pytest.mark.parametrize("options", OPTIONS.values(), ids=OPTIONS.keys())
async def test_odd_options_are_answered_and_sent_on(
    served: Served, upstream: Upstream, options: dict[str, Any]
) -> None:
    answer = await served.chat("hello", **options)
    assert answer.status_code == 200, answer.text
    sent = {key: value for key, value in options.items() if key not in ("madrigal", "stream", "stream_options")}
    assert sent.items() <= upstream.bodies[-1].items()
    assert "madrigal" not in upstream.bodies[-1]


@pytest.mark.parametrize("prompt", ["", "Once", ["a", "b"], [1, 2, 3], [[1, 2], [3]], "🎉" * 100], ids=repr)
async def test_prompts_of_text_completions(served: Served, upstream: Upstream, prompt: Any) -> None:
    answer = await served.http.post("/v1/completions", json={"model": "auto", "prompt": prompt})
    assert answer.status_code == 200, answer.text
    assert upstream.bodies[-1]["prompt"] == prompt


async def test_a_conversation_grows_turn_by_turn(served: Served, upstream: Upstream) -> None:
    """A client that keeps its history: each answer goes back with the next question, as it came."""
    messages: list[dict[str, Any]] = [{"role": "system", "content": "Be brief."}]
    for turn in range(12):
        messages.append(user(f"question {turn}"))
        answer = (await served.http.post("/v1/chat/completions", json={"model": "auto", "messages": messages})).json()
        messages.append(answer["choices"][0]["message"])
    assert upstream.bodies[-1]["messages"] == messages[:-1]


async def test_escapes_and_spacing_of_the_json_do_not_matter(served: Served, upstream: Upstream) -> None:
    body = json.dumps({"model": "auto", "messages": [user("Grüße 🎉")]}, indent=4, ensure_ascii=True)
    answer = await served.http.post(
        "/v1/chat/completions", content=f"\n{body}\n", headers={"content-type": "application/json; charset=utf-8"}
    )
    assert answer.status_code == 200
    assert upstream.bodies[-1]["messages"][0]["content"] == "Grüße 🎉"
