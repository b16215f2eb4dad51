"""From a raw body to an answer sent, for every path that the engine answers: one way in, one way out.

Plain ASGI instead of a framework endpoint: nothing may stand between the engine's frames and the client's socket.
Knows nothing of how an answer is made, nor of a path's wire form: that is its `Dialect`.
"""

import asyncio
from collections.abc import AsyncIterable, Callable
from typing import Protocol, TypeAlias

from api.edge import ClientGone, Context, Receive, Scope, Send, Watch, encoded, read_body, respond
from api.errors import RequestError, report
from orchestrator.caller import Key
from orchestrator.engine import Reply, answer
from orchestrator.request import ChatRequest
from orchestrator.service import Service

_SSE = [
    (b"content-type", b"text/event-stream; charset=utf-8"),
    (b"cache-control", b"no-cache"),
    (b"x-accel-buffering", b"no"),
]


class Dialect(Protocol):
    """One request of a path, and how that path writes its answer."""

    @property
    def request(self) -> ChatRequest:
        """What the engine is asked."""

    def whole(self, body: bytes) -> bytes:
        """The JSON body to send, made of the engine's."""

    def frames(self, reply: Reply) -> AsyncIterable[bytes]:
        """Blocks of whole SSE frames to send, made of the engine's."""

    def failed(self, error: Exception) -> bytes:
        """The last frames of a stream that broke off with `error`."""

    def retell(self, error: Exception) -> None:
        """Put an error raised before the first byte into this path's words: the engine names a chat's parameters."""


Parse: TypeAlias = Callable[[bytes, Key, Context, bool], Dialect]
"""(raw body, caller's key, context, whether a trace needs its role) → the request. Raises `InputError` naming the
field, `ForbiddenError` for a trace without the role."""


async def serve(service: Service, scope: Scope, receive: Receive, send: Send, parse: Parse) -> None:
    """Read a request, answer it. A client that goes away stops the generation, and nothing more is sent."""
    if scope["method"] != "POST":
        raise RequestError("use POST", status=405, code="method_not_allowed", headers={"allow": "POST"})
    context: Context = scope["madrigal"]
    try:
        key = await service.authenticate(context.headers)
        raw = await read_body(context.headers, receive, service.max_body_bytes)
        dialect = parse(raw, key, context, service.keys.required)
        await _answer(service, dialect, receive, send)
    except ClientGone:
        return


async def _answer(service: Service, dialect: Dialect, receive: Receive, send: Send) -> None:
    """Answer while the client is there. The reply is closed out of its reach: a server tells of a finished answer in
    the same way as of a client that left, and that must not cut short what is still to be written down."""
    with service.place() as state:
        reply: Reply | None = None
        error: BaseException | None = None
        try:
            async with Watch(receive):
                try:
                    reply = await answer(state, service.parts, dialect.request)
                except Exception as raised:
                    dialect.retell(raised)
                    raise
                await _send(reply, dialect, send)
        except ClientGone:
            error = asyncio.CancelledError()
            raise
        except BaseException as raised:
            error = raised
            raise
        finally:
            if reply is not None:
                await reply.close(error)
            error = None  # held here, it would hold itself: its traceback holds this frame


async def _send(reply: Reply, dialect: Dialect, send: Send) -> None:
    if dialect.request.stream:
        await _stream(reply, dialect, send)
    else:
        await respond(send, 200, dialect.whole(await reply.read()), reply.headers)


async def _stream(reply: Reply, dialect: Dialect, send: Send) -> None:
    """Send the answer's frames as they come; an error after the first byte becomes frames of its own."""
    await send({"type": "http.response.start", "status": 200, "headers": [*_SSE, *encoded(reply.headers)]})
    try:
        async for block in dialect.frames(reply):
            await send({"type": "http.response.body", "body": block, "more_body": True})
    except Exception as error:
        report(error, dialect.request.id, dialect.request.path)
        reply.fail(error)
        await send({"type": "http.response.body", "body": dialect.failed(error), "more_body": True})
    await send({"type": "http.response.body", "body": b""})
