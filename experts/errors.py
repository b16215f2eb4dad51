"""Every error Madrigal raises on purpose. Knows nothing of HTTP: `api/errors.py` maps this tree once.

MadrigalError
├── InputError            what was asked or written is wrong; the caller can mend it
│   ├── ConfigError         … in the configuration file: names file, line and key
│   ├── UnsupportedError    … no expert in question can do it: names the parameter
│   ├── ContextLengthError  … the prompt is longer than any expert in question can read
│   └── ConstraintError     … a constraint of the policy leaves no expert that may answer
├── AuthenticationError   no key, or a wrong one
├── ForbiddenError        the key is right but may not do this
├── NotFoundError         no such model, request or path
├── ConflictError         it exists already, or was done already
├── LimitError            too much at once: says when to come back (`retry_after_s`)
├── SourceError           a model could not be fetched, or is not what was promised
├── StoreError            the database cannot be used
└── ExpertError           an expert failed; the client did nothing wrong
    ├── EngineDownError     it cannot be reached, or its process died
    ├── EngineBusyError     it is up but refuses for now (`retry_after_s`)
    ├── EngineTimeoutError  it did not answer in time
    ├── EngineFaultError    it answered with an error of its own (`status`)
    ├── StreamCutError      it broke off after the first byte
    └── UnavailableError    none of the experts that may answer can do so now
"""

from collections.abc import Mapping
from typing import Any


class MadrigalError(Exception):
    """A failure with a message that says what must hold, what was given and what would work.

    `param` names the request field at fault; `code` is a stable word for programs; `remedy` is one more sentence
    that the command line prints on its own line and the API appends to the message.
    """

    code: str | None = None

    def __init__(
        self, message: str, *, remedy: str | None = None, param: str | None = None, code: str | None = None
    ) -> None:
        super().__init__(message)
        self.message = message
        self.remedy = remedy
        self.param = param
        if code is not None:
            self.code = code

    def __str__(self) -> str:
        if not self.remedy:
            return self.message
        stop = "" if self.message.endswith((".", "!", "?", "^")) else "."  # ^ points at a place in the line above
        return f"{self.message}{stop} {self.remedy}"


class InputError(MadrigalError):
    """The request, command or file is wrong and would be wrong again."""

    code = "invalid_value"


class ConfigError(InputError):
    """The configuration file is wrong. `line` and `column` count from 1; `key` is the dotted path, `server.port`."""

    code = "invalid_config"

    def __init__(
        self,
        message: str,
        *,
        file: str | None = None,
        line: int | None = None,
        column: int | None = None,
        key: str | None = None,
        remedy: str | None = None,
    ) -> None:
        self.file, self.line, self.column, self.key = file, line, column, key
        place = ":".join(str(part) for part in (file, line, column) if part is not None)
        super().__init__(": ".join(part for part in (place, key, message) if part), remedy=remedy)


class UnsupportedError(InputError):
    """None of the experts that may answer can do what `param` asks."""

    code = "unsupported_parameter"


class ContextLengthError(InputError):
    """The prompt does not fit the context of any expert that may answer."""

    code = "context_length_exceeded"


class ConstraintError(InputError):
    """A constraint of the policy forbids every expert that could answer."""

    code = "constraint_violation"


class AuthenticationError(MadrigalError):
    """No key was sent, or it is unknown, or it was revoked."""

    code = "invalid_api_key"


class ForbiddenError(MadrigalError):
    """The key is valid, but its roles or models do not allow this."""

    code = "forbidden"


class NotFoundError(MadrigalError):
    """The named thing does not exist."""

    code = "not_found"


class ConflictError(MadrigalError):
    """It exists already, or was already done."""

    code = "conflict"


class LimitError(MadrigalError):
    """A limit of the caller's key or of this server is reached; `retry_after_s` says when to come back, if ever.

    `headers` tell the limit itself, as `x-ratelimit-*`; empty where the limit is not a key's.
    """

    code = "rate_limit_exceeded"

    def __init__(
        self,
        message: str,
        *,
        retry_after_s: float | None = None,
        headers: Mapping[str, str] | None = None,
        **more: Any,
    ) -> None:
        super().__init__(message, **more)
        self.retry_after_s = retry_after_s
        self.headers = dict(headers or {})


class SourceError(MadrigalError):
    """A model could not be fetched, does not match its SHA-256, or could not be written to the cache."""

    code = "source_error"


class StoreError(MadrigalError):
    """The database cannot be opened, migrated or written."""

    code = "store_error"


class ExpertError(MadrigalError):
    """An expert failed. `expert` names it; `retry_after_s` is its own wish, if it had one."""

    code = "expert_error"

    def __init__(
        self, message: str, *, expert: str | None = None, retry_after_s: float | None = None, **more: Any
    ) -> None:
        super().__init__(message, **more)
        self.expert = expert
        self.retry_after_s = retry_after_s


class EngineDownError(ExpertError):
    """The engine cannot be reached or its process died; nothing of the answer has arrived."""

    code = "expert_unavailable"


class EngineBusyError(ExpertError):
    """The engine is up but refuses the call for now (its own 429 or 503, or its queue here is full)."""

    code = "expert_busy"


class EngineTimeoutError(ExpertError):
    """The engine did not answer within the time allowed."""

    code = "expert_timeout"


class EngineFaultError(ExpertError):
    """The engine answered with an error of its own. `status` is its HTTP status."""

    def __init__(self, message: str, *, status: int, **more: Any) -> None:
        super().__init__(message, **more)
        self.status = status


class StreamCutError(ExpertError):
    """The engine broke off after the first byte: what arrived is incomplete and no `stop` may be invented."""

    code = "stream_cut"


class UnavailableError(ExpertError):
    """Every expert that may answer was tried or is known to be down."""

    code = "no_expert_available"
