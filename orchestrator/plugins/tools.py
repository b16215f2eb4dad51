"""Tools: which of a request's the experts get to see: those allowed, those not dropped, those that fit what is asked.

A tool that the conversation has already called stays, and so does one that `tool_choice` names.
"""

from collections.abc import Mapping
from dataclasses import replace
from fnmatch import fnmatchcase
from typing import Any

from pydantic import Field, model_validator

from experts.call import Answer
from experts.errors import ConfigError
from experts.spec import Frozen
from orchestrator.plugins import Kit, Plugin, Turn
from router.prompt import needs

EXAMPLE = {"drop": ["delete_*"]}


class Params(Frozen):
    """At least one of the three. Patterns are names, `*` for any characters."""

    allow: tuple[str, ...] = Field((), description="patterns; other tools are left out")
    drop: tuple[str, ...] = Field((), description="patterns; these tools are left out, called before or not")
    most: int | None = Field(None, ge=1, description="of more tools, those nearest to the last user turn are kept")

    @model_validator(mode="after")
    def _some(self) -> "Params":
        if not (self.allow or self.drop or self.most):
            raise ValueError("one of allow, drop and most is needed")
        return self


def build(params: Params, kit: Kit) -> Plugin:
    """Where no tool is left, neither are `tool_choice` and `parallel_tool_calls`."""
    return _Tools(params, kit)


class _Tools(Plugin):
    def __init__(self, params: Params, kit: Kit) -> None:
        self._params = params
        self._kit = kit

    async def enter(self, turn: Turn) -> Answer | None:
        tools = list(turn.call.body.get("tools") or ())
        if not tools:
            return None
        kept = [tool for tool in tools if self._may(_name(tool))]
        if self._params.most is not None and len(kept) > self._params.most:
            kept = await self._nearest(turn, kept, self._params.most)
        if len(kept) == len(tools):
            return None
        turn.notes.append(f"tools: {len(kept)} of {len(tools)} kept")
        body = {**turn.call.body, "tools": kept}
        chosen = turn.call.body.get("tool_choice")
        if not kept or (isinstance(chosen, Mapping) and _name(chosen) not in map(_name, kept)):
            for key in ("tool_choice", "parallel_tool_calls", *(() if kept else ("tools",))):
                body.pop(key, None)
        turn.call = replace(turn.call, body=body, needs=needs(body, "chat/completions"))
        return None

    def _may(self, name: str) -> bool:
        allow, drop = self._params.allow, self._params.drop
        if any(fnmatchcase(name, pattern) for pattern in drop):
            return False
        return not allow or any(fnmatchcase(name, pattern) for pattern in allow)

    async def _nearest(self, turn: Turn, tools: list[dict[str, Any]], most: int) -> list[dict[str, Any]]:
        """The tools in use, and of the others those whose name and description are most like the last user turn."""
        if self._kit.embedder is None:
            raise ConfigError("tools.most needs the sentence embedder, which is not available here")
        chosen = turn.call.body.get("tool_choice")
        used = {name for message in turn.prompt.messages for name in message.calls}
        if isinstance(chosen, Mapping):
            used.add(_name(chosen))
        vectors = await self._kit.embedder.embed([turn.prompt.last_text, *map(_told, tools)])
        likeness = (vectors[1:] @ vectors[0]).tolist()
        order = sorted(range(len(tools)), key=lambda at: (_name(tools[at]) not in used, -likeness[at], at))
        kept = set(order[: max(most, len(used & {_name(tool) for tool in tools}))])
        return [tool for at, tool in enumerate(tools) if at in kept]


def _name(tool: Mapping[str, Any]) -> str:
    inner = tool.get("function") or tool.get("custom") or tool
    return str(inner.get("name") or "")


def _told(tool: Mapping[str, Any]) -> str:
    inner = tool.get("function") or tool.get("custom") or tool
    return f"{_name(tool).replace('_', ' ')}: {inner.get('description') or ''}"
