"""Plan search: observations, combinations of them, a plan from each, a candidate from each plan (arXiv 2409.03733).

Samples of one model vary in words more than in ideas; searching over plans in natural language varies the ideas. In small:
one call lists observations about the problem, each pair of them (then each alone) becomes a plan, each plan one candidate.
The candidates' most frequent answer wins; where none agree a judge picks. Second-order observations and pseudo-code, which
the paper has, are left out.
"""

from collections.abc import Iterable, Mapping, Sequence
from itertools import chain, combinations
from typing import Any, Literal, TypedDict

from pydantic import Field

from experts.call import Answer
from experts.spec import Frozen, Name
from orchestrator.agreement import Tally
from orchestrator.budget import Budget
from orchestrator.deliberation import START, Plan, deliberate
from orchestrator.extraction import Kind
from orchestrator.judging import LISTWISE, judgement, place_in
from orchestrator.listing import listed
from orchestrator.panel import Ask, Panel, asked_text
from orchestrator.sampling import Sampling, plain
from orchestrator.strategies import Job
from orchestrator.synthesis import instructed, shown
from orchestrator.voice import Messages, Voice

OBSERVE = (
    "Do not answer the user's last message yet. List {most} short observations about the task in it that may help to solve "
    "it: what is given, what is asked, a property, a trap, an approach. One a line, numbered, nothing else."
)
PLANNED = (
    "Do not answer the user's last message yet. Write a short plan, in numbered steps, of how to solve the task in it. Use "
    "the observations given below as far as they are right."
)
FOLLOWED = (
    "A plan for the user's last message is given below. Follow it as far as it is right and answer the message: correct, "
    "complete, in the form the user asked for, without mentioning the plan."
)


class Params(Frozen):
    """How wide the search is, and who chooses."""

    observations: int = Field(3, ge=1, le=16, description="observations asked for")
    candidates: int = Field(4, ge=1, le=64, description="plans, and one candidate answer from each")
    temperature: float = Field(0.7, ge=0, le=2, description="of plans and candidates")
    choose: Literal["agreement", "judge"] = Field(
        "agreement",
        description="agreement: the most frequent answer, a judge where no two agree; judge: always a judge",
    )
    answer: Kind = Field("auto", description="what in a candidate is its answer: auto, number, choice, json or text")
    judge: Name | None = Field(None, description="who judges; none: the best ranked expert")
    judge_tokens: int = Field(32, ge=1, description="longest reply of the judge; more for one that thinks aloud")
    budget: Budget = Field(Budget(), description="calls, tokens and seconds at most")


def experts(params: Params) -> Iterable[tuple[str, str]]:
    """The judge, where one is named."""
    if params.judge is not None:
        yield "judge", params.judge


class State(TypedDict, total=False):
    """What was observed, planned and answered, and the candidate that was chosen."""

    observations: list[str]
    plans: list[str]
    voices: list[Voice]
    chosen: Voice | None


def combined(observations: Sequence[str], most: int) -> list[tuple[str, ...]]:
    """Pairs of observations, then single ones, at most so many."""
    found = chain(combinations(observations, 2), combinations(observations, 1))
    return [combination for combination, _ in zip(found, range(most), strict=False)]


async def observe(state: State, panel: Panel, params: Params) -> Mapping[str, Any]:
    """Observations about the problem, if the budget lets a plan and a candidate follow."""
    if panel.purse.room(3) < 3:
        panel.job.note("budget: no search in fewer than three calls")
        return {"observations": []}
    instruction = OBSERVE.format(most=params.observations)

    def write(texts: Sequence[str]) -> Messages:
        return instructed(panel.job.call.body["messages"], instruction)

    said = await panel.ask(Ask(panel.seat(None), write, role="observe", aside=True), keep=2)
    if said is None:
        return {"observations": []}
    return {"observations": listed(said["text"], params.observations) or [said["text"]]}


def worth(state: State, panel: Panel, params: Params) -> str:
    """Without observations the answer is one plain call."""
    return "plan" if state["observations"] else "choice"


async def plan(state: State, panel: Panel, params: Params) -> Mapping[str, Any]:
    """A plan from each combination, as many as can also be followed, all at once."""
    most = max(1, panel.purse.room(2 * params.candidates) // 2)

    def write(texts: Sequence[str]) -> Messages:
        return shown(panel.job.call.body["messages"], PLANNED, observation=texts)

    expert, client, sampling = panel.seat(None), panel.job.call.body, Sampling(temperature=params.temperature)
    asks = [
        Ask(expert, write, combination, "plan", sampling.fields(client, at), aside=True)
        for at, combination in enumerate(combined(state["observations"], min(params.candidates, most)))
    ]
    return {"plans": [voice["text"] for voice in await panel.ask_all(asks, keep=1)]}


async def attempt(state: State, panel: Panel, params: Params) -> Mapping[str, Any]:
    """A candidate from each plan, all at once."""

    def write(texts: Sequence[str]) -> Messages:
        return shown(panel.job.call.body["messages"], FOLLOWED, plan=texts)

    expert, client, sampling = panel.seat(None), panel.job.call.body, Sampling(temperature=params.temperature)
    asks = [
        Ask(expert, write, (text,), "attempt", sampling.fields(client, at), shaped=True, least=1)
        for at, text in enumerate(state["plans"])
    ]
    return {"voices": await panel.ask_all(asks)}


async def choose(state: State, panel: Panel, params: Params) -> Mapping[str, Any]:
    """The candidate whose answer most of them give, or the judge's."""
    voices, job = state["voices"], panel.job
    if len(voices) < 2:
        return {"chosen": voices[0] if voices else None}
    tally = Tally.of(voices, asked_text(job), params.answer)
    at = tally.winner(2)
    if at is not None and params.choose == "agreement":
        job.note(f"candidates: {tally.shown(at)}")
        return {"chosen": voices[at]}
    texts, by = [voice["text"] for voice in voices], panel.seat(params.judge)
    said = await panel.ask(
        judgement(job.call.body["messages"], by, LISTWISE, texts, role="judge", tokens=params.judge_tokens)
    )
    place = place_in(said["text"], len(texts)) if said is not None else None
    job.note(f"candidates: {by} chose {'none, the first is taken' if place is None else f'number {place + 1}'}")
    return {"chosen": voices[place or 0]}


def conclude(state: State, panel: Panel, params: Params) -> Ask | Voice | None:
    """The chosen candidate; one plain call where there is none."""
    return state.get("chosen") or plain(panel.job, panel.seat(None))


PLAN = Plan(
    State,
    {"observe": observe, "plan": plan, "attempt": attempt, "choose": choose},
    ((START, "observe"), ("plan", "attempt"), ("attempt", "choose"), ("choose", "choice")),
    "choice",
    conclude,
    {"observe": (worth, ("plan", "choice"))},
)


async def run(job: Job, params: Params) -> Answer:
    """The chosen candidate, in one piece."""
    return await deliberate(PLAN, job, params)
