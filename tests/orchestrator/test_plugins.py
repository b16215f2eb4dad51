"""Every file of plugins/ keeps the folder's contract; the chain runs in its order; the small plugins do as they say."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from experts import registry
from experts.call import Answer, Call
from experts.errors import ConfigError
from orchestrator.caller import ANONYMOUS
from orchestrator.chain import Chain, Link
from orchestrator.config import parse_config
from orchestrator.plugins import ORDER, Kit, Plugin, Turn, ordered
from orchestrator.request import Text
from router.prompt import Prompt
from tests.deliberating import said
from tests.fakes import Upstream
from tests.serving import serving

NAMES = registry.known("orchestrator.plugins")


def turn(body: Mapping[str, Any], **more: Any) -> Turn:
    """A request on its way in; nothing of its route is looked at."""
    call = Call("chat/completions", body)
    told: dict[str, Any] = {"created": 1, "ask_usage": False, "model": "auto", "key": ANONYMOUS, "experts": ["a"]}
    missing: Any = None
    told |= {"route": missing, "judge": missing, "again": missing, "prompt": Prompt.from_chat(body), **more}
    return Turn(call=call, **told)


async def entered(name: str, params: Mapping[str, Any], body: Mapping[str, Any], kit: Kit = Kit()) -> Turn:
    """The request after one plugin."""
    file = registry.load("orchestrator.plugins", name)
    made = turn(body)
    assert await file.build(file.Params(**params), kit).enter(made) is None
    return made


def user(text: str) -> dict[str, Any]:
    return {"role": "user", "content": text}


@pytest.mark.parametrize("name", NAMES)
def test_every_plugin_keeps_the_contract(name: str) -> None:
    file = registry.load("orchestrator.plugins", name)
    assert name in ORDER, "its place in the chain is written down"
    assert file.Params.model_config["frozen"] and file.Params.model_config["extra"] == "forbid"
    assert all(field.description for field in file.Params.model_fields.values())
    assert isinstance(file.build(file.Params(**file.EXAMPLE), Kit()), Plugin)
    assert file.__doc__ and file.Params.__doc__ and file.build.__doc__


def test_the_order_is_fixed_and_own_plugins_keep_theirs() -> None:
    written = ["cache", "mine", "pii", "reply", "yours", "rag"]
    assert [written[at] for at in ordered(written)] == ["reply", "rag", "mine", "yours", "cache", "pii"]


class Told(Plugin):
    """Writes down when it is asked; answers where it is told to."""

    def __init__(self, name: str, log: list[str], answers: bool = False, breaks: bool = False) -> None:
        self.name, self.log, self.answers, self.breaks = name, log, answers, breaks

    async def enter(self, turn: Turn) -> Answer | None:
        self.log.append(f"{self.name} in")
        return fixed(self.name) if self.answers else None

    async def leave(self, turn: Turn, answer: Answer) -> Answer:
        self.log.append(f"{self.name} out")
        if self.breaks:
            raise RuntimeError("broken")
        return answer


class Closing(Text):
    closed = False

    async def aclose(self) -> None:
        self.closed = True


def fixed(text: str) -> Closing:
    return Closing(text, call=Call("chat/completions", {}), model="m", created=1, ask_usage=False)


async def test_in_on_the_way_to_the_experts_and_out_in_reverse() -> None:
    log: list[str] = []
    chain = Chain([Link(name, at, Told(name, log)) for at, name in enumerate("abc")])

    async def ask() -> Answer:
        log.append("experts")
        return fixed("experts")

    await chain.run(turn({}), (0, 2), ask)
    assert log == ["a in", "c in", "experts", "c out", "a out"]


async def test_one_that_answers_ends_the_way_in_and_those_before_it_see_the_answer() -> None:
    log: list[str] = []
    chain = Chain([Link(name, at, Told(name, log, answers=name == "b")) for at, name in enumerate("abc")])

    async def ask() -> Answer:
        raise AssertionError("no expert is asked")

    assert await said(await chain.run(turn({}), (0, 1, 2), ask)) == "b"
    assert log == ["a in", "b in", "a out"]


async def test_an_answer_is_closed_where_a_plugin_fails_on_the_way_out() -> None:
    answer = fixed("x")
    chain = Chain([Link("a", 0, Told("a", [], breaks=True))])

    async def ask() -> Answer:
        return answer

    with pytest.raises(RuntimeError, match="broken"):
        await chain.run(turn({}), (0,), ask)
    assert answer.closed


@pytest.mark.parametrize(
    ("mode", "messages", "expected"),
    [
        ("insert", [user("hi")], [{"role": "system", "content": "S"}, user("hi")]),
        (
            "insert",
            [{"role": "system", "content": "own"}, user("hi")],
            [{"role": "system", "content": "own"}, user("hi")],
        ),
        (
            "replace",
            [{"role": "developer", "content": "own"}, user("hi")],
            [{"role": "system", "content": "S"}, user("hi")],
        ),
        ("append", [{"role": "system", "content": "own"}], [{"role": "system", "content": "own\n\nS"}]),
        (
            "append",
            [{"role": "system", "content": [{"type": "text", "text": "own"}]}],
            [{"role": "system", "content": [{"type": "text", "text": "own"}, {"type": "text", "text": "S"}]}],
        ),
        ("append", [user("hi")], [{"role": "system", "content": "S"}, user("hi")]),
    ],
)
async def test_system_prompt(mode: str, messages: list[Any], expected: list[Any]) -> None:
    body = {"messages": messages}
    assert (await entered("system_prompt", {"text": "S", "mode": mode}, body)).messages == expected
    assert body == {"messages": messages}, "the client's own body is never changed"


@pytest.mark.parametrize(
    ("params", "body", "expected"),
    [
        ({"defaults": {"temperature": 0.2}}, {}, {"temperature": 0.2}),
        ({"defaults": {"temperature": 0.2}}, {"temperature": 1}, {"temperature": 1}),
        ({"force": {"temperature": 0}}, {"temperature": 1}, {"temperature": 0}),
        ({"force": {"seed": None}}, {"seed": 4}, {}),
        ({"cap": {"max_tokens": 100}}, {"max_completion_tokens": 500}, {"max_completion_tokens": 100}),
        ({"cap": {"max_tokens": 100}}, {"max_tokens": 50}, {"max_tokens": 50}),
        ({"cap": {"max_tokens": 100}}, {"max_tokens": 5, "max_completion_tokens": 500}, {"max_tokens": 5}),
        ({"cap": {"max_tokens": 100}}, {}, {"max_tokens": 100}),
        ({"cap": {"temperature": 0.5}}, {"temperature": 0.9}, {"temperature": 0.5}),
        ({"cap": {"temperature": 0.5}}, {}, {}),
    ],
)
async def test_params(params: Any, body: dict[str, Any], expected: dict[str, Any]) -> None:
    assert dict((await entered("params", params, body)).call.body) == expected


TOOLS = [
    {"type": "function", "function": {"name": name, "description": about}}
    for name, about in (("delete_file", "Delete a file"), ("get_weather", "The weather"), ("get_time", "The time"))
]


async def test_tools_are_allowed_and_dropped_by_name() -> None:
    body = {"messages": [user("x")], "tools": TOOLS, "tool_choice": "auto"}
    names = [t["function"]["name"] for t in (await entered("tools", {"drop": ["delete_*"]}, body)).call.body["tools"]]
    assert names == ["get_weather", "get_time"]
    none = (await entered("tools", {"allow": ["nothing"]}, body)).call
    assert set(none.body) == {"messages"}
    assert "tools" not in none.needs


class Axes:
    """Each text is the axis of the first of its words that is known."""

    async def embed(self, texts: Any) -> Any:
        known = ("weather", "time", "file")
        rows = np.zeros((len(texts), 4), np.float32)
        for row, text in zip(rows, texts, strict=True):
            row[next((at for at, word in enumerate(known) if word in text.lower()), 3)] = 1
        return rows


async def test_tools_nearest_to_the_question_are_kept_and_those_in_use() -> None:
    kit = Kit(embedder=Axes())  # type: ignore[arg-type]
    body: dict[str, Any] = {"messages": [user("What time is it?")], "tools": TOOLS}
    (kept,) = (await entered("tools", {"most": 1}, body, kit)).call.body["tools"]
    assert kept["function"]["name"] == "get_time"
    call = {"id": "1", "type": "function", "function": {"name": "delete_file", "arguments": "{}"}}
    body["messages"] = [user("x"), {"role": "assistant", "tool_calls": [call]}, user("What time is it?")]
    (kept,) = (await entered("tools", {"most": 1}, body, kit)).call.body["tools"]
    assert kept["function"]["name"] == "delete_file"


async def test_a_long_history_loses_its_middle_and_keeps_tool_pairs_whole() -> None:
    call = {"id": "1", "type": "function", "function": {"name": "f", "arguments": "{}"}}
    messages = [
        {"role": "system", "content": "be brief"},
        user("first question"),
        {"role": "assistant", "content": "first answer"},
        user("old " * 200),
        {"role": "assistant", "tool_calls": [call]},
        {"role": "tool", "tool_call_id": "1", "content": "result " * 200},
        {"role": "assistant", "content": "old answer"},
        user("last but one"),
        {"role": "assistant", "content": "answer"},
        user("last question"),
    ]
    kept = (await entered("compress", {"tokens": 100}, {"messages": messages})).messages
    assert [message["role"] for message in kept] == ["system", "user", "assistant", "user", "assistant", "user"]
    assert kept[0]["content"].startswith("be brief") and "4 messages" in kept[0]["content"]
    assert kept[1:] == [*messages[1:3], *messages[7:]]
    assert (await entered("compress", {"tokens": 10_000}, {"messages": messages})).messages == messages


@pytest.mark.parametrize(
    ("name", "params"),
    [
        ("params", {}),
        ("params", {"force": {"model": "x"}}),
        ("headers", {"to_expert": {"Authorization": "x"}}),
        ("headers", {"to_expert": {"x-a": "a\nb"}}),
        ("headers", {"to_client": {"content-type": "x"}}),
        ("headers", {"to_client": {"x-madrigal-expert": "x"}}),
        ("tools", {}),
        ("reply", {"text": ""}),
        ("system_prompt", {"text": "x", "mode": "prepend"}),
    ],
)
def test_wrong_parameters_are_refused(name: str, params: dict[str, Any]) -> None:
    with pytest.raises(ValueError):
        registry.load("orchestrator.plugins", name).Params(**params)


OWN_PLUGIN = """
from dataclasses import replace
from experts.spec import Frozen
from orchestrator.plugins import Plugin
from pydantic import Field

