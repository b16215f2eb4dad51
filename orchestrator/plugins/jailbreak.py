"""Attacks refused: in what the user and tools say, and where an answer shows that one succeeded.

It asks the signal `jailbreak`, whose head was trained on requests. So the way in is what docs/benchmarks.md measures; an
answer is judged by the same head, which finds a harmful instruction that an answer repeats or spells out, and was not
measured on answers. A constraint (`when: attack, refuse: …`) does the way in for every decision; this is for one.
"""

from typing import Literal

from pydantic import Field

from experts.call import Answer
from experts.spec import Frozen
from orchestrator.plugins import Kit, Plugin, Turn
from orchestrator.request import Text
from orchestrator.rewriting import gathered
from router.prompt import Message, Prompt
from router.signals import EvaluateLater
from router.tools import Tools

EXAMPLE: dict[str, object] = {}


class Params(Frozen):
    """Which sides are looked at, and how sure it must be."""

    side: Literal["request", "answer", "both"] = Field("both", description="what is judged")
    threshold: float | None = Field(
        None, ge=0, le=1, description="probability from which a request is refused; default: the head's own"
    )
    answer_threshold: float = Field(0.9, ge=0, le=1, description="probability from which an answer is refused")
    refusal: str = Field("I can't help with that.", min_length=1, description="what is said instead")


def build(params: Params, kit: Kit) -> Plugin:
    """With an answer side it reads whole answers: a stream begins once the answer is complete."""
    return _Jailbreak(params, kit)


class _Jailbreak(Plugin):
    def __init__(self, params: Params, kit: Kit) -> None:
        self._params = params
        self._request: EvaluateLater | None = None
        self._answer: EvaluateLater | None = None
        if kit.embedder is not None:
            from router.signals import jailbreak as signal

            tools = Tools(embedding=kit.embedder)
            self._request = signal.build(signal.Params(threshold=params.threshold), tools)
            self._answer = signal.build(
                signal.Params(threshold=params.answer_threshold, kinds=("harmful request",)), tools
            )

    async def enter(self, turn: Turn) -> Answer | None:
        if self._params.side == "answer" or self._request is None:
            return None
        found = await self._request(turn.prompt)
        if not found.matched:
            return None
        turn.notes.append(f"jailbreak: the request is refused ({found.label}, {found.confidence:.2f})")
        return self._refusal(turn)

    async def leave(self, turn: Turn, answer: Answer) -> Answer:
        if self._params.side == "request" or self._answer is None:
            return answer
        chat = "messages" in turn.call.body
        whole = await gathered(answer, stream=turn.call.stream, chat=chat, ask_usage=turn.ask_usage)
        for text in whole.texts:
            found = await self._answer(Prompt((Message("user", text),)))
            if found.matched:
                turn.notes.append(f"jailbreak: the answer is withheld ({found.confidence:.2f})")
                refusal = self._refusal(turn)
                refusal.usage = whole.usage
                return refusal
        return whole

    def _refusal(self, turn: Turn) -> Text:
        return Text(
            self._params.refusal,
            call=turn.call,
            model=turn.model,
            created=turn.created,
            ask_usage=turn.ask_usage,
            finish="content_filter",
        )
