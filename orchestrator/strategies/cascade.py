"""A cascade: the cheap expert first, a dearer one where it is not sure enough (FrugalGPT, arXiv 2305.05176).

Stages are the ranked experts in their order: `select: cascade` ranks from cheap to dear. How sure an answer is, in 0..1:

    logprob             the geometric mean of its tokens' probabilities (Gupta et al., arXiv 2404.10136)
    margin              the mean lead of a token's likeliest alternative over the second
    free_energy         the mean logsumexp of a token's logits, not in 0..1 (E-LANG, arXiv 2203.00748; EBJR, BMVC 2021)
    self_verification   the expert says so itself, asked about its own answer (AutoMix, arXiv 2310.12963)
    judge               the share of an expert's checks that say yes
    verifier            whether an expression over the policy's signals holds, read of the answer

An answer that is sure enough is told in one piece, after it was read to its end. The last stage's is streamed as it comes.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Literal, TypeAlias, TypedDict

from pydantic import Field, model_validator

from experts.call import Answer
from experts.spec import Feature, Frozen, Name
from orchestrator.budget import Budget
from orchestrator.deliberation import START, Plan, deliberate
from orchestrator.judging import SURENESS, VERIFICATION, judgement, number_in, yes_in
from orchestrator.panel import Ask, Panel
from orchestrator.sampling import Sampling, samples
from orchestrator.strategies import Job
from orchestrator.voice import Voice, likelihood

By: TypeAlias = Literal["logprob", "margin", "free_energy", "self_verification", "judge", "verifier"]

THRESHOLDS: Mapping[By, float] = {
    "logprob": 0.7,
    "margin": 0.5,
    "self_verification": 0.7,
    "judge": 0.5,
    "verifier": 0.5,
}
_ALTERNATIVES: Mapping[By, int] = {"logprob": 0, "margin": 2, "free_energy": 0}
"""How many alternatives of each token are asked for, by those that read log-probabilities."""


class Params(Frozen):
    """When an answer is sure enough."""

    by: By = Field("logprob", description="how it is told how sure an answer is")
    threshold: float | None = Field(
        None,
        description="least sureness that is enough; none: 0.7 by logprob and self_verification, 0.5 by others. By "
        "free_energy it must be given",
    )
    thresholds: Mapping[Name, float] = Field({}, description="instead, for experts by name: each is sure in its way")
    verifier: str | None = Field(
        None, description="an expression over signals, read of the answer as if a user had written it; true: enough"
    )
    judged_by: Name | None = Field(None, description="who checks answers by judge; none: the first of the ranking")
    checks: int = Field(1, ge=1, le=16, description="how often self_verification and judge ask, at once")
    judge_tokens: int = Field(32, ge=1, description="longest reply of a check; more for one that thinks aloud")
    stages: int | None = Field(None, ge=1, description="experts asked at most, the last streamed; none: all ranked")
    budget: Budget = Field(Budget(), description="calls, tokens and seconds at most")

    @model_validator(mode="after")
    def _complete(self) -> "Params":
        if (self.by == "verifier") != (self.verifier is not None):
            raise ValueError("by: verifier needs an expression in 'verifier', and nothing else reads it")
        if self.by == "free_energy" and self.threshold is None:
            raise ValueError("by: free_energy needs a threshold: its scale is each model's own")
        return self


def experts(params: Params) -> Iterable[tuple[str, str]]:
    """The judge, and whoever has a threshold of its own."""
    if params.judged_by is not None:
        yield "judged_by", params.judged_by
    for name in params.thresholds:
        yield f"thresholds.{name}", name


def rules(params: Params) -> Iterable[tuple[str, str]]:
    """The verifier's expression."""
    if params.verifier is not None:
        yield "verifier", params.verifier


def needs(params: Params, use: Sequence[str]) -> Iterable[tuple[str, Feature, str]]:
    """What every stage but the last must give."""
    features: Mapping[By, tuple[Feature, ...]] = {
        "logprob": ("logprobs",),
        "margin": ("logprobs",),
        "free_energy": ("logprobs", "logits"),
    }
    for expert in use[:-1]:
        for feature in features.get(params.by, ()):
            yield "by", feature, expert


class State(TypedDict, total=False):
    """The stage, its answer and how sure it is (None: unknown); the surest so far."""

    stage: int
    voice: Voice | None
    sure: float | None
    most: float


