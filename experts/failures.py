"""What it means when an engine fails: every exception and every HTTP status as an error of the tree. Pure."""

from typing import Any

import aiohttp
import orjson

from experts.call import Endpoint
from experts.errors import (
    ContextLengthError,
    EngineBusyError,
    EngineDownError,
    EngineFaultError,
    EngineTimeoutError,
    ExpertError,
    InputError,
    MadrigalError,
    StreamCutError,
)


def brief(error: BaseException) -> str:
    """An exception in a few words, never empty."""
    return str(error) or type(error).__name__


def failed(endpoint: Endpoint, error: BaseException, limit_s: float) -> BaseException:
    """The error of the tree for whatever went wrong before the first byte."""
    name = endpoint.expert
    if isinstance(error, StreamCutError):  # an error frame came first: nothing has been sent on, so it can fall back
        return EngineFaultError(f"expert {name!r}: {error.message}", status=502, expert=name)
    if isinstance(error, MadrigalError):
        return error
    if isinstance(error, aiohttp.ConnectionTimeoutError):
        return EngineDownError(f"expert {name!r} cannot be reached: no connection in time", expert=name)
    if isinstance(error, TimeoutError):
        return EngineTimeoutError(f"expert {name!r} gave no answer within {limit_s:g} s", expert=name)
    if isinstance(error, aiohttp.ClientError | OSError):
        return EngineDownError(f"expert {name!r} cannot be reached: {brief(error)}", expert=name)
    return error


def refused(endpoint: Endpoint, response: aiohttp.ClientResponse, raw: bytes) -> MadrigalError:
    """The error of the tree for an HTTP status other than 200."""
    name, status = endpoint.expert, response.status
    message, kind, code, param = _read_error(raw, status)
    retry_after_s = retry_after(response.headers)
    if status == 400 and (kind == "exceed_context_size_error" or code == "context_length_exceeded"):
        return ContextLengthError(f"expert {name!r}: {message}", param="messages")
    if status in (400, 413, 422):
        return InputError(f"expert {name!r} refused the request: {message}", param=param, code=code)
    if status in (429, 503):
        return EngineBusyError(f"expert {name!r} is busy: {message}", expert=name, retry_after_s=retry_after_s)
    return EngineFaultError(
        f"expert {name!r} answered {status}: {message}", status=status, expert=name, retry_after_s=retry_after_s
    )


def _read_error(raw: bytes, status: int) -> tuple[str, str | None, str | None, str | None]:
    """(message, type, code, param) of an engine's error body, whatever its shape."""
    try:
        error = orjson.loads(raw)
        error = error.get("error", error)
    except (orjson.JSONDecodeError, AttributeError):
        return raw[:300].decode("utf-8", "replace").strip() or f"status {status}", None, None, None
    if not isinstance(error, dict):
        return str(error)[:300], None, None, None
    code, param = error.get("code"), error.get("param")
    message = error.get("message") or error.get("detail") or f"status {status}"
    return (
        str(message),
        error.get("type"),
        code if isinstance(code, str) else None,
        param if isinstance(param, str) else None,
    )


def retry_after(headers: Any) -> float | None:
    """Seconds an engine asks to wait: `retry-after-ms`, or `retry-after` in seconds; other forms are not read."""
    for name, scale in (("retry-after-ms", 1e-3), ("retry-after", 1.0)):
        try:
            wait_s = float(headers[name]) * scale
        except (KeyError, ValueError):
            continue
        if 0 <= wait_s < 86_400:
            return wait_s
    return None


def is_retryable(error: BaseException) -> bool:
    """Whether another expert, or the same one later, may do what failed with `error`."""
    return isinstance(error, ExpertError) and not isinstance(error, StreamCutError)
