"""Debate: experts read each other's last answers and revise their own, for a few rounds (arXiv 2305.14325).

It ends as soon as all give the same answer. Otherwise the last answers are put to the vote, or a judge makes one of them.
"""

from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from itertools import cycle, islice
from typing import Any, Literal, TypedDict

from pydantic import Field

from experts.call import Answer
from experts.spec import Frozen, Name
from orchestrator.agreement import Tally
from orchestrator.budget import Budget
from orchestrator.deliberation import START, Plan, deliberate
from orchestrator.extraction import Kind
from orchestrator.panel import Ask, Panel, asked_text
from orchestrator.sampling import Sampling, samples
from orchestrator.strategies import Job
from orchestrator.synthesis import shown, synthesis
from orchestrator.voice import Messages, Voice

REVISE = (
    "Your own last answer to the user's last message is given below, and those of others. Check the others' reasoning and "
    "your own. Change your mind where they are right, stay where you are. Then answer the message again: complete, in the "
    "form the user asked for, without mentioning the other answers."
)


class Params(Frozen):
    """Who debates, how long, and how it ends."""

    debaters: int = Field(
        3, ge=2, le=16, description="experts that debate: the first ranked; fewer experts are asked several times"
    )
    rounds: int = Field(2, ge=1, le=8, description="revisions after the first answers, at most")
    end: Literal["vote", "judge"] = Field(
        "vote", description="vote: the most frequent answer, a judge's where no two agree; judge: always a judge's"
    )
    judge: Name | None = Field(None, description="who makes the answer where it comes to that; none: the best ranked")
    temperature: float | None = Field(0.7, ge=0, le=2, description="of the debaters; none: the client's")
    answer: Kind = Field("auto", description="what in a reply is its answer: auto, number, choice, json or text")
    budget: Budget = Field(Budget(), description="calls, tokens and seconds at most")


def experts(params: Params) -> Iterable[tuple[str, str]]:
    """The judge, where one is named."""
    if params.judge is not None:
        yield "judge", params.judge


class State(TypedDict, total=False):
    """How many revisions there were, and each debater's last answer."""

    round: int
    voices: list[Voice]


async def begin(state: State, panel: Panel, params: Params) -> Mapping[str, Any]:
    """First answers, nobody has read another's. Who fails here is out."""
    names = list(islice(cycle(panel.job.experts), params.debaters))
    sampling = Sampling(temperature=params.temperature)
    return {
        "round": 0,
        "voices": await panel.ask_all(
            samples(panel.job, names, len(names), sampling, shaped=True, role="debate"), keep=params.end == "judge"
        ),
    }


async def revise(state: State, panel: Panel, params: Params) -> Mapping[str, Any]:
    """Everybody at once, over the answers of the round before. Who fails keeps the last answer."""
    voices, number = list(state["voices"]), state["round"] + 1
    client, sampling = panel.job.call.body, Sampling(temperature=params.temperature)
    asks = []
    for at, voice in enumerate(voices):
        own, others = voice["text"], [other["text"] for i, other in enumerate(voices) if i != at]
        asks.append(
            Ask(
                voice["expert"],
                partial(revision, client["messages"], own),
                [own, *others],
                f"debate, round {number}",
                sampling.fields(client, number * len(voices) + at),
                shaped=True,
            )
        )
    async with panel.each(asks, keep=params.end == "judge") as revised:
        async for at, voice in revised:
            voices[at] = panel.best = voice
    return {"round": number, "voices": voices}


def revision(messages: Messages, own: str, texts: Sequence[str]) -> Messages:
    """The conversation for one who revises. The own answer comes first among `texts`, where it may be seen."""
    mine = list(texts[:1]) if texts[:1] == [own] else []
    others = texts[len(mine) :]
    return shown(messages, REVISE, own=mine, answer=others) if texts else messages


def again(state: State, panel: Panel, params: Params) -> str:
    """Another round, until all agree, or rounds or budget are over."""
    job, voices = panel.job, state["voices"]
    tally = Tally.of(voices, asked_text(job), params.answer)
    if tally.unanimous:
        job.note(f"debate: all agree after {state['round']} rounds")
    done = len(voices) < 2 or tally.unanimous or state["round"] >= params.rounds
    return "verdict" if done or panel.purse.room(len(voices)) < len(voices) else "revise"


def conclude(state: State, panel: Panel, params: Params) -> Ask | Voice | None:
    """What all say, or most; else the judge's answer."""
    job, voices = panel.job, state["voices"]
    if len(voices) < 2:
        return voices[0] if voices else None
    tally = Tally.of(voices, asked_text(job), params.answer)
    at = tally.winner(2)
    if at is not None and (tally.unanimous or params.end == "vote"):
        job.note(f"debate: {tally.shown(at)}")
        return voices[at]
    write = partial(synthesis, job.call.body["messages"])
    return Ask(panel.seat(params.judge), write, [voice["text"] for voice in voices], role="judge")


PLAN = Plan(
    State,
    {"begin": begin, "revise": revise},
    ((START, "begin"),),
    "verdict",
    conclude,
    {"begin": (again, ("revise", "verdict")), "revise": (again, ("revise", "verdict"))},
)


async def run(job: Job, params: Params) -> Answer:
    """The debate's outcome: in one piece, or the judge's answer streamed as it comes."""
    return await deliberate(PLAN, job, params)
