"""Symbolic-MoE: a few experts recruited for just this question answer, one makes an answer of theirs (arXiv 2503.05641).

The recruits are the first of the ranking, which `select: skills` makes by skill. Published, they are drawn with
replacement by score, so that one may come up twice; distinct ones do better on its own data (docs/benchmarks.md). Recruits
that agree need no aggregator. Who should aggregate a task is for `router/aggregator.py` to measure; it is named here.
"""

import math
from collections.abc import Iterable, Mapping
from functools import partial
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
from orchestrator.synthesis import synthesis
from orchestrator.voice import Voice

_SURE = 0.99
"""Scores are read as probabilities between this and its complement: no single vote outweighs all others."""


class Params(Frozen):
    """How many recruits, how they are drawn, and how their answers become one."""

    recruits: int = Field(3, ge=1, le=32, description="experts that answer")
    variant: Literal["distinct", "published"] = Field(
        "distinct", description="distinct: the first of the ranking; published: drawn with replacement by score"
    )
    combine: Literal["aggregate", "vote"] = Field(
        "aggregate", description="aggregate: one expert makes the answer; vote: the heaviest answer wins"
    )
    weighted: bool = Field(
        True, description="votes weigh by log-odds where scores are probabilities of being right; else all alike"
    )
    skip: bool = Field(True, description="no aggregator where all recruits give the same answer")
    aggregator: Name | None = Field(None, description="who makes the answer; none: the best ranked expert")
    temperature: float | None = Field(None, ge=0, le=2, description="of the recruits; none: the client's")
    answer: Kind = Field("auto", description="what in a reply is its answer: auto, number, choice, json or text")
    budget: Budget = Field(Budget(), description="calls, tokens and seconds at most")


def experts(params: Params) -> Iterable[tuple[str, str]]:
    """The aggregator, where one is named."""
    if params.aggregator is not None:
        yield "aggregator", params.aggregator


class State(TypedDict, total=False):
    """What the recruits said, and the one among them that is the answer (None: the aggregator makes it)."""

    voices: list[Voice]
    chosen: Voice | None


def recruited(job: Job, params: Params) -> list[str]:
    """The experts to ask. Drawing needs scores above 0; without them the first of the ranking are asked."""
    weights = [job.scores.get(name, 0.0) for name in job.experts]
    if params.variant == "distinct" or min(weights) < 0 or not sum(weights):
        return list(job.experts[: params.recruits])
    return [_drawn(job, weights) for _ in range(params.recruits)]


def _drawn(job: Job, weights: list[float]) -> str:
    point = job.random() * sum(weights)
    for name, weight in zip(job.experts, weights, strict=True):
        point -= weight
        if point < 0:
            return name
    return next(name for name, weight in reversed(list(zip(job.experts, weights, strict=True))) if weight > 0)


async def answer(state: State, panel: Panel, params: Params) -> Mapping[str, Any]:
    """All recruits at once; one call is kept for the aggregator."""
    names = recruited(panel.job, params)
    panel.job.note(f"recruits: {', '.join(names)}")
    asks = samples(panel.job, names, len(names), Sampling(temperature=params.temperature), shaped=True, role="recruit")
    return {"voices": await panel.ask_all(asks, keep=int(params.combine == "aggregate"))}


async def settle(state: State, panel: Panel, params: Params) -> Mapping[str, Any]:
    """The answer on which recruits agree, or for which they vote, if one is there already."""
    voices, job = state["voices"], panel.job
    if len(voices) < 2:
        return {"chosen": voices[0] if voices else None}
    weights = _weights(job, voices) if params.weighted else None
    tally = Tally.of(voices, asked_text(job), params.answer, weights)
    if tally.unanimous and (params.skip or params.combine == "vote"):
        job.note(f"recruits agree on {tally.shown(0)}: no aggregation")
        return {"chosen": voices[0]}
    at = tally.winner() if params.combine == "vote" else None
    if at is not None:
        job.note(f"vote: {tally.shown(at)}")
    return {"chosen": None if at is None else voices[at]}


def _weights(job: Job, voices: list[Voice]) -> list[float] | None:
    """Log-odds of each voice's expert being right, at least a little above 0; None where scores are no probabilities."""
    scores = [job.scores.get(voice["expert"], -1.0) for voice in voices]
    if not all(0 <= score <= 1 for score in scores) or not any(scores):
        return None
    likely = (min(max(score, 1 - _SURE), _SURE) for score in scores)
    return [max(math.log(p / (1 - p)), 0.01) for p in likely]


def conclude(state: State, panel: Panel, params: Params) -> Ask | Voice | None:
    """What was settled, or else the aggregator over all recruits."""
    if state["chosen"] is not None or not state["voices"]:
        return state["chosen"]
    write = partial(synthesis, panel.job.call.body["messages"])
    texts = [voice["text"] for voice in state["voices"]]
    return Ask(panel.seat(params.aggregator), write, texts, role="aggregate")


PLAN = Plan(
    State,
    {"answer": answer, "settle": settle},
    ((START, "answer"), ("answer", "settle"), ("settle", "aggregate")),
    "aggregate",
    conclude,
)


async def run(job: Job, params: Params) -> Answer:
    """The aggregator's answer, streamed as it comes; one that was settled before in one piece."""
    return await deliberate(PLAN, job, params)