async def answer(state: State, panel: Panel, params: Params) -> Mapping[str, object]:
    """This stage's whole answer; nothing at the last one, which is streamed."""
    stage = state.get("stage", -1) + 1
    if stage == _last(panel.job, params):
        return {"stage": stage, "voice": None, "sure": None}
    sampling = Sampling(logprobs=_ALTERNATIVES.get(params.by), energies=params.by == "free_energy")
    ask = samples(panel.job, panel.job.experts[stage], 1, sampling, shaped=True, role="stage")[0]
    return {"stage": stage, "voice": await panel.ask(ask)}


async def check(state: State, panel: Panel, params: Params) -> Mapping[str, object]:
    """How sure this stage's answer is."""
    voice = state["voice"]
    if voice is None:
        return {"sure": None}
    sure = await _sureness(voice, panel, params)
    shown = "unknown" if sure is None else f"{sure:.3g}"
    panel.job.note(f"{voice['expert']}: {params.by} {shown}, {_threshold(voice['expert'], params):.3g} is enough")
    if sure is not None and sure > state.get("most", -math.inf):
        panel.best = voice
        return {"sure": sure, "most": sure}
    return {"sure": sure}


async def _sureness(voice: Voice, panel: Panel, params: Params) -> float | None:
    if params.by == "verifier":
        return float(await panel.job.holds(params.verifier or "", voice["text"]))
    if params.by == "logprob":
        mean = likelihood(voice)
        return None if mean is None else math.exp(mean)
    if params.by == "margin":
        pairs = [tops for tops in voice["logprobs"] if len(tops) > 1]
        return _mean([math.exp(tops[0]) - math.exp(tops[1]) for tops in pairs])
    if params.by == "free_energy":
        return _mean(voice["energies"])
    own = params.by == "self_verification"
    by = voice["expert"] if own else panel.seat(params.judged_by)
    sampling = {} if params.checks == 1 else {"temperature": 1.0}
    asks = [
        judgement(
            panel.job.call.body["messages"],
            by,
            SURENESS if own else VERIFICATION,
            [voice["text"]],
            role="verify",
            tokens=params.judge_tokens,
            sampling=sampling,
        )
        for _ in range(params.checks)
    ]
    replies = [reply["text"] for reply in await panel.ask_all(asks)]
    told = [number_in(reply, 100) for reply in replies] if own else [yes_in(reply) for reply in replies]
    found = _mean([float(one) for one in told if one is not None])
    return found / 100 if own and found is not None else found


def turn(state: State, panel: Panel, params: Params) -> str:
    """On to the next stage while none was sure enough and the budget has room."""
    enough = state["voice"] is not None and _enough(state, params)
    if enough or state["stage"] >= _last(panel.job, params) or panel.purse.room(1) == 0:
        return "final"
    return "answer"


def conclude(state: State, panel: Panel, params: Params) -> Ask | Voice | None:
    """What was sure enough; the last stage's own answer; where the budget ended before, the surest so far."""
    if state["voice"] is not None and _enough(state, params):
        return state["voice"]
    stage = state["stage"]
    if stage == _last(panel.job, params):
        expert = panel.job.experts[stage]
        write = samples(panel.job, expert, 1, Sampling())[0].write
        return Ask(expert, write, role="answer", instead=False)
    panel.job.note("budget: the surest answer so far is given")
    return panel.best


def _last(job: Job, params: Params) -> int:
    return min(params.stages or len(job.experts), len(job.experts)) - 1


def _threshold(expert: str, params: Params) -> float:
    threshold = params.thresholds.get(expert, params.threshold)
    return THRESHOLDS[params.by] if threshold is None else threshold


def _enough(state: State, params: Params) -> bool:
    voice, sure = state["voice"], state["sure"]
    return voice is not None and sure is not None and sure >= _threshold(voice["expert"], params)


def _mean(values: Sequence[float]) -> float | None:
    return sum(values) / len(values) if values else None


PLAN = Plan(
    State,
    {"answer": answer, "check": check},
    ((START, "answer"), ("answer", "check")),
    "final",
    conclude,
    turns={"check": (turn, ("answer", "final"))},
)


async def run(job: Job, params: Params) -> Answer:
    """The first answer that is sure enough in one piece, or the last stage's, streamed."""
    return await deliberate(PLAN, job, params)
