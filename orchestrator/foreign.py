"""Texts that are not the user's, before they go into a prompt: judged by the policy's constraints as the user's would be,
and kept from experts that may not see them. Knows no plugin."""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from experts.call import Answer, Call
from orchestrator.synthesis import quoted

if TYPE_CHECKING:
    from orchestrator.plugins import Turn

WITHHELD = "(withheld)"


async def admitted(turn: "Turn", texts: Sequence[str], tag: str) -> list[int]:
    """The places of those texts that every expert of the turn may see; why others stay out goes into the trace.

    `tag` is what `quoted` will call them. A text that some of the experts may not see is left out, not the experts: the request was routed to them.
    """
    judged = await asyncio.gather(*(turn.judge(text) for text in texts))
    kept = []
    for at, why_not in enumerate(judged):
        reasons = [reason for expert in turn.experts if (reason := why_not(expert)) is not None]
        if reasons:
            turn.notes.append(f"a {tag} was left out: {reasons[0]}")
        else:
            kept.append(at)
    if kept:
        # before all others: what pii masks would not be found again
        turn.around.insert(0, _Withheld({_inside(texts[at], tag): judged[at] for at in kept}))
    return kept


def _inside(text: str, tag: str) -> str:
    """A text as it will stand between its marks."""
    return quoted([text], tag).partition("\n")[2].rpartition("\n")[0]


class _Withheld:
    """Around every call: a strategy may ask experts that the turn does not name, an aggregator for one."""

    def __init__(self, texts: Mapping[str, Callable[[str], str | None]]) -> None:
        self._texts = texts

    def out(self, expert: str, call: Call) -> Call:
        secret = [text for text, why_not in self._texts.items() if why_not(expert) is not None]
        if not secret or "messages" not in call.body:
            return call
        return replace(call, body={**call.body, "messages": _without(call.body["messages"], secret)})

    def back(self, expert: str, answer: Answer) -> Answer:
        return answer


def _without(messages: Sequence[Mapping[str, Any]], texts: Sequence[str]) -> list[Mapping[str, Any]]:
    """System messages without these texts: that is where they were put."""
    told = []
    for message in messages:
        content = message.get("content")
        if message.get("role") in ("system", "developer") and isinstance(content, str):
            for text in texts:
                content = content.replace(text, WITHHELD)
            message = {**message, "content": content}
        told.append(message)
    return told
