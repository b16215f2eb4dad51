"""Strategies that put texts together in stages: self_moa_seq, moa, patched_moa, plan_search. What each reads is what it should."""

import re
from collections.abc import Mapping, Sequence
from typing import Any

import pytest

from experts.call import Call
from experts.errors import EngineFaultError
from orchestrator.strategies import moa, patched_moa, plan_search, self_moa_seq
from tests.deliberating import Scripted, job, said


def blocks(messages: Sequence[Mapping[str, Any]], tag: str = "answer") -> list[str]:
    """The quoted texts that a call was shown."""
    return re.findall(rf'<{tag} number="\d+">\n(.*?)\n</{tag}>', str(messages[0]["content"]), re.DOTALL)


class Told(Scripted):
    """Each call says `<role>#<number>`, numbered by role; `replies` say it otherwise."""

    def __init__(self, **replies: str | Exception) -> None:
        super().__init__(self._say)
        self.replies = replies

    def _say(self, expert: str, call: Call) -> str | Exception:
        role = self.made[-1].role
        same = sum(made.role == role for made in self.made)
        return self.replies.get(role.replace(" ", "_"), f"{role}#{same}")

    def shown(self, role: str, tag: str = "answer") -> list[list[str]]:
        """What each call of a role was shown."""
        return [blocks(messages, tag) for _, made, messages in self.calls if made == role]

    @property
    def roles(self) -> list[str]:
        return [role for _, role, _ in self.calls]


async def run(module: Any, attempts: Scripted, *, experts: tuple[str, ...] = ("a", "b", "c"), **params: Any) -> str:
    stream = params.pop("stream", False)
    more = params.pop("job", {})
    work = job(attempts.reply, experts, attempts=attempts, stream=stream, **more)
    return await said(await module.run(work, module.Params(**params)), stream)


async def test_the_window_slides_over_all_samples_and_never_shows_more_than_it_holds() -> None:
    told = Told()
    assert await run(self_moa_seq, told, samples=8, window=4) == "aggregate#1"
    assert told.roles == ["sample"] * 8 + ["fold", "fold", "aggregate"]
    assert told.shown("fold") == [
        ["sample#1", "sample#2", "sample#3", "sample#4"],
        ["fold#1", "sample#5", "sample#6", "sample#7"],
    ]
    assert told.shown("aggregate") == [["fold#2", "sample#8"]]
    assert {expert for expert, _, _ in told.calls} == {"a"}


@pytest.mark.parametrize(("samples", "window", "calls"), [(2, 2, 1), (6, 6, 1), (7, 6, 2), (12, 6, 3), (9, 2, 8)])
async def test_as_many_syntheses_as_were_counted(samples: int, window: int, calls: int) -> None:
    assert self_moa_seq.syntheses(samples, window) == calls
    told = Told()
    await run(self_moa_seq, told, samples=samples, window=window)
    assert len(told.calls) == samples + calls
    assert all(len(shown) <= window for shown in told.shown("fold") + told.shown("aggregate"))


async def test_a_budget_buys_the_samples_that_it_can_also_fold() -> None:
    told = Told()
    await run(self_moa_seq, told, samples=12, window=3, budget={"calls": 8})
    assert told.roles == ["sample"] * 5 + ["fold", "aggregate"]  # a sixth sample would need a ninth call


async def test_a_fold_that_fails_keeps_the_synthesis_before() -> None:
    told = Told(fold=EngineFaultError("boom", status=500))
    assert await run(self_moa_seq, told, samples=5, window=3) == "aggregate#1"
    assert told.shown("aggregate") == [["sample#1", "sample#4", "sample#5"]]


async def test_each_layer_sees_exactly_the_answers_of_the_one_before() -> None:
    told = Told()
    assert await run(moa, told, layers=3, stream=True) == "aggregate#1"
    assert told.shown("layer 1") == [[], [], []]
    assert told.shown("layer 2") == [["layer 1#1", "layer 1#2", "layer 1#3"]] * 3
    assert told.shown("layer 3") == [["layer 2#1", "layer 2#2", "layer 2#3"]] * 3
    assert told.shown("aggregate") == [["layer 3#1", "layer 3#2", "layer 3#3"]]
    assert [expert for expert, _, _ in told.calls] == ["a", "b", "c"] * 3 + ["a"]
    assert all(messages[-1]["content"] == "What is 6 times 7?" for _, _, messages in told.calls)


