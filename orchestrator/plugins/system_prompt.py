"""The system prompt: put one where there is none, replace the client's, or add to it."""

from dataclasses import replace
from typing import Literal

from pydantic import Field

from experts.call import Answer
from experts.spec import Frozen
from orchestrator.plugins import Kit, Plugin, Turn

EXAMPLE = {"text": "Answer in one sentence."}


class Params(Frozen):
    """The text, and what becomes of the client's own."""

    text: str = Field(min_length=1, description="the system prompt")
    mode: Literal["insert", "replace", "append"] = Field(
        "append",
        description="insert: only where the client sent none; replace: instead of all of its system messages; append: "
        "behind the client's, or as the only one",
    )


def build(params: Params, kit: Kit) -> Plugin:
    """It changes chats; plain completions have no system prompt and stay as they are."""
    return _SystemPrompt(params)


class _SystemPrompt(Plugin):
    def __init__(self, params: Params) -> None:
        self._params = params

    async def enter(self, turn: Turn) -> Answer | None:
        messages, text = turn.messages, self._params.text
        own = [at for at, message in enumerate(messages) if message.get("role") in ("system", "developer")]
        if not messages or (own and self._params.mode == "insert"):
            return None
        if own and self._params.mode == "append":
            last = messages[own[-1]]
            messages[own[-1]] = {**last, "content": _added(last.get("content"), text)}
        else:
            rest = [message for at, message in enumerate(messages) if at not in own]
            messages = [{"role": "system", "content": text}, *rest]
        turn.call = replace(turn.call, body={**turn.call.body, "messages": messages})
        return None


def _added(content: object, text: str) -> object:
    """A message's content, a string or parts, with a text behind it."""
    if isinstance(content, list):
        return [*content, {"type": "text", "text": text}]
    return f"{content}\n\n{text}" if content else text
