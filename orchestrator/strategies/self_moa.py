"""Self-MoA: several samples of the single best expert, made into one answer (arXiv 2502.00674, section 3).

Quality counts for more than diversity there: the best expert for the task answers several times, and one call puts its
answers together. Which expert is best is the router's word.
"""

from collections.abc import Iterable, Mapping
from functools import partial
from typing import Any, TypedDict

from pydantic import Field

from experts.call import Answer
from experts.spec import Frozen, Name
from orchestrator.budget import Budget
from orchestrator.deliberation import START, Plan, deliberate
from orchestrator.panel import Ask, Panel
from orchestrator.sampling import Sampling, samples
from orchestrator.strategies import Job
from orchestrator.synthesis import synthesis
from orchestrator.voice import Voice


class Params(Frozen):
    """How many samples, and who puts them together."""

    samples: int = Field(6, ge=2, le=64, description="answers of the best expert")
    temperature: float = Field(0.7, ge=0, le=2, description="of the samples")
    aggregator: Name | None = Field(None, description="who makes one answer of them; none: the same expert")
    budget: Budget = Field(Budget(), description="calls, tokens and seconds at most")


def experts(params: Params) -> Iterable[tuple[str, str]]:
    """The aggregator, where one is named."""
    if params.aggregator is not None:
        yield "aggregator", params.aggregator


class State(TypedDict, total=False):
    """The samples so far."""

    voices: list[Voice]


async def sample(state: State, panel: Panel, params: Params) -> Mapping[str, Any]:
    """All samples at once; one call is kept for the aggregation."""
    asks = samples(panel.job, panel.seat(None), params.samples, Sampling(temperature=params.temperature))
    return {"voices": await panel.ask_all(asks, keep=1)}


def conclude(state: State, panel: Panel, params: Params) -> Ask | Voice | None:
    """One answer of all; of a single one itself."""
    voices = state["voices"]
    if len(voices) < 2:
        return voices[0] if voices else None
    write = partial(synthesis, panel.job.call.body["messages"])
    return Ask(panel.seat(params.aggregator), write, [voice["text"] for voice in voices], role="aggregate")


PLAN = Plan(State, {"sample": sample}, ((START, "sample"), ("sample", "aggregate")), "aggregate", conclude)


async def run(job: Job, params: Params) -> Answer:
    """The aggregation, streamed as it comes."""
    return await deliberate(PLAN, job, params)
