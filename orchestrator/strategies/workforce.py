"""Workforce: a planner splits the request, each part goes to the expert the policy picks for it, a coordinator joins them.

The scheme is that of CAMEL's and OWL's workforces (arXiv 2505.23885) with the request's own policy as the assigner: a part
is routed as if the user had sent it. Parts are worked on at once, so they must not need each other; each is one call, also
where its decision names a strategy. A request that does not split is answered by one call.
"""

from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from typing import Any, TypedDict

from pydantic import Field

from experts.call import Answer
from experts.errors import MadrigalError
from experts.spec import Frozen, Name
from orchestrator.budget import Budget
from orchestrator.deliberation import START, Plan, deliberate
from orchestrator.listing import listed
from orchestrator.panel import Ask, Panel
from orchestrator.sampling import plain
from orchestrator.strategies import Job
from orchestrator.synthesis import instructed, shown
from orchestrator.voice import Messages

PLANNER = (
    "Do not answer the user's last message. Split what it asks for into at most {most} parts that different experts can work "
    "on at the same time, so that no part needs the result of another. Write each part as a complete instruction that can "
    "be understood alone, one a line, numbered, nothing else. If it is one task, write just that one."
)
WORKER = (
    "What the user's last message asks for was split into parts. Do only the part given below, as far as it serves what the "
    "user asked for; others do the rest. Reply with its result alone."
)
COORDINATOR = (
    "What the user's last message asks for was split into parts that others have worked on; parts and results are given "
    "below, and may be wrong or incomplete. Make one answer of them: correct, complete, in the form the user asked for, "
    "without mentioning the parts."
)


class Params(Frozen):
    """Into how many parts, and who splits and joins."""

    tasks: int = Field(4, ge=2, le=32, description="parts at most")
    planner: Name | None = Field(None, description="who splits the request; none: the best ranked expert")
    coordinator: Name | None = Field(None, description="who joins the results; none: the best ranked expert")
    budget: Budget = Field(Budget(), description="calls, tokens and seconds at most")


def experts(params: Params) -> Iterable[tuple[str, str]]:
    """Whoever is named."""
    for place in ("planner", "coordinator"):
        if (name := getattr(params, place)) is not None:
            yield place, name


class State(TypedDict, total=False):
    """The parts, each with the expert it goes to, and the results: part and what came of it."""

    tasks: list[str]
    assigned: list[tuple[str, str]]
    results: list[str]


async def split(state: State, panel: Panel, params: Params) -> Mapping[str, Any]:
    """The parts, if the budget lets two of them be done and joined."""
    room = panel.purse.room(params.tasks + 2)
    if room < 4:
        panel.job.note("budget: nothing is split in fewer than four calls")
        return {"tasks": []}
    most = min(params.tasks, room - 2)

    def write(texts: Sequence[str]) -> Messages:
        return instructed(panel.job.call.body["messages"], PLANNER.format(most=most))

    said = await panel.ask(Ask(panel.seat(params.planner), write, role="plan", aside=True), keep=1)
    tasks = listed(said["text"], most) if said is not None else []
    if said is not None and len(tasks) < 2:
        panel.job.note("the planner did not split the request: one call")
    return {"tasks": tasks if len(tasks) > 1 else []}


def worth(state: State, panel: Panel, params: Params) -> str:
    """Without parts the answer is one plain call."""
    return "assign" if state["tasks"] else "join"


async def assign(state: State, panel: Panel, params: Params) -> Mapping[str, Any]:
    """Each part to the expert the policy ranks first for it, of those that may also see the whole request. A part that
    the policy refuses, or that nobody may do, is dropped."""
    assigned = []
    for task in state["tasks"]:
        expert, why = await _expert_for(panel.job, task)
        panel.job.note(f"part {task[:60]!r}: {f'dropped, {why}' if expert is None else expert}")
        if expert is not None:
            assigned.append((task, expert))
    return {"assigned": assigned}


async def _expert_for(job: Job, task: str) -> tuple[str | None, str]:
    if job.reroute is None:
        return job.experts[0], ""
    try:
        route = await job.reroute([{"role": "user", "content": task}])
    except MadrigalError as error:
        return None, error.message
    if route.refuse is not None:
        return None, f"the constraint {route.constraint!r} refuses it"
    for score in route.experts:
        why = route.permits(score.expert) or job.permits(score.expert)
        if why is None:
            return score.expert, ""
    return None, "none of its experts may see the request"


async def work(state: State, panel: Panel, params: Params) -> Mapping[str, Any]:
    """Every part at once; one call is kept for the coordinator. A part that fails is missing from the answer."""

    def write(texts: Sequence[str]) -> Messages:
        return shown(panel.job.call.body["messages"], WORKER, task=texts)

    assigned = state["assigned"]
    asks = [Ask(expert, write, (task,), "part", least=1, aside=True) for task, expert in assigned]
    results: dict[int, str] = {}
    async with panel.each(asks, keep=1) as voices:
        async for at, voice in voices:
            results[at] = f"{assigned[at][0]}\n\n{voice['text']}"
    if len(results) < len(state["tasks"]):
        panel.job.note(f"{len(results)} of {len(state['tasks'])} parts were done")
    return {"results": [results[at] for at in sorted(results)]}


def conclude(state: State, panel: Panel, params: Params) -> Ask | None:
    """The coordinator over all results; one plain call where there is none."""
    if not state.get("results"):
        return plain(panel.job, panel.seat(None))
    write = partial(joined, panel.job.call.body["messages"])
    return Ask(panel.seat(params.coordinator), write, state["results"], role="join")


def joined(messages: Messages, results: Sequence[str]) -> Messages:
    """The conversation for the coordinator; without results the conversation as it is."""
    return shown(messages, COORDINATOR, part=results) if results else messages


PLAN = Plan(
    State,
    {"split": split, "assign": assign, "work": work},
    ((START, "split"), ("assign", "work"), ("work", "join")),
    "join",
    conclude,
    {"split": (worth, ("assign", "join"))},
)


async def run(job: Job, params: Params) -> Answer:
    """The coordinator's answer, streamed as it comes."""
    return await deliberate(PLAN, job, params)