class Params(Frozen):
    word: str = Field("please", description="what is added")

def build(params, kit):
    return Polite(params)

class Polite(Plugin):
    def __init__(self, params):
        self.word = params.word

    async def enter(self, turn):
        *rest, last = turn.messages
        last = {**last, "content": f"{last['content']} {self.word}"}
        turn.call = replace(turn.call, body={**turn.call.body, "messages": [*rest, last]})
        return None
"""

SERVED = """
experts:
  ok: {{backend: openai, url: "{url}", model: ok}}
signals:
  closed: {{type: keyword, any: [closed]}}
  rude: {{type: keyword, any: [now]}}
  several: {{type: keyword, any: [several]}}
plugins: {{folder: own}}
decisions:
  - {{name: closed, when: closed, use: ok, plugins: [{{type: reply, text: Closed.}}]}}
  - name: several
    when: several
    use: ok
    strategy: {{type: self_moa, samples: 2}}
    plugins: [{{type: headers, to_expert: {{x-batch: "1"}}}}]
  - name: rest
    use: ok
    plugins:
      - {{type: polite, when: rude}}
      - {{type: headers, to_expert: {{x-batch: "1"}}, to_client: {{x-note: hello}}}}
      - {{type: system_prompt, text: Be kind.}}
"""


async def test_plugins_over_http_with_one_of_the_users_own(tmp_path: Path) -> None:
    (tmp_path / "own").mkdir()
    (tmp_path / "own" / "polite.py").write_text(OWN_PLUGIN)
    async with Upstream().running() as upstream, serving(SERVED.format(url=upstream.url), tmp_path) as served:
        closed = await served.chat("are you closed?")
        assert closed.json()["choices"][0]["message"]["content"] == "Closed."
        assert closed.headers["x-madrigal-attempts"] == "0"
        assert upstream.bodies == []
        answer = await served.chat("tell me now", stream=True)
        assert answer.headers["x-note"] == "hello"
        assert upstream.headers[-1]["x-batch"] == "1"
        assert upstream.bodies[-1]["messages"] == [
            {"role": "system", "content": "Be kind."},
            {"role": "user", "content": "tell me now please"},
        ]
        await served.chat("tell me")
        assert upstream.bodies[-1]["messages"][-1]["content"] == "tell me"


async def test_headers_go_with_every_call_of_a_strategy(tmp_path: Path) -> None:
    (tmp_path / "own").mkdir()
    (tmp_path / "own" / "polite.py").write_text(OWN_PLUGIN)
    async with Upstream().running() as upstream, serving(SERVED.format(url=upstream.url), tmp_path) as served:
        await served.chat("several voices")
        assert [headers.get("x-batch") for headers in upstream.headers] == ["1", "1", "1"]


NARROWING = """
from experts.spec import Frozen
from orchestrator.plugins import Plugin

