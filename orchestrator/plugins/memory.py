"""What the user said of themselves before, told to the experts: only where the user has switched memory on (`PUT /v1/memory`).

Facts are taken from the user's own last turn by stated rules (`orchestrator/facts.py`), never from what an expert, a tool or
a document says. They are recalled by their similarity to the last turn and shown as data. Everybody can list and delete
what is remembered of them; nothing else deletes it, whatever `store.keep` says.
"""

from dataclasses import replace
from typing import Any

from pydantic import Field

from experts.call import Answer
from experts.errors import ConfigError
from experts.spec import Frozen
from orchestrator.foreign import admitted
from orchestrator.plugins import Kit, Plugin, Turn
from orchestrator.synthesis import instructed, quoted

EXAMPLE: dict[str, Any] = {}

TOLD = "The user said the following of themselves in earlier conversations. Use it where it helps to answer."


class Params(Frozen):
    """What is recalled, and whether anything new is remembered."""

    most: int = Field(5, ge=1, le=50, description="facts told to the experts, at most")
    similarity: float = Field(0.2, ge=0, le=1, description="cosine to the last turn from which a fact is told")
    learn: bool = Field(True, description="whether new facts are taken from the user's turns")


def build(params: Params, kit: Kit) -> Plugin:
    """Off for everyone who has not switched it on."""
    return _Memory(params, kit)


class _Memory(Plugin):
    def __init__(self, params: Params, kit: Kit) -> None:
        self._params = params
        self._memories = kit.memories

    async def enter(self, turn: Turn) -> Answer | None:
        if self._memories is None:
            raise ConfigError("memory needs the store, which is not available here")
        messages = turn.messages
        if not messages or messages[-1].get("role") != "user" or not await self._memories.is_on(turn.key):
            return None
        asked = turn.prompt.last_text
        known = await self._memories.recall(turn.key, asked, self._params.most, self._params.similarity)
        texts = [one.text for one in known]
        texts = [texts[at] for at in await admitted(turn, texts, "memory")]
        if texts:
            told = instructed(messages, TOLD, quoted(texts, "memory"), "memory")
            turn.call = replace(turn.call, body={**turn.call.body, "messages": told})
            turn.notes.append(f"memory: {len(texts)} facts told")
        if self._params.learn and (new := await self._memories.remember(turn.key, asked)):
            turn.notes.append(f"memory: {len(new)} facts remembered")
        return None
