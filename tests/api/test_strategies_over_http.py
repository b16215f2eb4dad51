"""Strategies asked for by name or policy, through the real application: who is asked, headers, usage, trace, records."""

from collections.abc import AsyncIterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from orchestrator.store.models import calls, requests
from tests.fakes import Upstream, chunks_of, text_of
from tests.serving import Served, serving

SAID = " The answer is 7."


@pytest.fixture
async def upstream() -> AsyncIterator[Upstream]:
    async with Upstream((" The", " answer is", " 7.")).running() as server:
        yield server


def config(upstream: Upstream, models: Sequence[str] = ("ok", "fine"), decision: str = "", more: str = "") -> str:
    """Experts e0, e1 … whose models are those of the scripted server; `decision` are further keys of the only one."""
    experts = "\n".join(
        f'  e{i}: {{backend: openai, url: "{upstream.url}", model: "{model}", local: {str(i == 0).lower()}}}'
        for i, model in enumerate(models)
    )
    names = ", ".join(f"e{i}" for i in range(len(models)))
    return (
        f"experts:\n{experts}\ndecisions:\n  - {{name: rest, use: [{names}]{decision}}}\n"
        f"fallback: {{backoff_s: 0.01}}\n{more}"
    )


@pytest.fixture
async def served(upstream: Upstream, tmp_path: Path) -> AsyncIterator[Served]:
    async with serving(config(upstream), tmp_path) as served:
        yield served


async def rows(served: Served, table: sa.Table) -> Sequence[Mapping[str, Any]]:
    await served.service.recorder.flush()
    async with served.service.store.engine.connect() as connection:
        return (await connection.execute(sa.select(table))).mappings().all()


async def test_a_strategy_by_name_is_told_recorded_and_counted(served: Served, upstream: Upstream) -> None:
    answer = await served.chat("What is 3 + 4?", model="auto+self_moa", madrigal={"trace": True})
    assert answer.status_code == 200
    assert answer.headers["x-madrigal-strategy"] == "self_moa"
    assert answer.headers["x-madrigal-decision"] == "rest"
    assert answer.headers["x-madrigal-attempts"] == "7"
    body = answer.json()
    assert body["choices"][0]["message"]["content"] == SAID
    assert (body["usage"]["prompt_tokens"], body["usage"]["completion_tokens"]) == (7 * 7, 7 * 3)
    made = body["madrigal"]["attempts"]
    assert [attempt["role"] for attempt in made] == ["sample"] * 6 + ["aggregate"]
    assert [attempt["outcome"] for attempt in made] == ["ok"] * 6 + ["open"], "the trace is in the answer itself"
    assert [body["model"] for body in upstream.bodies] == ["ok"] * 7

    (request,) = await rows(served, requests)
    assert (request["strategy"], request["prompt_tokens"], request["completion_tokens"]) == ("self_moa", 49, 21)
    recorded = await rows(served, calls)
    assert len(recorded) == 7 and sum(row["completion_tokens"] for row in recorded) == 21


async def test_an_experts_strategy_asks_that_expert_alone(served: Served, upstream: Upstream) -> None:
    answer = await served.chat("What is 3 + 4?", model="e1+best_of_n", madrigal={"trace": True})
    assert answer.headers["x-madrigal-decision"] == "direct"
    assert answer.headers["x-madrigal-expert"] == "e1"
    assert {body["model"] for body in upstream.bodies} == {"fine"}
    body = answer.json()
    assert [attempt["role"] for attempt in body["madrigal"]["attempts"]] == ["sample"] * 4 + ["judge"] * 4
    assert body["madrigal"]["notes"] == ["rating: number 1 of 4 (7, 7, 7, 7)"]
    assert body["usage"]["completion_tokens"] == 8 * 3


async def test_an_unknown_strategy_is_no_model(served: Served, upstream: Upstream) -> None:
    answer = await served.chat(model="auto+magic")
    assert answer.status_code == 404
    error = answer.json()["error"]
    assert error["code"] == "model_not_found" and "'magic'" in error["message"] and "self_moa" in error["message"]
    assert (await served.chat(model="nobody+self_moa")).status_code == 404
    assert upstream.bodies == []


@pytest.mark.parametrize("name", ["self_moa", "self_consistency", "best_of_n", "cascade", "fallback", "mcts"])
async def test_every_strategy_streams_as_openai_does(served: Served, name: str) -> None:
    answer = await served.chat(
        "What is 3 + 4?",
        model=f"auto+{name}",
        stream=True,
        stream_options={"include_usage": True},
        madrigal={"trace": True},
    )
    assert answer.status_code == 200 and answer.content.endswith(b"data: [DONE]\n\n")
    assert text_of(answer.content) == SAID
    chunks = chunks_of(answer.content)
    assert len({chunk["id"] for chunk in chunks if "id" in chunk}) == 1
    (usage,) = [chunk["usage"] for chunk in chunks if chunk.get("usage")]
    made = int(answer.headers["x-madrigal-attempts"])
    told = chunks[-1]["madrigal"]["attempts"]
    assert len(told) == made
    finished = [attempt for attempt in told if attempt["outcome"] == "ok"]
    assert usage["completion_tokens"] >= 3 * len(finished)


async def test_a_vote_says_how_it_went(served: Served) -> None:
    body = (await served.chat("What is 3 + 4?", model="auto+self_consistency", madrigal={"trace": True})).json()
    (note,) = body["madrigal"]["notes"]
    assert note.startswith("vote: '7' by ")


@pytest.mark.parametrize(("word", "expert", "made"), [("answer", "e0", "1"), ("doubt", "e1", "2")])
async def test_a_cascade_asks_the_policys_signals_about_the_answer(
    upstream: Upstream, tmp_path: Path, word: str, expert: str, made: str
) -> None:
    decision = ", strategy: {type: cascade, by: verifier, verifier: good}"
    text = config(upstream, decision=decision, more=f"signals: {{good: {{type: keyword, any: [{word}]}}}}\n")
    async with serving(text, tmp_path) as served:
        answer = await served.chat()
        assert answer.headers["x-madrigal-expert"] == expert
        assert answer.headers["x-madrigal-attempts"] == made
        assert answer.json()["choices"][0]["message"]["content"] == SAID


async def test_what_one_expert_says_is_kept_from_another_by_the_constraints(upstream: Upstream, tmp_path: Path) -> None:
    """e0 says what may not leave this machine, and e1, the aggregator, is elsewhere."""
    text = config(
        upstream,
        decision=", strategy: {type: self_moa, samples: 2, aggregator: e1}",
        more="signals: {secret: {type: keyword, any: [answer]}}\nconstraints: [{when: secret, require: {local: true}}]\n",
    )
    async with serving(text, tmp_path) as served:
        body = (await served.chat("What is 3 + 4?", madrigal={"trace": True})).json()
        assert [attempt["role"] for attempt in body["madrigal"]["attempts"]] == ["sample", "sample", "aggregate"]
        assert any("kept from e1" in note for note in body["madrigal"]["notes"])
        (elsewhere,) = [sent for sent in upstream.bodies if sent["model"] == "fine"]
        assert "answer is" not in str(elsewhere["messages"])


@pytest.mark.parametrize("name", ["self_moa", "best_of_n", "cascade", "mcts"])
async def test_an_expert_that_fails_costs_no_answer(upstream: Upstream, tmp_path: Path, name: str) -> None:
    async with serving(config(upstream, ("err-500", "ok")), tmp_path) as served:
        answer = await served.chat(model=f"auto+{name}")
        assert answer.status_code == 200
        assert answer.json()["choices"][0]["message"]["content"] == SAID