async def test_one_expert_alone_proposes_several_times_with_seeds_of_their_own() -> None:
    told = Told()
    await run(moa, told, experts=("a",), layers=2, width=2, job={"body": {"seed": 5}})
    assert [body["seed"] for body in told.bodies] == [5, 6, 7, 8, 5]


async def test_named_proposers_stand_in_for_the_ranked_where_the_request_may_reach_them() -> None:
    told = Told()
    forbidden = {"permits": lambda expert: "it is far away" if expert == "y" else None}
    await run(moa, told, layers=1, proposers=("x", "y", "z"), aggregator="z", job=forbidden)
    assert [expert for expert, _, _ in told.calls] == ["x", "z", "z"]


async def test_a_layer_that_nobody_answers_leaves_the_one_before() -> None:
    told = Told(layer_2=EngineFaultError("boom", status=500))
    await run(moa, told, layers=2)
    assert told.shown("aggregate") == [["layer 1#1", "layer 1#2", "layer 1#3"]]


async def test_the_final_answer_reads_samples_and_their_critique() -> None:
    told = Told()
    assert await run(patched_moa, told) == "aggregate#1"
    assert told.roles == ["sample"] * 3 + ["critique", "aggregate"]
    assert told.shown("critique") == [["sample#1", "sample#2", "sample#3"]]
    assert told.shown("aggregate") == told.shown("critique")
    assert told.shown("aggregate", "critique") == [["critique#1"]]


async def test_without_a_critique_it_is_self_moa() -> None:
    told = Told(critique=EngineFaultError("boom", status=500))
    assert await run(patched_moa, told) == "aggregate#1"
    assert told.shown("aggregate") == [["sample#1", "sample#2", "sample#3"]]
    assert "critique of them" not in str(told.calls[-1])


async def test_a_critique_that_its_reader_may_not_see_is_kept_from_it() -> None:
    async def judge(text: str) -> Any:
        return lambda expert: "no" if text == "critique#1" and expert == "b" else None

    told = Told()
    await run(patched_moa, told, aggregator="b", job={"judge": judge})
    assert told.calls[-1][0] == "b"
    assert told.shown("aggregate") == [["sample#1", "sample#2", "sample#3"]]
    assert told.shown("aggregate", "critique") == [[]]


OBSERVED = "1. They are even\n2. They are small\n3. There are two"


async def test_every_plan_comes_of_its_own_observations_and_every_candidate_of_its_own_plan() -> None:
    told = Told(observe=OBSERVED, judge="3")
    assert await run(plan_search, told) == "attempt#3"
    assert told.roles == ["observe", *["plan"] * 4, *["attempt"] * 4, "judge"]
    assert told.shown("plan", "observation") == [
        ["They are even", "They are small"],
        ["They are even", "There are two"],
        ["They are small", "There are two"],
        ["They are even"],
    ]
    assert told.shown("attempt", "plan") == [["plan#1"], ["plan#2"], ["plan#3"], ["plan#4"]]


async def test_candidates_that_agree_need_no_judge() -> None:
    answers = iter(["It is 41.", "It is 42.", "So 42.", "It is 43."])
    told = Told(observe=OBSERVED)
    told.reply = lambda expert, call: next(answers) if told.made[-1].role == "attempt" else told._say(expert, call)
    assert await run(plan_search, told) == "It is 42."
    assert "judge" not in told.roles
    told = Told(observe=OBSERVED, attempt="It is 42.", judge="2")
    await run(plan_search, told, choose="judge", judge="b")
    assert told.calls[-1][:2] == ("b", "judge")


async def test_a_search_that_finds_nothing_is_one_plain_call() -> None:
    told = Told(plan=EngineFaultError("boom", status=500), observe=OBSERVED)
    assert await run(plan_search, told) == "answer#1"
    assert told.calls[-1][2] == [{"role": "user", "content": "What is 6 times 7?"}]


async def test_a_small_budget_searches_less_and_two_calls_are_no_search() -> None:
    told = Told(observe=OBSERVED)
    await run(plan_search, told, budget={"calls": 6})
    assert told.roles == ["observe", "plan", "plan", "attempt", "attempt", "judge"]
    told = Told(observe=OBSERVED)
    assert await run(plan_search, told, budget={"calls": 2}) == "answer#1"
    assert told.roles == ["answer"]
