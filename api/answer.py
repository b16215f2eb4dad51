"""From a raw body to an answer sent, for every path that the engine answers: one way in, one way out.

Plain ASGI instead of a framework endpoint: nothing may stand between the engine's frames and the client's socket.
Knows nothing of how an answer is made, nor of a path's wire form: that is its `Dialect`.
"""

from collections.abc import AsyncIterable, Callable
from typing import Protocol, TypeAlias

from api.edge import ClientGone, Context, Receive, Scope, Send, Watch, encoded, read_body, respond
from api.errors import RequestError, report
from orchestrator.engine import Reply, answer
from orchestrator.keys import Key
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
        raise RequestError("use POST", status=405, code="method_not_allowed")
    context: Context = scope["madrigal"]
    try:
        key = await service.authenticate(context.headers)
        raw = await read_body(context.headers, receive, service.max_body_bytes)
        dialect = parse(raw, key, context, service.keys.required)
        async with Watch(receive):
            await _answer(service, dialect, send)
    except ClientGone:
        return


async def _answer(service: Service, dialect: Dialect, send: Send) -> None:
    request = dialect.request
    with service.place() as state:
        try:
            reply = await answer(state, service.parts, request)
        except Exception as raised:
            dialect.retell(raised)
            raise
        error: BaseException | None = None
        try:
            if request.stream:
                await _stream(reply, dialect, send)
            else:
                await respond(send, 200, dialect.whole(await reply.read()), reply.headers)
        except BaseException as raised:
            error = raised
            raise
        finally:
            await reply.close(error)


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
