"""The shape of the conversation: how many messages of whom, tools, images, and whether a tool loop is running.

Knows none of its words.
"""

from collections.abc import Callable
from typing import Literal, TypeAlias

from pydantic import Field

from experts.spec import Frozen
from router.prompt import Prompt
from router.session import tool_loop
from router.signals import Evaluate, Signal
from router.tools import Tools

COST = "cheap"
NEEDS: frozenset[str] = frozenset()
EXAMPLE = {"of": "turns", "gte": 2}

Counted: TypeAlias = Literal[
    "messages",
    "user",
    "assistant",
    "system",
    "developer",
    "tool",
    "non_user",
    "turns",
    "tools",
    "tool_calls",
    "tool_results",
    "tool_loop",
    "images",
    "audio",
]
Count: TypeAlias = Callable[[Prompt], int]


class Params(Frozen):
    """What is counted, and the bounds that must hold; without any, one is enough."""

    of: Counted = Field(
        description="messages, or those of one role; turns: runs of user messages; tools: "
        "declared; tool_calls, tool_results: made and returned; tool_loop: 1 while one is running; images, audio"
    )
    gt: int | None = Field(None, ge=0, description="it must be above this")
    gte: int | None = Field(None, ge=0, description="it must be at least this")
    lt: int | None = Field(None, ge=0, description="it must be below this")
    lte: int | None = Field(None, ge=0, description="it must be at most this")


def build(params: Params, tools: Tools) -> Evaluate:
    """The signal's value and count are the number counted."""
    count, gt, gte, lt, lte = _COUNTS[params.of], params.gt, params.gte, params.lt, params.lte
    least = 1 if gt is gte is lt is lte is None else 0

    def evaluate(prompt: Prompt) -> Signal:
        number = count(prompt)
        matched = (
            number >= least
            and (gt is None or number > gt)
            and (gte is None or number >= gte)
            and (lt is None or number < lt)
            and (lte is None or number <= lte)
        )
        return Signal(matched, value=number, count=number)

    return evaluate


def _role(*roles: str) -> Count:
    return lambda prompt: sum(message.role in roles for message in prompt.messages)


def _turns(prompt: Prompt) -> int:
    before = ""
    turns = 0
    for message in prompt.messages:
        turns += message.role == "user" != before
        before = message.role
    return turns


_COUNTS: dict[Counted, Count] = {
    "messages": lambda prompt: len(prompt.messages),
    "user": _role("user"),
    "assistant": _role("assistant"),
    "system": _role("system"),
    "developer": _role("developer"),
    "tool": _role("tool", "function"),
    "non_user": lambda prompt: sum(message.role != "user" for message in prompt.messages),
    "turns": _turns,
    "tools": lambda prompt: len(prompt.tools),
    "tool_calls": lambda prompt: sum(len(message.calls) for message in prompt.messages),
    "tool_results": _role("tool", "function"),
    "tool_loop": lambda prompt: int(tool_loop(prompt)),
    "images": lambda prompt: sum(message.images for message in prompt.messages),
    "audio": lambda prompt: sum(message.audio for message in prompt.messages),
}
