"""Sampling parameters: set where the client left them open, forced whatever it said, or capped."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, TypeAlias

from pydantic import Field, model_validator

from experts.call import Answer
from experts.spec import Frozen
from orchestrator.plugins import Kit, Plugin, Turn

EXAMPLE = {"cap": {"max_tokens": 512}}

Value: TypeAlias = bool | int | float | str | list[str] | None

SETTABLE = (
    "temperature",
    "top_p",
    "max_tokens",
    "max_completion_tokens",
    "stop",
    "seed",
    "presence_penalty",
    "frequency_penalty",
    "reasoning_effort",
    "verbosity",
    "service_tier",
    "parallel_tool_calls",
    "user",
)
"""What may be set: it shapes how an answer is made, not what is asked or the form of the reply."""
_LENGTHS = ("max_tokens", "max_completion_tokens")


class Params(Frozen):
    """At least one of the three. `max_tokens` and `max_completion_tokens` are one parameter under two names."""

    defaults: Mapping[str, Value] = Field({}, description="taken where the client sent none")
    force: Mapping[str, Value] = Field({}, description="taken whatever the client sent; null: taken out")
    cap: Mapping[str, float] = Field({}, description="a greater number of the client's is lowered to this")

    @model_validator(mode="after")
    def _known(self) -> "Params":
        if not (self.defaults or self.force or self.cap):
            raise ValueError("one of defaults, force and cap is needed")
        for name in (*self.defaults, *self.force, *self.cap):
            if name not in SETTABLE:
                raise ValueError(f"{name!r} cannot be set; known: {', '.join(SETTABLE)}")
        return self


def build(params: Params, kit: Kit) -> Plugin:
    """Defaults first, then what is forced, then caps. A cap on the length also bounds requests that ask for none."""
    return _Sampling(params)


class _Sampling(Plugin):
    def __init__(self, params: Params) -> None:
        self._params = params

    async def enter(self, turn: Turn) -> Answer | None:
        body = dict(turn.call.body)
        for name, value in self._params.defaults.items():
            if _get(body, name) is None:
                _set(body, name, value)
        for name, value in self._params.force.items():
            _set(body, name, value)
        for name, most in self._params.cap.items():
            given = _get(body, name)
            numbers = [one for one in _all(body, name) if isinstance(one, int | float)]
            if any(one > most for one in numbers):
                _set(body, name, type(given)(min(*numbers, most)))
            elif given is None and name in _LENGTHS:
                _set(body, name, int(most))
        turn.call = replace(turn.call, body=body)
        return None


def _all(body: Mapping[str, Any], name: str) -> list[Any]:
    """Every value given, where a parameter has two names."""
    return [body[one] for one in (_LENGTHS if name in _LENGTHS else (name,)) if body.get(one) is not None]


def _get(body: Mapping[str, Any], name: str) -> Any:
    return next(iter(_all(body, name)), None)


def _set(body: dict[str, Any], name: str, value: Any) -> None:
    """Under the name that the client used, where there are two; None takes it out."""
    if name in _LENGTHS:
        used = next((one for one in _LENGTHS if body.get(one) is not None), name)
        for one in _LENGTHS:
            body.pop(one, None)
        name = used
    if value is None:
        body.pop(name, None)
    else:
        body[name] = value
