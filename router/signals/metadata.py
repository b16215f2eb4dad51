"""What comes with a request beside its text: headers, metadata, the key's user, tenant and roles, the model asked for.

Knows no keys: user, tenant and roles are the API key's own. Headers and metadata are the client's word, so they may
steer a request but never unlock anything.
"""

import math
from collections.abc import Callable
from typing import Any, Literal, TypeAlias

from pydantic import ConfigDict, Field, model_validator

from experts.spec import Frozen
from router.patterns import Pattern, regex
from router.prompt import Prompt
from router.signals import Evaluate, Signal
from router.tools import Tools

COST = "cheap"
NEEDS: frozenset[str] = frozenset()
EXAMPLE = {"of": "roles", "equals": "admin"}

Scalar: TypeAlias = bool | int | float | str


class Params(Frozen):
    """Exactly one of `of`, `header` and `metadata` says what is read, at most one of `equals`, `in`, `regex` and
    `exists` what must hold of it. A list (roles) matches if any of its items does."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    of: Literal["user", "tenant", "roles", "model"] | None = Field(
        None, description="what is read: a fact of the key or the model asked for"
    )
    header: str | None = Field(None, min_length=1, description="what is read: a request header, by name")
    metadata: str | None = Field(None, min_length=1, description="what is read: a key of the request's `metadata`")
    equals: Scalar | None = Field(None, description="it must equal this")
    among: tuple[Scalar, ...] = Field((), alias="in", description="it must equal one of these")
    regex: Pattern | None = Field(None, description="this RE2 pattern must be found in it; no look-around")
    exists: bool | None = Field(None, description="it must be there and not empty (true, the default) or not (false)")
    case_sensitive: bool = Field(True, description="whether capitals matter in texts and patterns")

    @model_validator(mode="after")
    def _one_each(self) -> "Params":
        sources = [name for name in ("of", "header", "metadata") if getattr(self, name) is not None]
        if len(sources) != 1:
            raise ValueError(f"exactly one of of, header and metadata is needed, given: {', '.join(sources) or 'none'}")
        tests = [n for n in ("equals", "among", "regex", "exists") if getattr(self, n) not in (None, ())]
        if len(tests) > 1:
            raise ValueError(
                f"at most one of equals, in, regex and exists, given: {', '.join(tests).replace('among', 'in')}"
            )
        return self


def build(params: Params, tools: Tools) -> Evaluate:
    """The signal's value is what was read (a list as a tuple), None where it is not there."""
    source, test = _source(params), _test(params)

    def evaluate(prompt: Prompt) -> Signal:
        value = source(prompt)
        items = value if isinstance(value, tuple) else () if value is None or value == "" else (value,)
        return Signal(test(items), value=value, count=len(items))

    return evaluate


def _source(params: Params) -> Callable[[Prompt], Any]:
    if params.header is not None:
        name = params.header.lower()
        return lambda prompt: prompt.headers.get(name)
    if params.metadata is not None:
        key = params.metadata
        return lambda prompt: _plain(prompt.metadata.get(key))
    field = params.of or ""
    return lambda prompt: getattr(prompt, field)


def _plain(value: Any) -> Any:
    """A scalar as it is, a list of scalars as a tuple, anything else as not there: it is logged and compared."""
    if isinstance(value, list):
        return tuple(item for item in value if isinstance(item, str | int | float))
    return value if isinstance(value, str | int) or (isinstance(value, float) and math.isfinite(value)) else None


def _test(params: Params) -> Callable[[tuple[Any, ...]], bool]:
    if params.exists is False:
        return lambda items: not items
    if params.regex is not None:
        pattern = regex(params.regex, case_sensitive=params.case_sensitive)
        return lambda items: any(pattern.search(str(item).encode("utf-8", "replace")) is not None for item in items)
    constants = params.among if params.equals is None else (params.equals,)
    if constants:
        wanted = {_key(constant, params.case_sensitive) for constant in constants}
        return lambda items: any(_key(item, params.case_sensitive) in wanted for item in items)
    return bool


def _key(value: Any, case_sensitive: bool) -> tuple[bool, Any]:
    """For comparing: True is not 1, and texts may ignore capitals."""
    return isinstance(value, bool), value.casefold() if isinstance(value, str) and not case_sensitive else value
