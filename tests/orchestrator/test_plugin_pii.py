"""Masked on the way to experts elsewhere, restored on the way back: over HTTP, and the rewriter alone, letter by letter."""

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.plugins.pii import Restore
from tests.fakes import Upstream, text_of
from tests.serving import serving

POLICY = """
experts:
  far: {{backend: openai, url: "{url}", model: ok, local: false}}
  near: {{backend: openai, url: "{url}", model: ok, local: true}}
signals: {{home: {{type: keyword, any: [home]}}}}
decisions:
  - {{name: home, when: home, use: near, plugins: [pii]}}
  - {{name: several, when: home, use: near}}
  - {{name: rest, use: far, plugins: [{{type: pii, kinds: [email, card]}}]}}
"""

TEXT = "Write to ada@example.org, not to bob@example.org; ada@example.org is right. Card 4111 1111 1111 1111."


@pytest.mark.parametrize("stream", [False, True])
async def test_a_remote_expert_gets_placeholders_and_the_client_its_values(tmp_path: Path, stream: bool) -> None:
    words = ("I wrote to [EMA", "IL_1] and", " [email_2", "]. [CARD_1] [EMAIL_3] [")
    async with Upstream(words).running() as upstream, serving(POLICY.format(url=upstream.url), tmp_path) as served:
        answer = await served.chat(TEXT, stream=stream)
        sent = upstream.bodies[-1]["messages"]
    assert sent[-1]["content"] == "Write to [EMAIL_1], not to [EMAIL_2]; [EMAIL_1] is right. Card [CARD_1]."
    assert "[EMAIL_1]" in sent[0]["content"] and sent[0]["role"] == "system"
    text = text_of(answer.content) if stream else answer.json()["choices"][0]["message"]["content"]
    assert text == "I wrote to ada@example.org and bob@example.org. 4111 1111 1111 1111 [EMAIL_3] ["


async def test_one_that_keeps_the_text_here_reads_it_as_it_is(tmp_path: Path) -> None:
    async with Upstream().running() as upstream, serving(POLICY.format(url=upstream.url), tmp_path) as served:
        await served.chat(f"home: {TEXT}")
        assert upstream.bodies[-1]["messages"] == [{"role": "user", "content": f"home: {TEXT}"}]


async def test_tool_calls_and_parts_are_masked_too_and_names_of_fields_are_not(tmp_path: Path) -> None:
    call = {"id": "c1", "type": "function", "function": {"name": "mail", "arguments": '{"to": "ada@example.org"}'}}
    messages: list[Any] = [
        {"role": "user", "content": [{"type": "text", "text": "mail ada@example.org"}]},
        {"role": "assistant", "content": None, "tool_calls": [call]},
        {"role": "tool", "tool_call_id": "c1", "content": "sent to ada@example.org"},
    ]
    async with Upstream().running() as upstream, serving(POLICY.format(url=upstream.url), tmp_path) as served:
        await served.http.post("/v1/chat/completions", json={"model": "auto", "messages": messages})
        sent = json.dumps(upstream.bodies[-1]["messages"])
    assert "ada@" not in sent
    assert sent.count("[EMAIL_1]") == 4  # three of the client's, one that explains
    assert '"name": "mail"' in sent


async def test_a_text_that_looks_like_a_placeholder_stays_what_it_was(tmp_path: Path) -> None:
    words = ("[EMAIL_1] [EMAIL_2]",)
    async with Upstream(words).running() as upstream, serving(POLICY.format(url=upstream.url), tmp_path) as served:
        answer = await served.chat("What does [EMAIL_1] mean? Ask ada@example.org.")
        assert upstream.bodies[-1]["messages"][-1]["content"] == "What does [EMAIL_1] mean? Ask [EMAIL_2]."
    assert answer.json()["choices"][0]["message"]["content"] == "[EMAIL_1] ada@example.org"


async def test_who_asks_is_masked_where_the_body_says_so(tmp_path: Path) -> None:
    async with Upstream().running() as upstream, serving(POLICY.format(url=upstream.url), tmp_path) as served:
        thought = {"role": "assistant", "content": "Yes.", "reasoning_content": "It is ada@example.org who asks."}
        messages = [{"role": "user", "content": "Hello"}, thought, {"role": "user", "content": "Go on"}]
        more = {"user": "ada@example.org", "metadata": {"who": "ada@example.org"}}
        body = {"model": "auto", "messages": messages, **more}
        assert (await served.http.post("/v1/chat/completions", json=body)).status_code == 200
        assert "ada@" not in json.dumps(upstream.bodies[-1])


VALUES = {"[EMAIL_1]": "ada@example.org", "[EMAIL_12]": "b@example.org", "[NAME_1]": 'O"Neil'}


@given(
    st.lists(st.sampled_from([*VALUES, "[", "]", "[EMAIL_", "[EMAIL_1", "text ", "1]", "[email_12]"]), max_size=12),
    st.integers(1, 7),
)
def test_pieces_of_any_length_give_what_the_whole_gives(parts: list[str], size: int) -> None:
    text = "".join(parts)
    whole = Restore(VALUES)
    expected = whole.feed(text) + whole.end()
    pieces = Restore(VALUES)
    given = "".join(pieces.feed(text[at : at + size]) for at in range(0, len(text), size)) + pieces.end()
    assert given == expected


def test_inside_json_values_are_escaped() -> None:
    restore = Restore(VALUES, as_json=True)
    assert json.loads(restore.feed('{"who": "[NAME_1]"}') + restore.end()) == {"who": 'O"Neil'}