class Params(Frozen):
    pass

def build(params, kit):
    return Narrow()

class Narrow(Plugin):
    async def enter(self, turn):
        turn.experts.remove("far")
        return None
"""

NARROWED = """
experts:
  near: {{backend: openai, url: "{url}", model: near}}
  far: {{backend: openai, url: "{url}", model: far}}
plugins: {{folder: own}}
decisions:
  - {{name: rest, use: [near, far], strategy: {{type: self_moa, samples: 2, aggregator: far}}, plugins: [narrow]}}
"""


async def test_an_expert_that_a_plugin_took_out_is_not_asked_by_its_name_either(tmp_path: Path) -> None:
    (tmp_path / "own").mkdir()
    (tmp_path / "own" / "narrow.py").write_text(NARROWING)
    async with Upstream().running() as upstream, serving(NARROWED.format(url=upstream.url), tmp_path) as served:
        assert (await served.chat("hello")).status_code == 200
        assert [body["model"] for body in upstream.bodies] == ["near", "near", "near"]


@pytest.mark.parametrize(
    ("code", "told"),
    [
        ("import nothing_there", "ModuleNotFoundError"),
        ("x = 1", "a plugin holds a class Params"),
    ],
)
def test_an_own_plugin_that_cannot_run_is_told_when_the_policy_is_checked(tmp_path: Path, code: str, told: str) -> None:
    (tmp_path / "own").mkdir()
    (tmp_path / "own" / "polite.py").write_text(code)
    text = SERVED.format(url="http://127.0.0.1:1/v1")
    with pytest.raises(ConfigError, match=told) as raised:
        parse_config(text, str(tmp_path / "madrigal.yaml"))
    assert "polite" in str(raised.value)


def test_a_missing_folder_and_a_wrong_expression_are_told(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no such folder"):
        parse_config("plugins: {folder: gone}", str(tmp_path / "madrigal.yaml"))
    text = "decisions: [{use: general, plugins: [{type: reply, text: x, when: nothing}]}]"
    with pytest.raises(ConfigError, match="unknown signal 'nothing'"):
        parse_config(text, str(tmp_path / "madrigal.yaml"))
