"""Changing what an answer says while it streams, and reading an answer whole. Knows no plugin.

Parses every frame, so it is not on the fast path.
"""

from collections.abc import AsyncIterator, Callable
from typing import Any, Protocol

import orjson

from experts.adapted import Wrapped
from experts.assemble import Assembly
from experts.call import Answer, Usage
from experts.stream import DONE, frame


class Rewriter(Protocol):
    """Text in, text out, for one choice of one answer. What it holds back it gives at the end."""

    def feed(self, text: str) -> str:
        """Take the next piece, give what can be said by now."""

    def end(self) -> str:
        """What is left to say."""


class Rewritten(Wrapped):
    """`answer`, whose choices' texts go through a rewriter each, and each tool call's arguments through one of their own:
    `make` is told whether it is for arguments, which are JSON."""

    def __init__(self, answer: Answer, make: Callable[[bool], Rewriter]) -> None:
        super().__init__(answer)
        self._make = make
        self._by_place: dict[tuple[int, int], Rewriter] = {}

    async def read(self) -> bytes:
        wire = orjson.loads(await self._answer.read())
        for choice in wire.get("choices") or ():
            message = choice.get("message")
            if message is None:
                choice["text"] = self._whole(choice.get("text"))
                continue
            message["content"] = self._whole(message.get("content"))
            for call in message.get("tool_calls") or ():
                call["function"]["arguments"] = self._whole(call["function"].get("arguments"), arguments=True)
        return orjson.dumps(wire)

    def _whole(self, text: str | None, *, arguments: bool = False) -> str | None:
        if not text:
            return text
        rewriter = self._make(arguments)
        return rewriter.feed(text) + rewriter.end()

    async def __aiter__(self) -> AsyncIterator[bytes]:
        async for block in self._answer:
            parts = block.split(b"\n\n")
            yield b"".join(self._part(part) for part in parts if part)

    def _part(self, part: bytes) -> bytes:
        if not part.startswith(b"data: {"):
            return part + b"\n\n"
        wire = orjson.loads(part[6:])
        before = b""
        for choice in wire.get("choices") or ():
            index = choice.get("index") or 0
            self._choice(index, choice)
            if choice.get("finish_reason") is not None:
                before += self._rest(index, wire, choice)
        return before + frame(wire)

    def _choice(self, index: int, choice: dict[str, Any]) -> None:
        delta = choice.get("delta")
        if delta is None:
            if choice.get("text"):
                choice["text"] = self._at(index, -1).feed(choice["text"])
            return
        if delta.get("content"):
            delta["content"] = self._at(index, -1).feed(delta["content"])
        for call in delta.get("tool_calls") or ():
            function = call.get("function") or {}
            if function.get("arguments"):
                function["arguments"] = self._at(index, call.get("index") or 0).feed(function["arguments"])

    def _at(self, index: int, place: int) -> Rewriter:
        key = (index, place)
        if key not in self._by_place:
            self._by_place[key] = self._make(place >= 0)
        return self._by_place[key]

    def _rest(self, index: int, wire: dict[str, Any], choice: dict[str, Any]) -> bytes:
        """Frames for what the rewriters of a choice still hold, to be sent before its finish reason."""
        found = b""
        for key in sorted(key for key in self._by_place if key[0] == index):
            rest = self._by_place.pop(key).end()
            if not rest:
                continue
            said: dict[str, Any] = {"text": rest}
            if "delta" in choice:
                place = {"index": key[1], "function": {"arguments": rest}}
                said = {"delta": {"content": rest} if key[1] < 0 else {"tool_calls": [place]}}
            one = {"index": index, **said, "finish_reason": None}
            found += frame({**{k: v for k, v in wire.items() if k != "usage"}, "choices": [one]})
        return found


class Gathered:
    """An answer read to its end: its JSON body, and the same answer to be given on, as a stream where it was one."""

    def __init__(
        self,
        wire: dict[str, Any],
        *,
        expert: str,
        model: str,
        usage: Usage,
        first_token_s: float | None,
        ask_usage: bool,
    ) -> None:
        self.wire = wire
        self.expert, self.model, self.usage, self.first_token_s = expert, model, usage, first_token_s
        self.finish = {choice.get("index") or 0: choice.get("finish_reason") for choice in wire.get("choices") or ()}
        self._ask_usage = ask_usage

    @classmethod
    def of(cls, wire: dict[str, Any], *, expert: str, ask_usage: bool) -> "Gathered":
        """An answer that is there already, for which no expert was asked."""
        return cls(
            wire,
            expert=expert,
            model=str(wire.get("model") or expert),
            usage=Usage(),
            first_token_s=0.0,
            ask_usage=ask_usage,
        )

    @property
    def text(self) -> str:
        """What its choices say."""
        return "\n\n".join(text for text in map(_content, self.wire.get("choices") or ()) if text)

    @property
    def texts(self) -> list[str]:
        """Everything that a client gets to read, a text each: of every choice what it says, what it thought aloud, and
        the arguments of its tool calls."""
        found = []
        for choice in self.wire.get("choices") or ():
            message = choice.get("message") or {}
            calls = [(call.get("function") or {}).get("arguments") for call in message.get("tool_calls") or ()]
            found += [_content(choice), message.get("reasoning_content"), message.get("reasoning"), *calls]
        return [text for text in found if isinstance(text, str) and text.strip()]

    async def read(self) -> bytes:
        return orjson.dumps(self.wire)

    async def __aiter__(self) -> AsyncIterator[bytes]:
        chat = self.wire.get("object") != "text_completion"
        head: dict[str, Any] = {key: self.wire[key] for key in ("id", "created", "model") if key in self.wire}
        head["object"] = "chat.completion.chunk" if chat else "text_completion"
        for choice in self.wire.get("choices") or ():
            said = {"delta": _delta(choice["message"])} if chat else {"text": choice.get("text") or ""}
            nothing: dict[str, Any] = {"delta": {}} if chat else {"text": ""}
            one = {"index": choice.get("index") or 0, "logprobs": choice.get("logprobs")}
            yield frame({**head, "choices": [{**one, **said, "finish_reason": None}]})
            one["logprobs"] = None  # told once: clients add up what chunks hold
            yield frame({**head, "choices": [{**one, **nothing, "finish_reason": choice.get("finish_reason")}]})
        if self._ask_usage:
            yield frame({**head, "choices": [], "usage": self.usage.wire()})
        yield DONE

    async def aclose(self) -> None:
        return None


def _content(choice: dict[str, Any]) -> str:
    return (choice.get("message") or {}).get("content") or choice.get("text") or ""


def _delta(message: dict[str, Any]) -> dict[str, Any]:
    calls = [{"index": at, **call} for at, call in enumerate(message.get("tool_calls") or ())]
    told = {name: value for name, value in message.items() if name != "tool_calls"}
    return {**told, "tool_calls": calls} if calls else told


async def gathered(answer: Answer, *, stream: bool, chat: bool, ask_usage: bool) -> Gathered:
    """Read an answer to its end and close it. Raises `StreamCutError` where the expert broke off: half an answer is none."""
    try:
        if not stream:
            wire = orjson.loads(await answer.read())
        else:
            assembly = Assembly(chat=chat)
            async for block in answer:
                assembly.add(block)
            wire = assembly.wire(answer.usage)
    finally:
        await answer.aclose()
    return Gathered(
        wire,
        expert=answer.expert,
        model=answer.model,
        usage=answer.usage,
        first_token_s=answer.first_token_s,
        ask_usage=ask_usage,
    )
