"""Mixture of Agents: layers of proposers that read each other, an aggregator at the end (arXiv 2406.04692, section 2.2).

Every layer's proposers answer in parallel; the answers of one layer, numbered, stand in the system prompt of the next, to
be judged critically and not copied. The aggregator reads the last layer and its answer is streamed. Layers are counted
without the aggregator: the paper's three-layer MoA has two here, its MoA-Lite one.
"""

from collections.abc import Iterable, Mapping
from functools import partial
from itertools import cycle, islice
from typing import Any, TypedDict

from pydantic import Field

from experts.call import Answer
from experts.spec import Frozen, Name
from orchestrator.budget import Budget
from orchestrator.deliberation import START, Plan, deliberate
from orchestrator.panel import Ask, Panel
from orchestrator.sampling import Sampling
from orchestrator.strategies import Job
from orchestrator.synthesis import synthesis
from orchestrator.voice import Voice


class Params(Frozen):
    """How many layers of whom, and who puts the last one together."""

    layers: int = Field(2, ge=1, le=8, description="layers of proposers before the aggregator")
    width: int = Field(
        3, ge=1, le=32, description="proposers in a layer: the first ranked; fewer experts answer several times"
    )
    proposers: tuple[Name, ...] = Field((), description="the proposers by name; none: the ranked experts")
    temperature: float = Field(0.7, ge=0, le=2, description="of the proposers")
    aggregator: Name | None = Field(None, description="who makes the answer; none: the best ranked expert")
    budget: Budget = Field(Budget(), description="calls, tokens and seconds at most")


def experts(params: Params) -> Iterable[tuple[str, str]]:
    """Whoever is named."""
    for at, name in enumerate(params.proposers):
        yield f"proposers.{at}", name
    if params.aggregator is not None:
        yield "aggregator", params.aggregator


class State(TypedDict, total=False):
    """How many layers are done, and what the last of them said."""

    layer: int
    voices: list[Voice]


def proposers(panel: Panel, params: Params) -> list[str]:
    """Who answers in each layer: the named ones that may see the request, else the ranked ones in turn."""
    named = []
    for name in params.proposers:
        why = panel.job.permits(name)
        if why is None:
            named.append(name)
        else:
            panel.job.note(f"{name} is not asked: {why}")
    return named or list(islice(cycle(panel.job.experts), params.width))


async def propose(state: State, panel: Panel, params: Params) -> Mapping[str, Any]:
    """One layer at once; one call is kept for the aggregator. A layer that nobody answers leaves the one before."""
    layer, before = state.get("layer", 0), state.get("voices", [])
    client, write = panel.job.call.body, partial(synthesis, panel.job.call.body["messages"])
    sampling, texts = Sampling(temperature=params.temperature), [voice["text"] for voice in before]
    names = proposers(panel, params)
    asks = [
        Ask(name, write, texts, f"layer {layer + 1}", sampling.fields(client, layer * len(names) + at))
        for at, name in enumerate(names)
    ]
    voices = await panel.ask_all(asks, keep=1)
    if voices:
        panel.best = voices[0]
    return {"layer": layer + 1, "voices": voices or before}


def more(state: State, panel: Panel, params: Params) -> str:
    """The next layer, while there is one, somebody answered and the budget has room for it and the aggregator."""
    ready = state["layer"] < params.layers and state["voices"] and panel.purse.room(2) > 1
    return "propose" if ready else "aggregate"


def conclude(state: State, panel: Panel, params: Params) -> Ask | Voice | None:
    """The aggregator over the last layer; a single answer of a single layer stands as it is."""
    voices = state["voices"]
    if not voices or (len(voices) == 1 and params.aggregator is None):
        return voices[0] if voices else None
    write = partial(synthesis, panel.job.call.body["messages"])
    return Ask(panel.seat(params.aggregator), write, [voice["text"] for voice in voices], role="aggregate")


PLAN = Plan(
    State,
    {"propose": propose},
    ((START, "propose"),),
    "aggregate",
    conclude,
    {"propose": (more, ("propose", "aggregate"))},
)


async def run(job: Job, params: Params) -> Answer:
    """The aggregator's answer, streamed as it comes."""
    return await deliberate(PLAN, job, params)
