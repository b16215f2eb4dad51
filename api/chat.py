"""`POST /v1/chat/completions` and `/v1/completions`: bytes in, bytes out.

Plain ASGI instead of a framework endpoint: nothing may stand between the engine's frames and the client's socket.
Knows nothing of how an answer is made.
"""

from collections.abc import Callable, Mapping
from typing import Any, Literal, TypeAlias

from pydantic import TypeAdapter, ValidationError

from api.edge import ClientGone, Context, Receive, Scope, Send, Watch, encoded, read_body, respond
from api.errors import RequestError, encode, invalid, report
from api.schemas import CHAT, COMPLETION
from experts.errors import InputError
from orchestrator.engine import Reply, answer
from orchestrator.keys import Key
from orchestrator.request import ChatRequest
from orchestrator.service import Service

Path: TypeAlias = Literal["chat/completions", "completions"]
PATHS: tuple[Path, ...] = ("chat/completions", "completions")

_ADAPTERS: dict[str, TypeAdapter[Any]] = {"chat/completions": CHAT, "completions": COMPLETION}
_SSE = [
    (b"content-type", b"text/event-stream; charset=utf-8"),
    (b"cache-control", b"no-cache"),
    (b"x-accel-buffering", b"no"),
]


class Completions:
    """The ASGI application of one of the two paths."""

    def __init__(self, path: Path, service: Callable[[], Service]) -> None:
        self._path = path
        self._service = service

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["method"] != "POST":
            raise RequestError("use POST", status=405, code="method_not_allowed")
        context: Context = scope["madrigal"]
        service = self._service()
        try:
            key = await service.authenticate(context.headers)
            raw = await read_body(context.headers, receive, service.max_body_bytes)
            request = parse(raw, self._path, key, context, trace_needs_role=service.keys.required)
            async with Watch(receive):
                await _answer(service, request, send)
        except ClientGone:
            return


async def _answer(service: Service, request: ChatRequest, send: Send) -> None:
    with service.place() as state:
        reply = await answer(state, service.parts, request)
        error: BaseException | None = None
        try:
            if request.stream:
                await _stream(reply, request, send)
            else:
                await respond(send, 200, await reply.read(), reply.headers)
        except BaseException as raised:
            error = raised
            raise
        finally:
            await reply.close(error)


async def _stream(reply: Reply, request: ChatRequest, send: Send) -> None:
    """Send the answer's frames as they come; an error after the first byte becomes a frame of its own."""
    await send({"type": "http.response.start", "status": 200, "headers": [*_SSE, *encoded(reply.headers)]})
    try:
        async for block in reply:
            await send({"type": "http.response.body", "body": block, "more_body": True})
    except Exception as error:
        report(error, request.id, request.path)
        reply.fail(error)
        await send({"type": "http.response.body", "body": b"data: " + encode(error) + b"\n\n", "more_body": True})
    await send({"type": "http.response.body", "body": b""})


def parse(
    raw: bytes,
    path: Path,
    key: Key,
    context: Context,
    *,
    trace_needs_role: bool,
) -> ChatRequest:
    """The request in a body, checked. Raises `InputError` naming the field, `ForbiddenError` for a trace without role."""
    try:
        body: dict[str, Any] = _ADAPTERS[path].validate_json(raw)
    except ValidationError as error:
        raise invalid(error) from None
    check(body)
    wants_trace = bool((body.pop("madrigal", None) or {}).get("trace"))
    if wants_trace and trace_needs_role:
        key.demand("trace")
    stream = bool(body.get("stream"))
    return ChatRequest(
        id=context.request_id,
        path=path,
        body=body,
        model=body["model"],
        key=key,
        headers=context.headers,
        stream=stream,
        ask_usage=stream and bool((body.pop("stream_options", None) or {}).get("include_usage")),
        wants_trace=wants_trace,
    )


def check(body: Mapping[str, Any]) -> None:
    """What types cannot say: fields that exclude or need each other, and forms nobody here can do."""
    if body.get("functions") is not None or body.get("function_call") is not None:
        param = "functions" if body.get("functions") is not None else "function_call"
        raise InputError(f"{param} was replaced by tools; send tools", param=param, code="unsupported_parameter")
    if body.get("top_logprobs") is not None and not body.get("logprobs"):
        raise InputError("top_logprobs needs logprobs: true", param="top_logprobs", code="invalid_value")
    if body.get("stream_options") is not None and not body.get("stream"):
        raise InputError("stream_options needs stream: true", param="stream_options", code="invalid_value")
    if body.get("tool_choice") not in (None, "none") and not body.get("tools"):
        raise InputError("tool_choice needs tools", param="tool_choice", code="invalid_value")
    if body.get("max_tokens") is not None and body.get("max_completion_tokens") is not None:
        raise InputError(
            "max_tokens and max_completion_tokens exclude each other; send max_completion_tokens",
            param="max_tokens",
            code="invalid_value",
        )
    choice = body.get("tool_choice")
    if isinstance(choice, dict) and choice["function"]["name"] not in [t["function"]["name"] for t in body["tools"]]:
        raise InputError(
            f"tool_choice names {choice['function']['name']!r}, which is not among tools",
            param="tool_choice",
            code="invalid_value",
        )
