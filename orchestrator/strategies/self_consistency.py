"""Self-consistency: several samples, the answer most of them agree on (Wang et al., arXiv 2203.11171).

Samples are read for their answer (`orchestrator/extraction.py`) and vote. Asking stops as soon as those still to come
cannot change the winner, not even make it a tie. What the client gets is the first sample that says it. Answers in free
words hardly ever agree: this is for questions with one short answer.
"""

from collections.abc import Mapping, Sequence
from typing import TypedDict

from pydantic import Field

from experts.call import Answer
from experts.spec import Frozen
from orchestrator.budget import Budget
from orchestrator.deliberation import START, Plan, deliberate
from orchestrator.extraction import Kind, answer_of
from orchestrator.panel import Ask, Panel, asked_text
from orchestrator.sampling import Sampling, samples
from orchestrator.strategies import Job
from orchestrator.voice import Voice


class Params(Frozen):
    """Who votes, and on what."""

    samples: int = Field(5, ge=2, le=128, description="answers that vote")
    experts: int = Field(1, ge=1, le=16, description="how many of the ranked experts give them, in turn")
    temperature: float = Field(0.7, ge=0, le=2, description="of the samples")
    weighted: bool = Field(
        True, description="votes of several experts weigh as the selector scored them, where all scores are above 0"
    )
    answer: Kind = Field("auto", description="what in a sample is its answer: auto, number, choice, json or text")
    budget: Budget = Field(Budget(), description="calls, tokens and seconds at most")


class State(TypedDict, total=False):
    """The sample that says what won."""

    winner: Voice | None


def standing(votes: Mapping[int, str], weights: Sequence[float]) -> tuple[str, float]:
    """The answer that leads and by how much: of equals the one that the lowest number gave. `votes` are by number."""
    totals: dict[str, float] = {}
    for at in sorted(votes):
        totals[votes[at]] = totals.get(votes[at], 0.0) + weights[at]
    leader = max(totals, key=totals.__getitem__)
    others = [total for answer, total in totals.items() if answer != leader]
    return leader, totals[leader] - max(others, default=0.0)


async def vote(state: State, panel: Panel, params: Params) -> Mapping[str, object]:
    """All samples at once, counted as they come."""
    job = panel.job
    voters = job.experts[: params.experts]
    asks = samples(job, voters, params.samples, Sampling(temperature=params.temperature), shaped=True)
    weights = _weights(job, asks, params)
    prompt = asked_text(job)
    votes: dict[int, str] = {}
    came: dict[int, Voice] = {}
    winner: Voice | None = None
    async with panel.each(asks) as voices:
        async for at, voice in voices:
            came[at] = voice
            answer = answer_of(voice["text"], prompt=prompt, kind=params.answer, cut=voice["finish"] == "length")
            if answer is None:
                continue
            votes[at] = answer
            leader, lead = standing(votes, weights)
            winner = panel.best = came[min(at for at, said in votes.items() if said == leader)]
            if lead > sum(weights[other] for other in range(len(asks)) if other not in came):
                break
    if winner is not None:
        leader, _ = standing(votes, weights)
        agreed = sum(said == leader for said in votes.values())
        stopped = f"; stopped after {len(came)} of {len(asks)}" if len(came) < len(asks) else ""
        job.note(f"vote: {leader[:80]!r} by {agreed} of {len(came)}{stopped}")
    elif came:
        job.note(f"vote: no answer of the kind {params.answer} was found in {len(came)} samples")
    return {"winner": winner}


def _weights(job: Job, asks: Sequence[Ask], params: Params) -> list[float]:
    scores = [job.scores.get(ask.expert, 0.0) for ask in asks]
    if params.weighted and len({ask.expert for ask in asks}) > 1 and min(scores) > 0:
        return scores
    return [1.0] * len(asks)


def conclude(state: State, panel: Panel, params: Params) -> Voice | None:
    """The sample that carries the winning answer; where none was found, the first that came."""
    return state["winner"]


PLAN = Plan(State, {"vote": vote}, ((START, "vote"), ("vote", "winner")), "winner", conclude)


async def run(job: Job, params: Params) -> Answer:
    """The first sample that says what most say, in one piece."""
    return await deliberate(PLAN, job, params)
