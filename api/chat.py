"""`POST /v1/chat/completions` and `/v1/completions`: bytes in, bytes out. Knows nothing of how an answer is made."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

import orjson
from pydantic import TypeAdapter, ValidationError

from api.answer import serve
from api.edge import Context, Receive, Scope, Send
from api.errors import encode, invalid
from api.schemas import CHAT, COMPLETION
from experts.errors import InputError
from orchestrator.caller import Key
from orchestrator.engine import Reply
from orchestrator.request import ChatRequest
from orchestrator.service import Service

Path: TypeAlias = Literal["chat/completions", "completions"]
PATHS: tuple[Path, ...] = ("chat/completions", "completions")

_ADAPTERS: dict[str, TypeAdapter[Any]] = {"chat/completions": CHAT, "completions": COMPLETION}


class Completions:
    """The ASGI application of one of the two paths."""

    def __init__(self, path: Path, service: Callable[[], Service]) -> None:
        self._path = path
        self._service = service

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await serve(self._service(), scope, receive, send, self._parse)

    def _parse(self, raw: bytes, key: Key, context: Context, trace_needs_role: bool) -> "AsItComes":
        return AsItComes(parse(raw, self._path, key, context, trace_needs_role=trace_needs_role))


@dataclass(frozen=True, slots=True)
class AsItComes:
    """The dialect that the engine speaks itself: nothing is changed, so nothing is parsed."""

    request: ChatRequest

    def whole(self, body: bytes) -> bytes:
        """The engine's body."""
        return body

    def frames(self, reply: Reply) -> Reply:
        """The engine's frames."""
        return reply

    def failed(self, error: Exception) -> bytes:
        """One frame that holds the error, and no finish reason."""
        return b"data: " + encode(error) + b"\n\n"

    def retell(self, error: Exception) -> None:
        """The parameters are ours already."""


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
    if body.get("tools"):
        writable(body["tools"], "tools")
    choice = body.get("tool_choice")
    if isinstance(choice, dict) and choice["function"]["name"] not in [t["function"]["name"] for t in body["tools"]]:
        raise InputError(
            f"tool_choice names {choice['function']['name']!r}, which is not among tools",
            param="tool_choice",
            code="invalid_value",
        )


def writable(value: Any, param: str | None = None) -> None:
    """Raise `InputError` for what can be read as JSON but not be written again: whole numbers beyond 64 bits."""
    try:
        orjson.dumps(value)
    except TypeError as error:
        where = param or "the request"
        raise InputError(f"{where} cannot be written as JSON: {error}", param=param, code="invalid_value") from None
