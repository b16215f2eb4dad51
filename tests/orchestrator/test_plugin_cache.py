"""Answers given before, over HTTP: what is shared, what never is, and that a hit is an answer like any other."""

from pathlib import Path
from typing import Any

import numpy as np
import orjson
import pytest

from orchestrator.answer_cache import AnswerCache
from orchestrator.rewriting import Gathered
from tests.fakes import Upstream, chunks_of, text_of
from tests.scripted import Clock
from tests.serving import Served, serving

POLICY = """
experts:
  ok: {{backend: openai, url: "{url}", model: ok}}
  cut: {{backend: openai, url: "{url}", model: cut}}
signals: {{broken: {{type: keyword, any: [broken]}}}}
decisions:
  - {{name: broken, when: broken, use: cut, plugins: [cache]}}
  - {{name: rest, use: ok, plugins: [{{type: cache, semantic: false}}]}}
"""


async def asked(served: Served, text: str = "hello", **more: Any) -> str:
    answer = await served.chat(text, **more)
    return answer.headers["x-madrigal-cache"]


async def test_the_same_request_is_answered_once(tmp_path: Path) -> None:
    async with Upstream().running() as upstream, serving(POLICY.format(url=upstream.url), tmp_path) as served:
        first = await served.chat("hello")
        second = await served.chat("hello")
        assert (first.headers["x-madrigal-cache"], second.headers["x-madrigal-cache"]) == ("miss", "hit")
        assert len(upstream.bodies) == 1
        one, two = first.json(), second.json()
        assert one["choices"] == two["choices"]
        assert one["id"] != two["id"]
        assert two["usage"]["total_tokens"] == 0
        assert second.headers["x-madrigal-expert"] == "ok"
        assert second.headers["x-madrigal-attempts"] == "0"


@pytest.mark.parametrize("first", [False, True])
@pytest.mark.parametrize("usage", [False, True])
async def test_a_hit_streams_and_a_stream_is_kept(tmp_path: Path, first: bool, usage: bool) -> None:
    options: dict[str, Any] = {"stream": True, "stream_options": {"include_usage": usage}}
    async with Upstream().running() as upstream, serving(POLICY.format(url=upstream.url), tmp_path) as served:
        await served.chat("hello", stream=first)
        hit = await served.chat("hello", **options)
    assert hit.headers["x-madrigal-cache"] == "hit"
    assert text_of(hit.content) == " one two three"
    assert hit.content.endswith(b"data: [DONE]\n\n")
    chunks = chunks_of(hit.content)
    assert chunks[0]["choices"][0]["delta"]["role"] == "assistant"
    assert [c["choices"][0]["finish_reason"] for c in chunks if c["choices"]] == [None, "stop"]
    assert bool(chunks[-1].get("usage")) is usage
    assert {c["object"] for c in chunks} == {"chat.completion.chunk"}


@pytest.mark.parametrize(
    "other",
    [
        {"temperature": 0.5},
        {"max_tokens": 5},
        {"response_format": {"type": "json_object"}},
        {"tools": [{"type": "function", "function": {"name": "f", "parameters": {"type": "object"}}}]},
        {"messages": [{"role": "system", "content": "Be rude."}, {"role": "user", "content": "hello"}]},
        {
            "messages": [
                {"role": "user", "content": "a"},
                {"role": "assistant", "content": "b"},
                {"role": "user", "content": "hello"},
            ]
        },
        {"model": "ok"},
    ],
)
async def test_anything_that_changes_the_answer_is_another_request(tmp_path: Path, other: dict[str, Any]) -> None:
    async with Upstream().running() as upstream, serving(POLICY.format(url=upstream.url), tmp_path) as served:
        await served.chat("hello")
        await served.chat("hello", **other)
        assert len(upstream.bodies) == 2


async def test_tenants_share_nothing(tmp_path: Path) -> None:
    async with Upstream().running() as upstream, serving(POLICY.format(url=upstream.url), tmp_path) as served:
        tokens = []
        for name in ("one", "two"):
            _, token = await served.service.keys.create(name, tenant=name)
            tokens.append(token)
        body = {"model": "auto", "messages": [{"role": "user", "content": "hello"}]}
        seen = [
            (await served.http.post("/v1/chat/completions", json=body, headers={"authorization": f"Bearer {token}"}))
            for token in (*tokens, *tokens)
        ]
        assert [answer.headers["x-madrigal-cache"] for answer in seen] == ["miss", "miss", "hit", "hit"]


async def test_half_an_answer_is_not_kept(tmp_path: Path) -> None:
    async with Upstream().running() as upstream, serving(POLICY.format(url=upstream.url), tmp_path) as served:
        await served.chat("broken", stream=True)
        assert await asked(served, "broken", stream=True) == "miss"


NEAR = """
experts: {{ok: {{backend: openai, url: "{url}", model: ok}}}}
decisions: [{{name: rest, use: ok, plugins: [cache]}}]
"""


