"""Fallback: one answer, and the next expert's where it will not do.

`single` moves on only while nothing has been said. Here an answer that is there may be refused too: empty, cut off, held
back by a filter, or itself a refusal. So it is read to its end before the client sees any of it, and told in one piece;
only where nothing has been said and one expert is left is that one's answer streamed as it comes. If none will do, the
least bad is given.
"""

import re
from collections.abc import Mapping
from typing import Literal, TypeAlias, TypedDict

from pydantic import Field

from experts.call import Answer
from experts.spec import Frozen
from orchestrator.budget import Budget
from orchestrator.deliberation import START, Plan, deliberate
from orchestrator.panel import Ask, Panel
from orchestrator.sampling import Sampling, samples
from orchestrator.strategies import Job
from orchestrator.voice import Voice

Fault: TypeAlias = Literal["empty", "length", "content_filter", "refusal"]

_BADNESS: dict[Fault, int] = {"length": 0, "refusal": 1, "content_filter": 2}
_REFUSAL = re.compile(
    r"\W*(?:(?:i(?:'|’)?m|i am) (?:very |really |truly )?(?:sorry|afraid)\b.{0,40}?\b(?:can(?:no|'|’)t|unable|not able)"
    r"|(?:sorry, )?(?:but )?i (?:can(?:no|'|’)t|am (?:unable|not able) to|(?:wo|do)n(?:'|’)t) "
    r"(?:help|assist|comply|answer|fulfil|provide|do that|create|write)"
    r"|as an ai\b.{0,60}?\b(?:can(?:no|'|’)t|unable|not able))",
    re.IGNORECASE | re.DOTALL,
)


class Params(Frozen):
    """What will not do, and how often to try."""

    also_on: tuple[Fault, ...] = Field(
        ("empty", "content_filter"),
        description="answers that the next expert replaces: cut at max_tokens (length), held back by a filter "
        "(content_filter), refused in words (refusal: English phrases at its beginning). An empty one always is",
    )
    attempts: int = Field(3, ge=1, le=20, description="experts asked at most, in the order of the ranking")
    budget: Budget = Field(Budget(), description="calls, tokens and seconds at most")


class State(TypedDict, total=False):
    """How many were asked, what they said, and what will do."""

    tried: int
    voices: list[Voice]
    good: Voice | None


def fault(voice: Voice) -> Fault | None:
    """What is wrong with an answer, None where nothing is."""
    if voice["finish"] in ("length", "content_filter"):
        return "length" if voice["finish"] == "length" else "content_filter"
    return "refusal" if _REFUSAL.match(voice["text"]) else None


async def ask(state: State, panel: Panel, params: Params) -> Mapping[str, object]:
    """The next expert's whole answer."""
    tried = state.get("tried", 0)
    expert = panel.job.experts[tried]
    voice = await panel.ask(_asked(panel.job, expert))
    found = {"tried": tried + 1, "voices": state.get("voices", []), "good": None}
    if voice is None:
        panel.job.note(f"{expert}: no answer")
        return found
    wrong = fault(voice)
    if wrong is None or wrong not in params.also_on:
        return {**found, "good": voice}
    panel.job.note(f"{expert}: {wrong}")
    voices = [*state.get("voices", []), voice]
    panel.best = _least_bad(voices)
    return {**found, "voices": voices}


def turn(state: State, panel: Panel, params: Params) -> str:
    """On to the next expert, unless an answer will do or nothing is left; the last one may stream where nobody spoke."""
    left = _allowed(panel.job, params) - state["tried"]
    if state["good"] is not None or left == 0 or panel.purse.room(1) == 0:
        return "answer"
    return "ask" if left > 1 or state["voices"] else "answer"


def conclude(state: State, panel: Panel, params: Params) -> Ask | Voice | None:
    """What will do, else the least bad, else the last expert's own."""
    if state["good"] is not None or state["voices"]:
        return state["good"] or _least_bad(state["voices"])
    if state["tried"] < _allowed(panel.job, params):
        return _asked(panel.job, panel.job.experts[state["tried"]])
    return None


def _allowed(job: Job, params: Params) -> int:
    return min(params.attempts, len(job.experts))


def _asked(job: Job, expert: str) -> Ask:
    return samples(job, expert, 1, Sampling(), shaped=True, role="answer")[0]


def _least_bad(voices: list[Voice]) -> Voice:
    return min(voices, key=lambda voice: _BADNESS[fault(voice) or "length"])


PLAN = Plan(State, {"ask": ask}, ((START, "ask"),), "answer", conclude, turns={"ask": (turn, ("ask", "answer"))})


async def run(job: Job, params: Params) -> Answer:
    """The first answer that will do. With one expert, or one attempt, there is nothing to fall back on: it streams."""
    if _allowed(job, params) == 1:
        return await job.attempts.first(job.experts[:1], job.call, ask_usage=job.ask_usage)
    return await deliberate(PLAN, job, params)
