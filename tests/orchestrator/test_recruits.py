"""Strategies of several experts that may agree: symbolic_moe, debate."""

import random
from collections import Counter
from typing import Any

import pytest

from experts.call import Call
from experts.errors import EngineFaultError
from orchestrator.agreement import Tally
from orchestrator.strategies import debate, symbolic_moe
from orchestrator.voice import Voice
from tests.deliberating import Scripted, job, said
from tests.orchestrator.test_layered import blocks

SUM = "What is 6 times 7?"


def by_expert(**replies: str | Exception) -> Scripted:
    """Each expert says always the same; who makes one answer of several says so."""
    attempts = Scripted(lambda expert, call: "")
    attempts.reply = lambda expert, call: (
        f"made by {expert}" if attempts.made[-1].role in ("aggregate", "judge") else replies[expert]
    )
    return attempts


async def run(module: Any, attempts: Scripted, **params: Any) -> tuple[str, list[str]]:
    """(the answer, the notes)"""
    experts = params.pop("experts", ("a", "b", "c"))
    more = params.pop("job", {})
    work = job(attempts.reply, experts, text=SUM, attempts=attempts, **more)
    return await said(await module.run(work, module.Params(**params))), work.notes


async def test_recruits_that_agree_need_no_aggregator() -> None:
    attempts = by_expert(a="It is 42.", b="6 × 7 = 42", c="The answer is 42.")
    answer, notes = await run(symbolic_moe, attempts)
    assert answer == "It is 42."
    assert "recruits agree on '42' by 3 of 3: no aggregation" in notes
    assert [role for _, role, _ in attempts.calls] == ["recruit"] * 3


async def test_recruits_that_do_not_agree_are_put_together_by_the_named_aggregator() -> None:
    attempts = by_expert(a="It is 42.", b="It is 41.", c="It is 42.")
    answer, _ = await run(symbolic_moe, attempts, aggregator="judge")
    assert answer == "made by judge"
    assert blocks(attempts.calls[-1][2]) == ["It is 42.", "It is 41.", "It is 42."]
    always = by_expert(a="It is 42.", b="It is 42.", c="It is 42.")
    assert (await run(symbolic_moe, always, skip=False))[0] == "made by a"


async def test_the_recruits_are_the_first_distinct_of_the_ranking() -> None:
    attempts = by_expert(a="1", b="2", c="3", d="4")
    _, notes = await run(symbolic_moe, attempts, recruits=2, experts=("d", "b", "a", "c"))
    assert [expert for expert, role, _ in attempts.calls if role == "recruit"] == ["d", "b"]
    assert "recruits: d, b" in notes


async def test_as_published_they_are_drawn_with_replacement_by_score() -> None:
    scores = {"a": 0.5, "b": 0.3, "c": 0.2}
    params = symbolic_moe.Params(variant="published")
    draw = random.Random(3)
    drawn: Counter[str] = Counter()
    twice = 0
    for _ in range(1500):
        work = job(lambda expert, call: "", scores=scores, random=draw.random)
        names = symbolic_moe.recruited(work, params)
        drawn.update(names)
        twice += len(set(names)) < 3
    for name, share in scores.items():
        assert drawn[name] / 4500 == pytest.approx(share, abs=4 * (share * (1 - share) / 4500) ** 0.5)
    distinct = 6 * 0.5 * 0.3 * 0.2
    assert twice / 1500 == pytest.approx(1 - distinct, abs=4 * (distinct * (1 - distinct) / 1500) ** 0.5)


async def test_votes_weigh_by_the_odds_of_being_right() -> None:
    replies = {"a": "It is 42.", "b": "It is 41.", "c": "It is 41."}
    scores = {"a": 0.9, "b": 0.6, "c": 0.6}  # log-odds 2.2 against 0.4 + 0.4
    assert (await run(symbolic_moe, by_expert(**replies), combine="vote", job={"scores": scores}))[0] == "It is 42."
    plain, notes = await run(symbolic_moe, by_expert(**replies), combine="vote", weighted=False, job={"scores": scores})
    assert plain == "It is 41."
    assert "vote: '41' by 2 of 3" in notes
    no_odds = {"a": 1200.0, "b": 900.0, "c": 900.0}
    assert (await run(symbolic_moe, by_expert(**replies), combine="vote", job={"scores": no_odds}))[0] == "It is 41."