async def test_other_words_for_the_same_are_a_near_hit_and_the_opposite_is_none(tmp_path: Path) -> None:
    async with Upstream().running() as upstream, serving(NEAR.format(url=upstream.url), tmp_path) as served:
        assert await asked(served, "How do I enable two-factor authentication?") == "miss"
        assert await asked(served, "How do I disable two-factor authentication?") == "miss"
        assert await asked(served, "how do i enable two factor authentication") == "near"


VECTOR = np.array([1.0, 0.0], np.float32)


def cache(**more: Any) -> tuple[AnswerCache, Clock]:
    clock = Clock()
    return AnswerCache(**{"ttl_s": 10.0, "most_entries": 3, "most_bytes": 100, "clock": clock, **more}), clock


async def test_what_has_died_is_no_neighbour_and_what_is_new_is_one() -> None:
    kept, clock = cache()
    kept.put(b"s", "old", {}, "a", 10, VECTOR)
    assert kept.near(b"s", "q", VECTOR, 0.9, lambda one, other: True) is not None
    await clock.advance(6)
    kept.put(b"s", "new", {}, "a", 10, VECTOR)
    await clock.advance(6)
    hit = kept.near(b"s", "q", VECTOR, 0.9, lambda one, other: True)
    assert hit is not None and hit.entry.question == "new"
    await clock.advance(6)
    assert kept.near(b"s", "q", VECTOR, 0.9, lambda one, other: True) is None
    assert (len(kept), kept.size, kept._stacks) == (0, 0, {})


async def test_an_answer_dies_of_age() -> None:
    kept, clock = cache()
    kept.put(b"s", "q", {}, "a", 10, VECTOR)
    await clock.advance(9)
    assert kept.exact(b"s", "q") is not None
    await clock.advance(1)
    assert kept.exact(b"s", "q") is None
    assert (len(kept), kept.size) == (0, 0)


def test_the_one_unused_for_longest_makes_room() -> None:
    kept, _ = cache()
    for name in "abc":
        kept.put(b"s", name, {}, "x", 10, None)
    kept.exact(b"s", "a")
    kept.put(b"s", "d", {}, "x", 10, None)
    assert [name for name in "abcd" if kept.exact(b"s", name)] == ["a", "c", "d"]
    kept.put(b"s", "big", {}, "x", 95, None)
    assert kept.size <= 100
    kept.put(b"s", "bigger", {}, "x", 101, None)
    assert kept.exact(b"s", "bigger") is None and kept.exact(b"s", "big") is not None


def test_the_nearest_that_asks_the_same_wins_within_its_scope() -> None:
    kept, _ = cache()
    kept.put(b"s", "opposite", {}, "x", 1, VECTOR)
    kept.put(b"s", "same", {}, "y", 1, np.array([0.95, 0.312], np.float32))
    hit = kept.near(b"s", "q", VECTOR, 0.9, lambda one, other: one != "opposite")
    assert hit is not None and hit.entry.question == "same"
    assert kept.near(b"s", "q", VECTOR, 0.96, lambda one, other: one != "opposite") is None
    assert kept.near(b"t", "q", VECTOR, 0.0, lambda one, other: True) is None


async def test_a_text_that_looks_like_a_message_of_parts_is_another_question(tmp_path: Path) -> None:
    parts = {"role": "user", "content": [{"type": "text", "text": "hello"}]}
    async with Upstream().running() as upstream, serving(POLICY.format(url=upstream.url), tmp_path) as served:
        assert await asked(served, orjson.dumps(parts).decode()) == "miss"
        assert await asked(served, messages=[parts]) == "miss"


ROLES = """
experts:
  near: {{backend: openai, url: "{url}", model: near, local: true}}
  far: {{backend: openai, url: "{url}", model: far, local: false}}
signals: {{guest: {{type: role, roles: [guest]}}}}
constraints: [{{when: guest, require: {{local: true}}}}]
decisions: [{{name: rest, use: [far, near], plugins: [{{type: cache, semantic: false}}]}}]
"""


async def test_an_answer_of_an_expert_that_a_caller_may_not_reach_is_no_hit(tmp_path: Path) -> None:
    async with Upstream().running() as upstream, serving(ROLES.format(url=upstream.url), tmp_path) as served:
        seen = []
        for name in ("member", "guest"):
            _, token = await served.service.keys.create(name, roles=[name])
            body = {"model": "auto", "messages": [{"role": "user", "content": "hello"}]}
            answer = await served.http.post(
                "/v1/chat/completions", json=body, headers={"authorization": f"Bearer {token}"}
            )
            seen.append((answer.headers["x-madrigal-cache"], answer.headers["x-madrigal-expert"]))
        assert seen == [("miss", "far"), ("miss", "near")]


async def test_log_probabilities_are_told_once_in_a_stream() -> None:
    choice = {"index": 0, "message": {"role": "assistant", "content": "a"}, "logprobs": {"content": [{"token": "a"}]}}
    wire = {"object": "chat.completion", "choices": [{**choice, "finish_reason": "stop"}]}
    blocks = [block async for block in Gathered.of(wire, expert="a", ask_usage=False)]
    assert b"".join(blocks).count(b'"token"') == 1
