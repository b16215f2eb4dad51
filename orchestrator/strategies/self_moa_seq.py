"""Self-MoA-Seq: more samples than one context holds, folded in a sliding window (arXiv 2502.00674, section 3.2).

The best expert's samples are put together a window at a time; the synthesis so far takes the first place of the next
window. So the context of every call is bounded by the window, however many samples there are.
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
    """How many samples, how many at a time, and who puts them together."""

    samples: int = Field(12, ge=2, le=256, description="answers of the best expert")
    window: int = Field(6, ge=2, le=64, description="texts that one synthesis reads, the one so far included")
    temperature: float = Field(0.7, ge=0, le=2, description="of the samples")
    aggregator: Name | None = Field(None, description="who makes one answer of them; none: the same expert")
    budget: Budget = Field(Budget(), description="calls, tokens and seconds at most")


def experts(params: Params) -> Iterable[tuple[str, str]]:
    """The aggregator, where one is named."""
    if params.aggregator is not None:
        yield "aggregator", params.aggregator


class State(TypedDict, total=False):
    """The synthesis so far, and the samples that are not in it yet."""

    kept: Voice | None
    voices: list[Voice]


def syntheses(samples: int, window: int) -> int:
    """Calls that put so many samples together: each after the first takes one text less that is new."""
    return 1 + max(0, -(-(samples - window) // (window - 1))) if samples > 1 else 0


async def sample(state: State, panel: Panel, params: Params) -> Mapping[str, Any]:
    """As many samples as the budget can also put together, all at once."""
    room = panel.purse.room(params.samples + syntheses(params.samples, params.window))
    most = max((n for n in range(1, params.samples + 1) if n + syntheses(n, params.window) <= room), default=1)
    if most < params.samples:
        panel.job.note(f"budget: {most} of {params.samples} samples")
    asks = samples(panel.job, panel.seat(None), most, Sampling(temperature=params.temperature))
    return {"kept": None, "voices": await panel.ask_all(asks)}


def window(state: State, size: int) -> list[Voice]:
    """What the next synthesis reads."""
    kept = state["kept"]
    return ([] if kept is None else [kept]) + state["voices"][: size if kept is None else size - 1]


def synthesize(voices: list[Voice], panel: Panel, params: Params, role: str) -> Ask:
    """One answer of several."""
    write = partial(synthesis, panel.job.call.body["messages"])
    return Ask(panel.seat(params.aggregator), write, [voice["text"] for voice in voices], role=role, shaped=True)


async def fold(state: State, panel: Panel, params: Params) -> Mapping[str, Any]:
    """One window becomes the synthesis so far. Where the call fails the one before stays."""
    read = window(state, params.window)
    made = await panel.ask(synthesize(read, panel, params, "fold"), keep=1)
    panel.best = made or read[0]
    return {"kept": panel.best, "voices": state["voices"][len(read) - (state["kept"] is not None) :]}


def more(state: State, panel: Panel, params: Params) -> str:
    """Fold again while more is left than the last synthesis may read, and the budget lets it."""
    left = len(state["voices"]) + (state["kept"] is not None)
    return "fold" if left > params.window and panel.purse.room(2) > 1 else "aggregate"


def conclude(state: State, panel: Panel, params: Params) -> Ask | Voice | None:
    """The last window; of a single text itself."""
    voices = window(state, params.window)
    if len(voices) < 2:
        return voices[0] if voices else None
    return synthesize(voices, panel, params, "aggregate")


PLAN = Plan(
    State,
    {"sample": sample, "fold": fold},
    ((START, "sample"),),
    "aggregate",
    conclude,
    {"sample": (more, ("fold", "aggregate")), "fold": (more, ("fold", "aggregate"))},
)


async def run(job: Job, params: Params) -> Answer:
    """The last synthesis, streamed as it comes."""
    return await deliberate(PLAN, job, params)
