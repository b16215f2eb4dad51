"""A plugin of one's own: tells experts what day it is. Its file's name is its name in the policy."""

from dataclasses import replace
from datetime import UTC, datetime

from pydantic import Field

from experts.call import Answer
from experts.spec import Frozen
from orchestrator.plugins import Kit, Plugin, Turn


class Params(Frozen):
    """How the day is told."""

    words: str = Field("Today is {day}.", description="{day} becomes the date, as 2026-01-31, UTC")


def build(params: Params, kit: Kit) -> Plugin:
    """`kit` holds what a plugin may use: the embedder, the store, clocks."""
    return Today(params.words, kit)


class Today(Plugin):
    """In front of the conversation, as a system prompt."""

    def __init__(self, words: str, kit: Kit) -> None:
        self.words, self.kit = words, kit

    async def enter(self, turn: Turn) -> Answer | None:
        """Change what experts will be sent; an answer returned here would end it."""
        day = datetime.fromtimestamp(self.kit.wall(), UTC).date().isoformat()
        messages = [{"role": "system", "content": self.words.format(day=day)}, *turn.messages]
        turn.call = replace(turn.call, body={**turn.call.body, "messages": messages})
        return None
