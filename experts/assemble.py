"""A stream of chunks put together into the one JSON answer that a client without `stream` expects.

For engines that notice a vanished caller only while they stream. Pure: bytes in, a wire dictionary out.
"""

from typing import Any

import orjson

from experts.call import Usage


class Assembly:
    """Takes whole SSE frames (`add`), gives the answer (`wire`). `chat` tells deltas from completion texts."""

    def __init__(self, *, chat: bool) -> None:
        self._chat = chat
        self._head: dict[str, Any] = {}
        self._choices: dict[int, dict[str, Any]] = {}

    def add(self, block: bytes) -> None:
        """Take a block of whole frames; what is no chunk is passed over."""
        for part in block.split(b"\n\n"):
            if part.startswith(b"data: {"):
                self._chunk(orjson.loads(part[6:]))

    def _chunk(self, wire: dict[str, Any]) -> None:
        if not self._head:
            self._head = {k: v for k, v in wire.items() if k not in ("choices", "usage", "object", "timings")}
        for chunk in wire.get("choices") or []:
            index = chunk.get("index") or 0
            choice = self._choices.get(index)
            if choice is None:
                start: dict[str, Any] = (
                    {"message": {"role": "assistant", "content": None}} if self._chat else {"text": ""}
                )
                choice = self._choices[index] = {"index": index, **start, "logprobs": None, "finish_reason": None}
            if self._chat:
                _delta(choice["message"], chunk.get("delta") or {})
            else:
                choice["text"] += chunk.get("text") or ""
            if chunk.get("logprobs"):
                choice["logprobs"] = _logprobs(choice["logprobs"], chunk["logprobs"])
            if chunk.get("finish_reason") is not None:
                choice["finish_reason"] = chunk["finish_reason"]

    def wire(self, usage: Usage) -> dict[str, Any]:
        """The answer so far in OpenAI's form."""
        return {
            **self._head,
            "object": "chat.completion" if self._chat else "text_completion",
            "choices": [self._choices[index] for index in sorted(self._choices)],
            "usage": usage.wire(),
        }


def _delta(message: dict[str, Any], delta: dict[str, Any]) -> None:
    """Add a chat delta to the message so far; texts are joined, tool calls matched by index."""
    for name, value in delta.items():
        if value is None or name == "role":
            continue
        if name == "tool_calls":
            for call in value:
                _tool_call(message.setdefault("tool_calls", []), call)
        elif isinstance(value, str) and isinstance(message.get(name), str):
            message[name] += value
        else:
            message[name] = value


def _tool_call(calls: list[dict[str, Any]], part: dict[str, Any]) -> None:
    index = part.get("index")
    if index is None or index >= len(calls):
        calls.append({"id": "", "type": "function", "function": {"name": "", "arguments": ""}})
        index = len(calls) - 1
    call, function = calls[index], part.get("function") or {}
    call["id"] = part.get("id") or call["id"]
    call["type"] = part.get("type") or call["type"]
    call["function"]["name"] += function.get("name") or ""
    call["function"]["arguments"] += function.get("arguments") or ""


def _logprobs(so_far: dict[str, Any] | None, more: dict[str, Any]) -> dict[str, Any]:
    """Join two logprobs objects: every list is continued."""
    if so_far is None:
        return {name: list(value) if isinstance(value, list) else value for name, value in more.items()}
    for name, value in more.items():
        if isinstance(value, list) and isinstance(so_far.get(name), list):
            so_far[name] += value
        elif so_far.get(name) is None:
            so_far[name] = value
    return so_far
