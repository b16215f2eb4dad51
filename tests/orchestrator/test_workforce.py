"""Workforce: parts of a request, each routed by the request's own policy."""

import time
from typing import Any

from experts.call import Call
from experts.errors import EngineFaultError
from orchestrator.config import parse_config
from orchestrator.offline import Offline
from orchestrator.strategies import workforce
from router.prompt import Prompt
from tests.deliberating import Scripted, job, said
from tests.orchestrator.test_layered import blocks

POLICY = """
experts:
  general: {backend: openai, url: "http://127.0.0.1:1/v1", model: g, local: true}
  sums: {backend: openai, url: "http://127.0.0.1:1/v1", model: s, local: true}
  poet: {backend: openai, url: "https://far.example/v1", model: p, local: false}
signals:
  sum: {type: keyword, any: [add, multiply]}
  poem: {type: keyword, any: [poem]}
  secret: {type: keyword, any: [password]}
  bomb: {type: keyword, any: [bomb]}
constraints:
  - {name: no bombs, when: bomb, refuse: "No."}
  - {name: stay, when: secret, require: {local: true}}
decisions:
  - {name: sums, when: sum, use: [sums, general]}
  - {name: poems, when: poem, use: [poet, general]}
  - {name: rest, use: [general]}
"""


class Office(Scripted):
    """A planner that splits as told, workers that say who did which part."""

    def __init__(self, plan: str, /, **failing: Exception) -> None:
        super().__init__(self._say)
        self.plan, self.failing = plan, failing

    def _say(self, expert: str, call: Call) -> str | Exception:
        role = self.made[-1].role
        if role == "plan":
            return self.failing.get("plan", self.plan)
        if role == "part":
            return self.failing.get(expert, f"{expert} did it")
        return f"{role} by {expert}"

    @property
    def parts(self) -> dict[str, str]:
        """Which expert was given which part."""
        return {blocks(messages, "task")[0]: expert for expert, role, messages in self.calls if role == "part"}


async def run(office: Office, text: str = "Do several things.", **params: Any) -> tuple[str, list[str]]:
    offline = Offline(parse_config(POLICY, "test.yaml"))
    body = {"messages": [{"role": "user", "content": text}]}
    route = await offline.route(body)

    async def judge(said: str) -> Any:
        prompt = Prompt.from_chat({"messages": [{"role": "user", "content": said}]})
        bounds = await offline.policies["auto"].bounds(prompt, clock=time.perf_counter)
        if bounds.refusal is not None:
            return lambda expert: "refused"
        return lambda expert: route.permits(expert, bounds.demands)

    work = job(
        office.reply,
        [score.expert for score in route.experts],
        text=text,
        attempts=office,
        permits=route.permits,
        judge=judge,
        reroute=lambda messages: offline.route({"messages": list(messages)}),
    )
    return await said(await workforce.run(work, workforce.Params(**params))), work.notes


async def test_each_part_goes_to_the_expert_that_the_policy_has_for_it() -> None:
    office = Office("1. Please add 2 and 3.\n2. Write a poem about autumn.\n3. Name a river.")
    answer, notes = await run(office)
    assert office.parts == {
        "Please add 2 and 3.": "sums",
        "Write a poem about autumn.": "poet",
        "Name a river.": "general",
    }
    assert answer == "join by general"
    assert blocks(office.calls[-1][2], "part") == [
        "Please add 2 and 3.\n\nsums did it",
        "Write a poem about autumn.\n\npoet did it",
        "Name a river.\n\ngeneral did it",
    ]
    assert "part 'Please add 2 and 3.': sums" in notes


async def test_a_part_that_the_policy_refuses_is_dropped() -> None:
    office = Office("1. Please add 2 and 3.\n2. Build a bomb.\n3. Name a river.")
    answer, notes = await run(office)
    assert office.parts == {"Please add 2 and 3.": "sums", "Name a river.": "general"}
    assert answer == "join by general"
    assert "part 'Build a bomb.': dropped, the constraint 'no bombs' refuses it" in notes
    assert "2 of 3 parts were done" in notes
    assert all("bomb" not in str(messages) for _, _, messages in office.calls)


async def test_a_part_reaches_nobody_whom_the_whole_request_may_not_reach() -> None:
    """The part alone might leave this machine; the request, which is shown beside it, must not."""
    office = Office("1. Write a poem about autumn.\n2. Name a river.")
    await run(office, text="My password is x. Write a poem and name a river.")
    assert office.parts == {"Write a poem about autumn.": "general", "Name a river.": "general"}


async def test_a_planner_cannot_bring_a_secret_to_a_far_expert() -> None:
    office = Office("1. Write a poem about the password.\n2. Name a river.")
    await run(office)
    assert office.parts["Write a poem about the password."] == "general"


async def test_a_request_that_does_not_split_is_one_plain_call() -> None:
    for plan in ("1. Name a river.", "I would just do it."):
        office = Office(plan)
        answer, notes = await run(office)
        assert answer == "answer by general"
        assert office.calls[-1][2] == [{"role": "user", "content": "Do several things."}]
        assert any("did not split" in note for note in notes)


async def test_failures_cost_a_part_and_no_planner_costs_the_splitting() -> None:
    boom = EngineFaultError("boom", status=500)
    office = Office("1. Please add 2 and 3.\n2. Name a river.", sums=boom)
    answer, _ = await run(office)
    assert answer == "join by general"
    assert blocks(office.calls[-1][2], "part") == ["Name a river.\n\ngeneral did it"]
    office = Office("", plan=boom)
    assert (await run(office))[0] == "answer by general"


async def test_no_more_parts_than_parameters_and_budget_allow() -> None:
    plan = "1. a river\n2. a lake\n3. a sea\n4. a pond"
    office = Office(plan)
    await run(office, tasks=3)
    assert list(office.parts) == ["a river", "a lake", "a sea"]
    office = Office(plan)
    await run(office, budget={"calls": 4})
    assert [role for _, role, _ in office.calls] == ["plan", "part", "part", "join"]
    office = Office(plan)
    assert (await run(office, budget={"calls": 3}))[0] == "answer by general"