async def test_a_weighted_vote_is_right_as_often_as_its_closed_form() -> None:
    """Three experts right with probability 0.9, 0.6, 0.6, wrong in the same way: by log-odds only the first counts."""
    draw = random.Random(7)
    scores = {"a": 0.9, "b": 0.6, "c": 0.6}
    n, right = 300, 0
    for _ in range(n):
        replies = {name: "It is 42." if draw.random() < p else "It is 41." for name, p in scores.items()}
        answer, _ = await run(symbolic_moe, by_expert(**replies), combine="vote", job={"scores": scores})
        right += answer == "It is 42."
    assert right / n == pytest.approx(0.9, abs=3 * (0.9 * 0.1 / n) ** 0.5)


def voices(*texts: str) -> list[Voice]:
    return [Voice(expert="a", text=text, finish="stop", chosen=[], logprobs=[]) for text in texts]


def test_a_tally_counts_answers_not_words() -> None:
    tally = Tally.of(voices("It is 42.", "41", "6 times 7 = 42"), SUM, "auto")
    assert not tally.unanimous
    assert tally.winner() == tally.winner(2) == 0
    assert Tally.of(voices("1", "2", "3"), SUM, "auto").winner(2) is None
    assert Tally.of(voices("none"), SUM, "number").winner() is None
    assert not Tally.of(voices("none", "nothing"), SUM, "number").unanimous


class Debaters(Scripted):
    """Each begins with its own opinion and takes over the most frequent one of those it is shown, after `stubborn` rounds."""

    def __init__(self, stubborn: int = 0, **opinions: str) -> None:
        super().__init__(self._say)
        self.opinions, self.stubborn = opinions, stubborn

    def _say(self, expert: str, call: Call) -> str:
        role = self.made[-1].role
        if role == "judge":
            return "made by a judge"
        if role.startswith("debate, round ") and int(role.split()[-1]) > self.stubborn:
            shown = blocks(call.body["messages"], "own") + blocks(call.body["messages"])
            return Counter(shown).most_common(1)[0][0]
        return self.opinions[expert]


async def test_a_debate_ends_as_soon_as_all_agree() -> None:
    attempts = Debaters(a="It is 41.", b="It is 42.", c="It is 42.")
    answer, notes = await run(debate, attempts, rounds=5)
    assert answer == "It is 42."
    assert [role for _, role, _ in attempts.calls] == ["debate"] * 3 + ["debate, round 1"] * 3
    assert "debate: all agree after 1 rounds" in notes
    at_once = Debaters(a="It is 42.", b="It is 42.", c="It is 42.")
    await run(debate, at_once, rounds=5)
    assert len(at_once.calls) == 3


async def test_each_sees_its_own_last_answer_and_those_of_the_others() -> None:
    attempts = Debaters(9, a="It is 41.", b="It is 42.", c="It is 43.")
    await run(debate, attempts, rounds=1)
    shown = {
        expert: (blocks(messages, "own"), blocks(messages))
        for expert, role, messages in attempts.calls
        if role == "debate, round 1"
    }
    assert shown == {
        "a": (["It is 41."], ["It is 42.", "It is 43."]),
        "b": (["It is 42."], ["It is 41.", "It is 43."]),
        "c": (["It is 43."], ["It is 41.", "It is 42."]),
    }


async def test_after_the_last_round_the_vote_decides_and_a_judge_where_no_two_agree() -> None:
    split = Debaters(9, a="It is 41.", b="It is 42.", c="It is 42.")
    answer, notes = await run(debate, split, rounds=2)
    assert answer == "It is 42."
    assert len(split.calls) == 9
    assert "debate: '42' by 2 of 3" in notes
    apart = Debaters(9, a="It is 41.", b="It is 42.", c="It is 43.")
    assert (await run(debate, apart, rounds=1))[0] == "made by a judge"
    judged = Debaters(9, a="It is 41.", b="It is 42.", c="It is 42.")
    assert (await run(debate, judged, rounds=1, end="judge", judge="c"))[0] == "made by a judge"
    assert judged.calls[-1][0] == "c"


async def test_who_fails_in_a_round_keeps_the_last_answer() -> None:
    attempts = Debaters(a="It is 41.", b="It is 42.", c="It is 42.")
    say = attempts.reply

    def reply(expert: str, call: Call) -> Any:
        failing = attempts.made[-1].role == "debate, round 1" and expert == "a"
        return EngineFaultError("boom", status=500) if failing else say(expert, call)

    attempts.reply = reply
    answer, notes = await run(debate, attempts, rounds=2)
    assert answer == "It is 42."
    assert "debate: all agree after 2 rounds" in notes
