"""A history beyond a number of tokens: its middle is left out, what was said first and last is kept, tool pairs whole.

Nothing is summarised: what a request still holds is what was said, word for word.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from pydantic import Field

from experts.call import Answer
from experts.spec import Frozen
from orchestrator.plugins import Kit, Plugin, Turn
from orchestrator.synthesis import instructed
from orchestrator.voice import text_of
from router.prompt import TOKENS_PER_MESSAGE, estimate

EXAMPLE = {"tokens": 3000}

_OMITTED = "({number} messages from the middle of this conversation were left out.)"


class Params(Frozen):
    """The bound, and what is never left out."""

    tokens: int = Field(ge=64, description="estimated tokens of all messages at most")
    keep_first: int = Field(1, ge=0, description="turns at the start that stay, besides system prompts")
    keep_last: int = Field(2, ge=1, description="turns at the end that stay, even if they alone are longer")
    mark: bool = Field(True, description="whether the system prompt says that messages were left out")


def build(params: Params, kit: Kit) -> Plugin:
    """A turn is a user's message and what answers it, tool calls and their results included."""
    return _Compress(params)


class _Compress(Plugin):
    def __init__(self, params: Params) -> None:
        self._params = params

    async def enter(self, turn: Turn) -> Answer | None:
        messages = turn.messages
        kept, number = compressed(messages, self._params)
        if number:
            turn.notes.append(f"compress: {number} of {len(messages)} messages left out")
            turn.call = replace(turn.call, body={**turn.call.body, "messages": kept})
        return None


def compressed(messages: Sequence[Mapping[str, Any]], params: Params) -> tuple[list[Mapping[str, Any]], int]:
    """The messages, whole turns of the middle left out, the oldest first, until they fit; and how many those are. Pure."""
    system: list[Mapping[str, Any]] = [
        message for message in messages if message.get("role") in ("system", "developer")
    ]
    turns = _turns([message for message in messages if message.get("role") not in ("system", "developer")])
    total = sum(map(_tokens, messages))
    first, last = params.keep_first, max(params.keep_first, len(turns) - params.keep_last)
    gone = 0
    while total > params.tokens and first + gone < last:
        total -= sum(map(_tokens, turns[first + gone]))
        gone += 1
    number = sum(map(len, turns[first : first + gone]))
    if number and params.mark:  # many chat templates take a system prompt at the start only
        system = instructed(system, _OMITTED.format(number=number))
    rest = [message for turn in (*turns[:first], *turns[first + gone :]) for message in turn]
    return [*system, *rest], number


def _turns(messages: Sequence[Mapping[str, Any]]) -> list[list[Mapping[str, Any]]]:
    """Each user message with all that follows it until the next; so calls and results of tools stay together."""
    found: list[list[Mapping[str, Any]]] = []
    for message in messages:
        if message.get("role") == "user" or not found:
            found.append([])
        found[-1].append(message)
    return found


def _tokens(message: Mapping[str, Any]) -> float:
    calls = sum(len(str(call)) for call in message.get("tool_calls") or ())
    return estimate(text_of(message)) + TOKENS_PER_MESSAGE + 0.28 * calls
