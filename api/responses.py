"""`POST /v1/responses`: OpenAI's Responses API over the same engine as a chat. Stateless: nothing is kept to be fetched.

Knows nothing of how an answer is made; the translation is in `responses_request` and `responses_events`.
"""

import time
from collections.abc import AsyncIterator, Callable, Iterable, Iterator
from typing import Any

import orjson
from pydantic import ValidationError

from api.answer import serve
from api.chat import check, writable
from api.edge import Context, Receive, Scope, Send
from api.errors import body_of, status_of
from api.responses_events import Conversion, Event
from api.responses_request import chat_body, retell, skeleton
from api.responses_schemas import RESPONSE, refusal
from experts.errors import MadrigalError
from orchestrator.caller import Key
from orchestrator.engine import Reply
from orchestrator.request import ChatRequest
from orchestrator.service import Service

_CODES = {400: "invalid_prompt", 429: "rate_limit_exceeded"}
"""The codes that a Response's `error` may have; any other status is a server_error."""


class Responses:
    """The ASGI application of `/v1/responses`."""

    def __init__(self, service: Callable[[], Service]) -> None:
        self._service = service

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await serve(self._service(), scope, receive, send, parse)


def parse(raw: bytes, key: Key, context: Context, trace_needs_role: bool) -> "Responding":
    """The request in a body, checked. Raises `InputError` naming the field, `ForbiddenError` for a trace without role."""
    try:
        body: Any = RESPONSE.validate_json(raw)
    except ValidationError as error:
        raise refusal(error) from None
    chat = chat_body(body)
    check(chat)
    wants_trace = bool((body.get("madrigal") or {}).get("trace"))
    if wants_trace and trace_needs_role:
        key.demand("trace")
    stream = bool(body.get("stream"))
    request = ChatRequest(
        id=context.request_id,
        path="chat/completions",
        body=chat,
        model=body["model"],
        key=key,
        headers=context.headers,
        stream=stream,
        ask_usage=stream,
        wants_trace=wants_trace,
        via="responses",
    )
    told = skeleton(body, id=f"resp_{context.request_id.removeprefix('req_')}", created_at=int(time.time()))
    writable(told)
    return Responding(request, Conversion(told))


class Responding:
    """The dialect of this path, for one request."""

    def __init__(self, request: ChatRequest, conversion: Conversion) -> None:
        self.request = request
        self._conversion = conversion

    def whole(self, body: bytes) -> bytes:
        """The Response object."""
        return orjson.dumps(self._conversion.whole(orjson.loads(body), at=int(time.time())))

    async def frames(self, reply: Reply) -> AsyncIterator[bytes]:
        """The events of the engine's chunks; unlike a chat's, the stream has no `[DONE]`."""
        conversion = self._conversion
        async for block in reply:
            if events := [event for wire in chunks(block) for event in conversion.chunk(wire)]:
                yield frames(events)
        yield frames(conversion.end(at=int(time.time())))

    def failed(self, error: Exception) -> bytes:
        """`response.failed`, then `error`."""
        told = body_of(error)["error"]
        code = _CODES.get(status_of(error), "server_error")
        return frames(self._conversion.fail(told["message"], code=code, error=told))

    def retell(self, error: Exception) -> None:
        """Parameters under the names they have here."""
        if isinstance(error, MadrigalError):
            retell(error)


def chunks(block: bytes) -> Iterator[dict[str, Any]]:
    """The JSON of every frame of a block but `[DONE]` and comments."""
    for part in block.split(b"\n\n"):
        lines = [line[5:].strip() for line in part.split(b"\n") if line.startswith(b"data:")]
        text = b"\n".join(lines)
        if text and text != b"[DONE]":
            yield orjson.loads(text)


def frames(events: Iterable[Event]) -> bytes:
    """Events as server-sent events, each named by its type."""
    return b"".join(b"event: " + e["type"].encode() + b"\ndata: " + orjson.dumps(e) + b"\n\n" for e in events)
