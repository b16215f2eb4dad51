"""The memory of conversations, and that served conversations stay with their expert."""

import json
from pathlib import Path
from typing import Any

from typer.testing import CliRunner

from orchestrator.cli import build
from orchestrator.sessions import Sessions
from router.prompt import Prompt
from router.session import Previous
from router.spec import SessionSpec
from tests.fakes import Upstream
from tests.serving import serving

SPEC = SessionSpec(ttl_s=60)


class Hand:
    """A clock moved by hand."""

    now = 0.0

    def __call__(self) -> float:
        return self.now


def turns(*texts: str) -> Prompt:
    roles = ("user", "assistant")
    messages = [{"role": roles[i % 2], "content": text} for i, text in enumerate(texts)]
    return Prompt.from_chat({"messages": messages}, user="mia")


def test_a_conversation_is_known_by_what_it_holds() -> None:
    sessions = Sessions()
    sessions.remember(turns("write a parser"), "auto", Previous("coder", "code"), SPEC)
    assert sessions.recall(turns("write a parser", "done", "commit it"), "auto") == Previous("coder", "code")
    assert sessions.recall(turns("write a novel", "done", "commit it"), "auto") is None
    assert sessions.recall(turns("write a parser"), "auto") is None, "nobody has answered in it"


def test_it_forgets_with_time_and_what_is_unused_for_longest() -> None:
    clock = Hand()
    sessions = Sessions(most=2, clock=clock)
    for text in ("one", "two", "three"):
        sessions.remember(turns(text), "auto", Previous(text), SPEC)
    assert len(sessions) == 2
    assert sessions.recall(turns("one", "", "x"), "auto") is None
    assert sessions.recall(turns("two", "", "x"), "auto") == Previous("two")
    clock.now = 60
    assert sessions.recall(turns("two", "", "x"), "auto") is None
    assert len(sessions) == 1


def test_a_policy_without_sessions_remembers_nothing() -> None:
    sessions = Sessions()
    sessions.remember(turns("one"), "auto", Previous("a"), SessionSpec(tool_loops=False, follow_up_tokens=0))
    assert len(sessions) == 0


POLICY = """\
experts:
  coder: {backend: openai, url: "http://127.0.0.1:1/v1", model: ok}
  small: {backend: openai, url: "http://127.0.0.1:1/v1", model: ok}
signals:
  code: {type: keyword, any: [parser], scope: last}
decisions:
  - {name: code, when: code, use: [coder]}
  - {name: rest, use: [small]}
"""


def test_policies_can_state_it_in_their_cases(tmp_path: Path) -> None:
    file, cases = tmp_path / "m.yaml", tmp_path / "cases.jsonl"
    file.write_text(POLICY)
    messages = [
        {"role": "user", "content": "write a parser"},
        {"role": "assistant", "content": "done"},
        {"role": "user", "content": "commit it"},
    ]
    rows: list[dict[str, Any]] = [
        {"messages": messages, "decision": "rest"},
        {"messages": messages, "previous": "coder", "decision": "code", "expert": "coder"},
        {"messages": messages, "previous": {"expert": "coder", "decision": "code"}, "decision": "code"},
        {"messages": messages[:1], "previous": "small", "decision": "code"},
    ]
    cases.write_text("\n".join(map(json.dumps, rows)))
    done = CliRunner().invoke(build(), ["policy", "test", str(cases), "--config", str(file)])
    assert done.exit_code == 0, done.output


async def test_a_served_conversation_stays_and_constraints_still_hold(tmp_path: Path) -> None:
    async with Upstream().running() as upstream:
        text = POLICY.replace("http://127.0.0.1:1/v1", upstream.url)
        text += "constraints: [{when: rude, refuse: Please be polite.}]\n"
        text = text.replace("decisions:", "  rude: {type: keyword, any: [damn], scope: last}\ndecisions:")
        async with serving(text, tmp_path) as served:

            async def ask(*texts: str, **more: Any) -> str:
                roles = ("user", "assistant")
                messages = [{"role": roles[i % 2], "content": text} for i, text in enumerate(texts)]
                body = {"model": "auto", "messages": messages, **more}
                answer = await served.http.post("/v1/chat/completions", json=body)
                assert answer.status_code == 200, answer.text
                return answer.headers["x-madrigal-decision"]

            assert await ask("hello", "hi", "commit it") == "rest", "nothing is known of this conversation"
            assert await ask("write a parser") == "code"
            assert await ask("write a parser", "done", "commit it") == "code"
            assert await ask("write a parser", "done", "commit it", "done", "and push", stream=True) == "code"
            assert await ask("write a parser", "done", "damn") == "refused"
            assert await ask("write a parser", "done", "Who wrote the Divine Comedy, and when was that?") == "rest"
