"""The one map from errors to HTTP: status, OpenAI's error body, and when to come back. Knows nothing of routes."""

import logging
import math
from collections.abc import Mapping
from typing import Any

import orjson
from pydantic import ValidationError

from experts.errors import (
    AuthenticationError,
    ConflictError,
    EngineBusyError,
    EngineFaultError,
    EngineTimeoutError,
    ExpertError,
    ForbiddenError,
    InputError,
    LimitError,
    MadrigalError,
    NotFoundError,
    SourceError,
    StoreError,
)

log = logging.getLogger("madrigal.api")

_STATUS: tuple[tuple[type[MadrigalError], int, str], ...] = (
    (InputError, 400, "invalid_request_error"),
    (AuthenticationError, 401, "authentication_error"),
    (ForbiddenError, 403, "permission_error"),
    (NotFoundError, 404, "invalid_request_error"),
    (ConflictError, 409, "conflict_error"),
    (LimitError, 429, "rate_limit_error"),
    (EngineBusyError, 429, "rate_limit_error"),
    (EngineTimeoutError, 504, "server_error"),
    (EngineFaultError, 502, "server_error"),
    (ExpertError, 503, "server_error"),
    (SourceError, 503, "server_error"),
    (StoreError, 503, "server_error"),
)


class RequestError(InputError):
    """A request wrong in form, with an HTTP status of its own (405, 413, 415 …) and what headers go with that."""

    def __init__(
        self, message: str, *, status: int = 400, headers: Mapping[str, str] | None = None, **more: Any
    ) -> None:
        super().__init__(message, **more)
        self.status = status
        self.headers = dict(headers or {})


def status_of(error: BaseException) -> int:
    """HTTP status of an error; 500 for what is not in the tree."""
    if isinstance(error, RequestError):
        return error.status
    return next((status for kind, status, _ in _STATUS if isinstance(error, kind)), 500)


def body_of(error: BaseException) -> dict[str, Any]:
    """OpenAI's error body. What is not in the tree is not described: it is our own fault and is in the log."""
    if not isinstance(error, MadrigalError):
        return _wire("internal error; the server's log has it under this request's x-request-id", "server_error")
    kind = next((name for kind, _, name in _STATUS if isinstance(error, kind)), "server_error")
    return _wire(str(error), kind, error.param, error.code)


def _wire(message: str, kind: str, param: str | None = None, code: str | None = None) -> dict[str, Any]:
    return {"error": {"message": message, "type": kind, "param": param, "code": code}}


def headers_of(error: BaseException) -> dict[str, str]:
    """`retry-after` in whole seconds (never sooner than asked), `retry-after-ms`, the key's limits, `allow`,
    `www-authenticate`."""
    headers: dict[str, str] = {}
    if isinstance(error, LimitError | RequestError):
        headers.update(error.headers)
    wait_s = getattr(error, "retry_after_s", None)
    if wait_s is not None:
        headers["retry-after"] = str(max(1, math.ceil(wait_s)))
        headers["retry-after-ms"] = str(max(1, math.ceil(wait_s * 1e3)))
    if isinstance(error, AuthenticationError):
        headers["www-authenticate"] = "Bearer"
    return headers


def invalid(error: ValidationError) -> InputError:
    """The first thing wrong with a body, told as OpenAI does: the field, what must hold, what was given."""
    first = _best(error)
    if first["type"] == "json_invalid":
        return RequestError(f"the body is not valid JSON: {first['ctx']['error']}", code="invalid_json")
    where = _path(first["loc"])
    if first["type"] == "missing":
        return InputError(f"{where}: this field is required", param=where, code="missing_required_parameter")
    given = repr(first["input"])
    given = given if len(given) <= 80 else given[:77] + "…"
    return InputError(
        f"{where or 'the body'}: {first['msg'].replace('Input should', 'must')}; {given} was given",
        param=where or None,
        code="invalid_type" if first["type"].endswith("_type") else "invalid_value",
    )


def _best(error: ValidationError) -> Any:
    """Of a union's errors the one the client meant: the deepest, and where the type was right before where it was not."""
    errors = error.errors(include_url=False)
    top = errors[0]["loc"][:1]
    return max(
        (e for e in errors if e["loc"][:1] == top), key=lambda e: (len(e["loc"]), not e["type"].endswith("_type"))
    )


def _path(loc: tuple[int | str, ...]) -> str:
    """`messages[0].content` of a location; the names of union members, which are ours, are left out, as is the tag of
    one where the field it is about is called the same (`response_format.json_schema`)."""
    path = ""
    for before, part in zip(("", *loc), loc, strict=False):
        if part == before and isinstance(part, str):
            continue
        if isinstance(part, int):
            path += f"[{part}]"
        elif part.replace("_", "").isalnum() and part.islower() and part not in ("str", "int", "float", "bool"):
            path += f".{part}" if path else part
    return path


def encode(error: BaseException) -> bytes:
    """The error body as JSON."""
    return orjson.dumps(body_of(error))


def report(error: BaseException, request_id: str, path: str) -> None:
    """Log what a client cannot mend: our own mistakes with their traceback, failing experts in a line."""
    status = status_of(error)
    if status == 500:
        log.error("%s %s failed", request_id, path, exc_info=error)
    elif status > 500:
        log.warning("%s %s: %s", request_id, path, str(error))  # not the object: its traceback holds the request


def lower(headers: list[tuple[bytes, bytes]]) -> Mapping[str, str]:
    """ASGI's headers as text, lower-case; of repeated ones the last."""
    return {name.decode("latin-1"): value.decode("latin-1") for name, value in headers}
