"""Server-sent events of an OpenAI-compatible engine: whole frames in, whole frames out, only what matters parsed.

Delta frames go through untouched. Frames that carry usage, a finish reason or an error are parsed. The markers looked
for cannot stand inside a JSON string, where every quotation mark is escaped. Knows nothing of sockets.
"""

from typing import Any

import orjson

from experts.call import Usage
from experts.errors import StreamCutError

DONE = b"data: [DONE]\n\n"

_MAX_FRAME = 8 << 20  # bytes

_MARKERS = (
    b'"finish_reason":"',
    b'"finish_reason": "',
    b'"usage":{',
    b'"usage": {',
    b'"error":',
    b"data: [DONE]",
    b"data:[DONE]",
)


def frame(payload: Any) -> bytes:
    """One SSE frame holding `payload` as JSON."""
    return b"data: " + orjson.dumps(payload) + b"\n\n"


def usage_of(wire: dict[str, Any]) -> Usage:
    """Usage from OpenAI's wire form; missing or odd counts are read as 0."""
    details = wire.get("prompt_tokens_details") or {}
    return Usage(
        int(wire.get("prompt_tokens") or 0),
        int(wire.get("completion_tokens") or 0),
        int(details.get("cached_tokens") or 0),
    )


class Frames:
    """State of one stream: feed it bytes as they arrive, send on what it returns, ask it at the end.

    `choices` is the number of choices expected; `ask_usage` is whether the client wants the usage chunk, which is then
    written by us, last and once. Frames that hold `skip` are dropped. After `[DONE]` or the end, `close()` returns what is left to send or raises
    `StreamCutError` if the engine broke off: no finish reason is ever invented.
    """

    __slots__ = (
        "_ask_usage",
        "_carry",
        "_chat",
        "_choices",
        "_done",
        "_last",
        "_markers",
        "_skip",
        "_started",
        "deltas",
        "finish",
        "usage",
    )

    def __init__(self, *, chat: bool, choices: int = 1, ask_usage: bool = False, skip: bytes = b"") -> None:
        self._skip = skip
        self._markers = (*_MARKERS, skip) if skip else _MARKERS
        self._chat = chat
        self._choices = choices
        self._ask_usage = ask_usage
        self._carry = b""
        self._done = False
        self._started = False
        self._last: dict[str, Any] = {}
        self.usage: Usage | None = None
        self.finish: dict[int, str] = {}
        self.deltas = 0

    @property
    def started(self) -> bool:
        """Whether a data frame has arrived: before it the call may still go to another expert."""
        return self._started

    def is_done(self) -> bool:
        """Whether the engine has said `[DONE]`."""
        return self._done

    def feed(self, data: bytes) -> bytes:
        """Take bytes from the engine, return the whole frames that may be sent on (possibly none).

        Raises `StreamCutError` carrying the engine's message where it sends an error frame.
        """
        if self._carry:
            data = self._carry + data
        if b"\r" in data:
            data = data.replace(b"\r\n", b"\n")
        end = data.rfind(b"\n\n") + 2
        if end == 1:
            if len(data) > _MAX_FRAME:
                raise StreamCutError(f"the engine sent a frame of more than {_MAX_FRAME >> 20} MiB")
            self._carry = data
            return b""
        self._carry = data[end:]
        block = data if end == len(data) else data[:end]
        sent: list[bytes] = []
        at = 0
        if not self._started:  # the first data frame is always parsed: it must name the role
            while at < len(block) and not self._started and not self._done:
                stop = block.index(b"\n\n", at) + 2
                sent.append(self._special(block[at:stop]))
                at = stop
        while at < len(block) and not self._done:
            marks = [found for marker in self._markers if (found := block.find(marker, at)) >= 0]
            if not marks:
                sent.append(self._plain(block[at:]))
                break
            special = block.rfind(b"\n\n", at, min(marks)) + 2
            if special > 1:
                sent.append(self._plain(block[at:special]))
                at = special
            stop = block.index(b"\n\n", at) + 2
            sent.append(self._special(block[at:stop]))
            at = stop
        return sent[0] if len(sent) == 1 else b"".join(sent)

    def _plain(self, block: bytes) -> bytes:
        self.deltas += block.count(b"data:")
        return block

    def _special(self, part: bytes) -> bytes:
        """One whole frame that may hold a marker: what of it is sent on."""
        if self._skip and self._skip in part:
            return b""
        lines = [line[5:].strip() for line in part.split(b"\n") if line.startswith(b"data:")]
        if not lines:
            return part if self._started else b""  # a comment that keeps the connection alive
        text = b"\n".join(lines)
        if text == b"[DONE]":
            self._done = True
            return b""
        try:
            wire = orjson.loads(text)
        except orjson.JSONDecodeError as wrong:
            raise StreamCutError(f"the engine sent a frame that is not JSON ({wrong})") from wrong
        if not isinstance(wire, dict):
            raise StreamCutError("the engine sent a frame that is not a JSON object")
        if wire.get("error"):
            raise StreamCutError(_message(wire["error"]))
        return self._chunk(wire, part)

    def _chunk(self, wire: dict[str, Any], part: bytes) -> bytes:
        changed = False
        if not self._started:
            self._started = True
            self._last = {key: wire[key] for key in ("id", "object", "created", "model") if key in wire}
            changed = self._chat and _give_role(wire)
        choices = wire.get("choices") or []
        for choice in list(choices):
            if (reason := choice.get("finish_reason")) is None:
                continue
            index = choice.get("index") or 0
            if index in self.finish:  # some servers repeat the last chunk; clients expect one finish reason
                choices.remove(choice)
                changed = True
            else:
                self.finish[index] = reason
        if wire.get("usage"):
            self.usage = usage_of(wire["usage"])
            if not choices:
                return b""
            del wire["usage"]
            changed = True
        if not choices:
            return b""
        self.deltas += 1
        return frame(wire) if changed else part

    def close(self) -> bytes:
        """Say that the engine's bytes are over; return the last frames to send, ending in `[DONE]`.

        Raises `StreamCutError` if a choice has no finish reason.
        """
        if self._carry.strip():
            rest, self._carry = self.feed(b"\n\n"), b""
        else:
            rest = b""
        if len(self.finish) < self._choices:
            raise StreamCutError("the engine broke off before the answer was complete")
        if self.usage is None:
            self.usage = Usage(0, max(0, self.deltas - 2), estimated=True)
        tail = frame({**self._last, "choices": [], "usage": self.usage.wire()}) if self._ask_usage else b""
        return rest + tail + DONE


def _give_role(wire: dict[str, Any]) -> bool:
    """The first delta of a chat stream names the role; add it where the engine left it out."""
    changed = False
    for choice in wire.get("choices") or []:
        delta = choice.setdefault("delta", {})
        if not delta.get("role"):
            choice["delta"] = {"role": "assistant", **{k: v for k, v in delta.items() if k != "role"}}
            changed = True
    return changed


def _message(error: Any) -> str:
    text = error.get("message") if isinstance(error, dict) else error
    return f"the engine reported: {text}"
