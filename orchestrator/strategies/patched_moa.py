"""Patched MOA: several samples of one expert, its critique of them, the final answer (arXiv 2407.18521; optillm's `moa`).

A single cheap expert plays every part: it answers three times, says what is good and bad about each answer, and answers
once more with answers and critique before it.
"""

from collections.abc import Iterable, Mapping, Sequence
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
from orchestrator.synthesis import SYNTHESIS, shown
from orchestrator.voice import Messages, Voice

CRITIQUE = (
    "Several answers to the user's last message are given below. Do not answer the message yourself. Say of each answer, "
    "by its number, what is right and what is wrong or missing in it, and which one is the best."
)


class Params(Frozen):
    """How many samples, and who criticises them."""

    samples: int = Field(3, ge=2, le=32, description="answers of the best expert")
    temperature: float = Field(0.7, ge=0, le=2, description="of the samples")
    critic: Name | None = Field(None, description="who criticises the samples; none: the same expert")
    aggregator: Name | None = Field(None, description="who gives the final answer; none: the same expert")
    budget: Budget = Field(Budget(), description="calls, tokens and seconds at most")


def experts(params: Params) -> Iterable[tuple[str, str]]:
    """Whoever is named."""
    for place in ("critic", "aggregator"):
        if (name := getattr(params, place)) is not None:
            yield place, name


class State(TypedDict, total=False):
    """The samples, and what the critic says of them."""

    voices: list[Voice]
    critique: str | None


async def sample(state: State, panel: Panel, params: Params) -> Mapping[str, Any]:
    """All samples at once; two calls are kept for what follows."""
    asks = samples(panel.job, panel.seat(None), params.samples, Sampling(temperature=params.temperature))
    return {"voices": await panel.ask_all(asks, keep=2)}


async def criticise(state: State, panel: Panel, params: Params) -> Mapping[str, Any]:
    """One critique of all samples; the answer does without where it fails."""
    if not state["voices"]:
        return {"critique": None}

    def write(answers: Sequence[str]) -> Messages:
        return shown(panel.job.call.body["messages"], CRITIQUE, answer=answers)

    texts = [voice["text"] for voice in state["voices"]]
    said = await panel.ask(Ask(panel.seat(params.critic), write, texts, "critique", least=1, aside=True), keep=1)
    if said is None:
        panel.job.note("there is no critique")
    return {"critique": said["text"] if said is not None else None}


def revised(messages: Messages, critique: str | None, texts: Sequence[str]) -> Messages:
    """The conversation for the final answer. The critique comes first among `texts`, where its reader may see it."""
    criticised = critique is not None and texts[:1] == [critique]
    answers = texts[1:] if criticised else texts
    instruction = f"{SYNTHESIS} A critique of them is given, too: it may be wrong." if criticised else SYNTHESIS
    return shown(messages, instruction, answer=answers, critique=texts[:1] if criticised else ())


def conclude(state: State, panel: Panel, params: Params) -> Ask | Voice | None:
    """The final answer over samples and critique; a single sample without critique stands as it is."""
    voices, critique = state["voices"], state["critique"]
    if not voices or (len(voices) == 1 and critique is None):
        return voices[0] if voices else None
    texts = [voice["text"] for voice in voices]
    write = partial(revised, panel.job.call.body["messages"], critique)
    quotes = texts if critique is None else [critique, *texts]
    return Ask(panel.seat(params.aggregator), write, quotes, role="aggregate")


PLAN = Plan(
    State,
    {"sample": sample, "criticise": criticise},
    ((START, "sample"), ("sample", "criticise"), ("criticise", "aggregate")),
    "aggregate",
    conclude,
)


async def run(job: Job, params: Params) -> Answer:
    """The final answer, streamed as it comes."""
    return await deliberate(PLAN, job, params)
