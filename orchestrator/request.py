"""A request on its way through the orchestrator, and the reply on its way back. Knows nothing of HTTP frameworks."""

from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import orjson

from experts.adapted import Wrapped
from experts.call import Answer, Call, Usage
from experts.stream import DONE, frame
from orchestrator.caller import Key


@dataclass(frozen=True, slots=True)
class ChatRequest:
    """What a client asked, already valid in form.

    `body` is the wire body as sent, without `madrigal`; `wants_trace` is whether it asked for the trace; `ask_usage`
    whether a stream shall end with the usage chunk; `headers` are lower-case and hold no credentials. `via` is the path
    it came by where that is another one, for the record. With a `thread`, a name of our own making that no other request
    has, a strategy's run is kept under it: the same request with the same thread goes on with it, also in another process
    (docs/strategies.md).
    """

    id: str
    path: Literal["chat/completions", "completions"]
    body: Mapping[str, Any]
    model: str
    key: Key
    headers: Mapping[str, str] = field(default_factory=dict)
    stream: bool = False
    ask_usage: bool = False
    wants_trace: bool = False
    via: str = ""
    thread: str | None = None


@dataclass(slots=True)
class Attempt:
    """One call that was made for a request: for what (`role`), what it cost and how it ended."""

    expert: str
    revision: str
    number: int
    started: float
    role: str = "answer"
    waited_s: float = 0.0
    total_s: float = 0.0
    outcome: str = "open"
    error: str | None = None
    answer: Answer | None = None

    def wire(self) -> dict[str, Any]:
        """For the trace."""
        usage = self.answer.usage if self.answer else None
        return {
            "expert": self.expert,
            "attempt": self.number,
            "role": self.role,
            "outcome": self.outcome,
            "error": self.error,
            "waited_ms": round(self.waited_s * 1e3, 3),
            "first_token_ms": _ms(self.answer.first_token_s) if self.answer else None,
            "total_ms": _ms(self.total_s),
            "usage": usage.wire() if usage else None,
        }


def _ms(seconds: float | None) -> float | None:
    return None if seconds is None else round(seconds * 1e3, 3)


class Text:
    """A text that is there already, as an `Answer`: a refusal, a canned reply, or what a strategy ended with.

    `usage` is what it took to get it: nothing where no model was called.
    """

    first_token_s: float | None = 0.0

    def __init__(
        self,
        text: str,
        *,
        call: Call,
        model: str,
        created: int,
        ask_usage: bool,
        finish: str = "stop",
        name: str = "madrigal",
        usage: Usage = Usage(),
    ) -> None:
        self.expert = name
        self.model = model
        self.usage = usage
        self.finish = {0: finish}
        self._chat = call.path == "chat/completions"
        self._ask_usage = ask_usage
        self._text = text
        self._head: dict[str, Any] = {
            "id": ("chatcmpl-" if self._chat else "cmpl-") + call.request_id.removeprefix("req_"),
            "created": created,
            "model": model,
        }

    async def read(self) -> bytes:
        said: dict[str, Any] = (
            {"message": {"role": "assistant", "content": self._text, "refusal": None}}
            if self._chat
            else {"text": self._text}
        )
        choice = {"index": 0, **said, "logprobs": None, "finish_reason": self.finish[0]}
        kind = "chat.completion" if self._chat else "text_completion"
        return orjson.dumps({**self._head, "object": kind, "choices": [choice], "usage": self.usage.wire()})

    async def __aiter__(self) -> AsyncIterator[bytes]:
        head = {**self._head, "object": "chat.completion.chunk" if self._chat else "text_completion"}
        said: dict[str, Any] = (
            {"delta": {"role": "assistant", "content": self._text}} if self._chat else {"text": self._text}
        )
        last: dict[str, Any] = {"delta": {}} if self._chat else {"text": ""}
        yield frame({**head, "choices": [{"index": 0, **said, "finish_reason": None}]})
        yield frame({**head, "choices": [{"index": 0, **last, "finish_reason": self.finish[0]}]})
        if self._ask_usage:
            yield frame({**head, "choices": [], "usage": self.usage.wire()})
        yield DONE

    async def aclose(self) -> None:
        return None


class Summed(Wrapped):
    """An answer whose usage is that of all calls made for it. The inner one must not be asked for a usage chunk."""

    def __init__(self, answer: Answer, spent: Callable[[], Usage], *, ask_usage: bool) -> None:
        super().__init__(answer)
        self._spent = spent
        self._ask_usage = ask_usage

    @property
    def usage(self) -> Usage:
        return self._spent()

    async def read(self) -> bytes:
        return orjson.dumps({**orjson.loads(await self._answer.read()), "usage": self._spent().wire()})

    async def __aiter__(self) -> AsyncIterator[bytes]:
        head: dict[str, Any] = {}
        async for block in self._answer:
            if self._ask_usage and not head:
                first = orjson.loads(block[block.index(b"{") : block.index(b"\n\n")])
                head = {name: first[name] for name in ("id", "object", "created", "model") if name in first}
            if self._ask_usage and block.endswith(DONE):
                usage = frame({**head, "choices": [], "usage": self._spent().wire()})
                block = block[: -len(DONE)] + usage + DONE
            yield block
