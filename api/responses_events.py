"""A chat's chunks as a Response and its events: a small state machine, dictionaries in, dictionaries out.

A whole answer is a stream of one chunk, so both forms come out of the same code. Knows nothing of sockets or requests.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Literal, TypeAlias

from experts.errors import StreamCutError

Event: TypeAlias = dict[str, Any]
Kind: TypeAlias = Literal["output_text", "refusal", "reasoning_text"]

_ENDS: Mapping[str, tuple[str, str | None]] = {
    "length": ("incomplete", "max_output_tokens"),
    "content_filter": ("incomplete", "content_filter"),
}
"""Finish reasons that leave a response incomplete; any other completes it."""


class _Part:
    """A piece of content while it is said."""

    def __init__(self, kind: Kind) -> None:
        self.kind = kind
        self.said: list[str] = []
        self.logprobs: list[dict[str, Any]] = []

    @property
    def text(self) -> dict[str, str]:
        return {"refusal" if self.kind == "refusal" else "text": "".join(self.said)}

    def wire(self) -> dict[str, Any]:
        more = {"annotations": [], "logprobs": self.logprobs} if self.kind == "output_text" else {}
        return {"type": self.kind, **self.text, **more}


class _Item:
    """An output item while it comes in: what is said (a message, reasoning) or a function call."""

    def __init__(self, type: str, id: str, index: int) -> None:
        self.type, self.id, self.index = type, id, index
        self.status = "in_progress"
        self.parts: list[_Part] = []
        self.call_id = self.name = ""
        self.arguments: list[str] = []

    def wire(self) -> dict[str, Any]:
        head = {"id": self.id, "type": self.type, "status": self.status}
        if self.type == "function_call":
            return {**head, "call_id": self.call_id, "name": self.name, "arguments": "".join(self.arguments)}
        content = [part.wire() for part in self.parts]
        return (
            {**head, "summary": [], "content": content}
            if self.type == "reasoning"
            else {
                **head,
                "role": "assistant",
                "content": content,
            }
        )


class Conversion:
    """One answer. `skeleton` is the Response before anything is said (`responses_request.skeleton`).

    Feed it `chunk`s, then `end` it, or `fail` it. Each returns the events that are due, numbered in order.
    """

    def __init__(self, skeleton: Mapping[str, Any]) -> None:
        self._response = dict(skeleton)
        self._stem = str(skeleton["id"]).partition("_")[2]
        self._number = 0
        self._begun = False
        self._items: list[_Item] = []
        self._speaking: _Item | None = None
        self._calls: dict[int, _Item] = {}
        self._finish: str | None = None

    def chunk(self, wire: Mapping[str, Any]) -> list[Event]:
        """The events of one chat chunk."""
        return list(self._chunk(wire))

    def whole(self, wire: Mapping[str, Any], *, at: int) -> dict[str, Any]:
        """The Response of a whole chat answer; `at` is the time it was completed, in seconds since the epoch."""
        choice = wire["choices"][0]
        message = dict(choice.get("message") or {})
        calls = message.get("tool_calls") or ()
        message["tool_calls"] = [{**call, "index": index} for index, call in enumerate(calls)]
        self.chunk({**wire, "choices": [{**choice, "delta": message}]})
        self.end(at=at)
        return self._told()

    def end(self, *, at: int) -> list[Event]:
        """The last events. Raises `StreamCutError` where no chunk said why the answer ends."""
        if self._finish is None:
            raise StreamCutError("the answer broke off before it was complete")
        return list(self._end(at))

    def fail(self, message: str, *, code: str, error: Mapping[str, Any]) -> list[Event]:
        """The events of an answer that broke off: what was said stays, nothing is completed.

        `code` is one of the Response's own; `error` is the error as the API tells it everywhere. It comes last and in a
        form that OpenAI's clients raise, as many of them pass over `response.failed`.
        """
        return list(self._fail(message, code, error))

    def _event(self, type: str, **fields: Any) -> Event:
        event = {"type": type, "sequence_number": self._number, **fields}
        self._number += 1
        return event

    def _told(self) -> dict[str, Any]:
        return {**self._response, "output": [item.wire() for item in self._items]}

    def _begin(self) -> Iterator[Event]:
        if not self._begun:
            self._begun = True
            yield self._event("response.created", response=self._told())
            yield self._event("response.in_progress", response=self._told())

    def _chunk(self, wire: Mapping[str, Any]) -> Iterator[Event]:
        if not self._begun and wire.get("model"):
            self._response["model"] = wire["model"]  # who answers, in place of what was asked for
        yield from self._begin()
        if wire.get("usage"):
            self._response["usage"] = usage(wire["usage"])
        if "madrigal" in wire:
            self._response["madrigal"] = wire["madrigal"]
        for choice in wire.get("choices") or ():
            delta = choice.get("delta") or {}
            yield from self._say("reasoning_text", delta.get("reasoning_content") or delta.get("reasoning"))
            logprobs = (choice.get("logprobs") or {}).get("content") or ()
            yield from self._say("output_text", delta.get("content"), [logprob(one) for one in logprobs])
            yield from self._say("refusal", delta.get("refusal"))
            for call in delta.get("tool_calls") or ():
                yield from self._call(call)
            self._finish = choice.get("finish_reason") or self._finish

    def _say(self, kind: Kind, text: str | None, logprobs: Sequence[dict[str, Any]] = ()) -> Iterator[Event]:
        if not text:
            if logprobs and self._speaking is not None and self._speaking.parts[-1].kind == kind:
                self._speaking.parts[-1].logprobs += logprobs  # of a token that is no text by itself
            return
        type = "reasoning" if kind == "reasoning_text" else "message"
        if self._speaking is not None and self._speaking.type != type:
            yield from self._close(self._speaking, "completed")
        item = self._speaking
        if item is None:
            item = self._speaking = self._add(type, "rs" if type == "reasoning" else "msg")
            yield self._event("response.output_item.added", output_index=item.index, item=item.wire())
        if not item.parts or item.parts[-1].kind != kind:
            if item.parts:
                yield from self._close_part(item)
            item.parts.append(_Part(kind))
            yield self._event("response.content_part.added", **self._place(item), part=item.parts[-1].wire())
        part = item.parts[-1]
        part.said.append(text)
        part.logprobs += logprobs
        more = {"logprobs": list(logprobs)} if kind == "output_text" else {}
        yield self._event(f"response.{kind}.delta", **self._place(item), delta=text, **more)

    def _call(self, part: Mapping[str, Any]) -> Iterator[Event]:
        """A piece of a function call. Calls stay open to the end, as engines may send several by turns."""
        if self._speaking is not None:
            yield from self._close(self._speaking, "completed")
        function = part.get("function") or {}
        index = part.get("index")
        if index is None:  # some servers leave it out: a new id begins a new call
            index = len(self._calls) if part.get("id") or not self._calls else len(self._calls) - 1
        item = self._calls.get(index)
        if item is None:
            item = self._calls[index] = self._add("function_call", "fc")
            item.call_id = part.get("id") or f"call_{self._stem}{item.index:02x}"
            item.name = function.get("name") or ""
            yield self._event("response.output_item.added", output_index=item.index, item=item.wire())
        else:
            item.name += function.get("name") or ""
        if arguments := function.get("arguments"):
            item.arguments.append(arguments)
            where = {"item_id": item.id, "output_index": item.index}
            yield self._event("response.function_call_arguments.delta", **where, delta=arguments)

    def _add(self, type: str, prefix: str) -> _Item:
        index = len(self._items)
        item = _Item(type, f"{prefix}_{self._stem}{index:02x}", index)
        self._items.append(item)
        return item

    @staticmethod
    def _place(item: _Item) -> dict[str, Any]:
        return {"item_id": item.id, "output_index": item.index, "content_index": len(item.parts) - 1}

    def _close_part(self, item: _Item) -> Iterator[Event]:
        part = item.parts[-1]
        more = {"logprobs": part.logprobs} if part.kind == "output_text" else {}
        yield self._event(f"response.{part.kind}.done", **self._place(item), **part.text, **more)
        yield self._event("response.content_part.done", **self._place(item), part=part.wire())

    def _close(self, item: _Item, status: str) -> Iterator[Event]:
        if item is self._speaking:
            self._speaking = None
        if item.type == "function_call":
            where = {"item_id": item.id, "output_index": item.index, "name": item.name}
            yield self._event("response.function_call_arguments.done", **where, arguments="".join(item.arguments))
        else:
            yield from self._close_part(item)
        item.status = status
        yield self._event("response.output_item.done", output_index=item.index, item=item.wire())

    def _end(self, at: int) -> Iterator[Event]:
        status, reason = _ENDS.get(self._finish or "", ("completed", None))
        yield from self._begin()
        if not self._items:  # an answer of no words is a message still
            item = self._speaking = self._add("message", "msg")
            yield self._event("response.output_item.added", output_index=0, item=item.wire())
            item.parts.append(_Part("output_text"))
            yield self._event("response.content_part.added", **self._place(item), part=item.parts[-1].wire())
        for item in self._items:
            if item.status == "in_progress":
                yield from self._close(item, status if item is self._items[-1] else "completed")
        self._response["status"] = status
        if reason is not None:
            self._response["incomplete_details"] = {"reason": reason}
        else:
            self._response["completed_at"] = at
        yield self._event(f"response.{status}", response=self._told())

    def _fail(self, message: str, code: str, error: Mapping[str, Any]) -> Iterator[Event]:
        yield from self._begin()
        for item in self._items:
            if item.status == "in_progress":
                item.status = "incomplete"
        self._response.update(status="failed", error={"code": code, "message": message})
        yield self._event("response.failed", response=self._told())
        flat = {name: error.get(name) for name in ("code", "message", "param")}
        yield self._event("error", **flat, error=dict(error))


def usage(wire: Mapping[str, Any]) -> dict[str, Any]:
    """A chat's usage as a response has it; what the engine did not count is 0."""
    read, said = wire.get("prompt_tokens_details") or {}, wire.get("completion_tokens_details") or {}
    counts = {name: int(wire.get(name) or 0) for name in ("prompt_tokens", "completion_tokens")}
    return {
        "input_tokens": counts["prompt_tokens"],
        "input_tokens_details": {
            "cached_tokens": int(read.get("cached_tokens") or 0),
            "cache_write_tokens": int(read.get("cache_write_tokens") or 0),
        },
        "output_tokens": counts["completion_tokens"],
        "output_tokens_details": {"reasoning_tokens": int(said.get("reasoning_tokens") or 0)},
        "total_tokens": sum(counts.values()),
    }


def logprob(wire: Mapping[str, Any]) -> dict[str, Any]:
    """A token's log probability; `bytes`, which engines may leave out, are those of its text."""

    def one(token: Mapping[str, Any]) -> dict[str, Any]:
        raw = token.get("bytes")
        return {
            "token": token["token"],
            "bytes": list(token["token"].encode("utf-8", "replace")) if raw is None else raw,
            "logprob": token["logprob"],
        }

    return {**one(wire), "top_logprobs": [one(token) for token in wire.get("top_logprobs") or ()]}
