"""Best of n: several samples, the one a judge likes best (Cobbe et al., arXiv 2110.14168, with an expert as verifier).

The judge is an expert that rates each sample (as optillm's `bon` does) or picks from all of them (listwise), or nobody:
then the sample whose tokens were the likeliest on average wins, which costs no further call. Equals go to the earlier
sample, so that the same answers and ratings always give the same choice.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Literal, TypedDict

from pydantic import Field

from experts.call import Answer
from experts.spec import Feature, Frozen, Name
from orchestrator.budget import Budget
from orchestrator.deliberation import START, Plan, deliberate
from orchestrator.judging import LISTWISE, RATING, judgement, number_in, place_in
from orchestrator.panel import Panel
from orchestrator.sampling import Sampling, samples
from orchestrator.strategies import Job
from orchestrator.voice import Voice, likelihood

MOST = 10.0
"""The best rating."""


class Params(Frozen):
    """How many samples, and who judges them."""

    samples: int = Field(4, ge=2, le=64, description="answers to choose from")
    experts: int = Field(1, ge=1, le=16, description="how many of the ranked experts give them, in turn")
    temperature: float = Field(0.7, ge=0, le=2, description="of the samples")
    judge: Literal["rating", "listwise", "logprob"] = Field(
        "rating",
        description="rating: an expert rates each from 0 to 10; listwise: it picks from all in one call; logprob: the "
        "highest mean log-probability of its tokens wins (the experts must give logprobs)",
    )
    judged_by: Name | None = Field(None, description="the expert that judges; none: the best ranked one")
    judge_tokens: int = Field(32, ge=1, description="longest reply of the judge; more for one that thinks aloud")
    budget: Budget = Field(Budget(), description="calls, tokens and seconds at most")


def experts(params: Params) -> Iterable[tuple[str, str]]:
    """The judge, where one is named."""
    if params.judged_by is not None:
        yield "judged_by", params.judged_by


def needs(params: Params, use: Sequence[str]) -> Iterable[tuple[str, Feature, str]]:
    """Log-probabilities of everybody, to judge by them."""
    for expert in use if params.judge == "logprob" else ():
        yield "judge", "logprobs", expert


class State(TypedDict, total=False):
    """The samples, and each one's mark (None: it has none)."""

    voices: list[Voice]
    marks: list[float | None]


async def sample(state: State, panel: Panel, params: Params) -> Mapping[str, object]:
    """As many samples as the budget lets be judged, all at once."""
    wanted, calls = params.samples, params.budget.calls
    if calls is not None:
        judged = {"rating": calls // 2, "listwise": calls - 1, "logprob": calls}[params.judge]
        wanted = max(1, min(wanted, judged))
    sampling = Sampling(params.temperature, logprobs=0 if params.judge == "logprob" else None)
    names = panel.job.experts[: params.experts]
    return {"voices": await panel.ask_all(samples(panel.job, names, wanted, sampling, shaped=True))}


async def judge(state: State, panel: Panel, params: Params) -> Mapping[str, object]:
    """Each sample's mark. The best so far is kept, should the time be up before the last."""
    voices = state["voices"]
    if len(voices) < 2:
        return {"marks": [None] * len(voices)}
    if params.judge == "logprob":
        return {"marks": [likelihood(voice) for voice in voices]}
    texts = [voice["text"] for voice in voices]
    if params.judge == "listwise":
        return {"marks": await _pick(texts, panel, params)}
    return {"marks": await _rate(voices, panel, params)}


async def _pick(texts: Sequence[str], panel: Panel, params: Params) -> list[float | None]:
    messages, by = panel.job.call.body["messages"], panel.seat(params.judged_by)
    reply = await panel.ask(judgement(messages, by, LISTWISE, texts, role="judge", tokens=params.judge_tokens))
    place = place_in(reply["text"], len(texts)) if reply is not None else None
    if place is None:
        panel.job.note(f"{by} picked none of {len(texts)}: the first is taken")
    return [1.0 if at == place else None for at in range(len(texts))]


async def _rate(voices: Sequence[Voice], panel: Panel, params: Params) -> list[float | None]:
    messages, by = panel.job.call.body["messages"], panel.seat(params.judged_by)
    asks = [
        judgement(messages, by, RATING, [voice["text"]], role="judge", tokens=params.judge_tokens) for voice in voices
    ]
    marks: list[float | None] = [None] * len(voices)
    async with panel.each(asks) as replies:
        async for at, reply in replies:
            marks[at] = number_in(reply["text"], MOST)
            panel.best = voices[best(marks)]
    return marks


def best(marks: Sequence[float | None]) -> int:
    """The number of the highest mark, the first of equals; the first where nobody has one."""
    return max(range(len(marks)), key=lambda at: -float("inf") if (mark := marks[at]) is None else mark)


def conclude(state: State, panel: Panel, params: Params) -> Voice | None:
    """The sample with the best mark."""
    voices, marks = state["voices"], state["marks"]
    if not voices:
        return None
    at = best(marks)
    if len(voices) > 1:
        shown = ", ".join("–" if mark is None else f"{mark:.3g}" for mark in marks)
        panel.job.note(f"{params.judge}: number {at + 1} of {len(voices)} ({shown})")
    return voices[at]


PLAN = Plan(
    State,
    {"sample": sample, "judge": judge},
    ((START, "sample"), ("sample", "judge"), ("judge", "best")),
    "best",
    conclude,
)


async def run(job: Job, params: Params) -> Answer:
    """The best sample, in one piece."""
    return await deliberate(PLAN, job, params)
