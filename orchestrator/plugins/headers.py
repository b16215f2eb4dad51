"""Headers: some added to the calls that experts get, some to the answer that the client gets."""

import re
from collections.abc import Mapping
from dataclasses import replace

from pydantic import Field, model_validator

from experts.call import Answer
from experts.spec import Frozen
from orchestrator.plugins import Kit, Plugin, Turn

EXAMPLE = {"to_expert": {"x-priority": "batch"}}

_NAME = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+")
_VALUE = re.compile(r"[\t\x20-\x7e]*")
_OURS = ("authorization", "content-type", "content-length", "host", "connection", "transfer-encoding", "te", "upgrade")


class Params(Frozen):
    """At least one header. Keys and what frames a message are not to be set here."""

    to_expert: Mapping[str, str] = Field({}, description="name → value, sent with every call to an expert")
    to_client: Mapping[str, str] = Field({}, description="name → value, in the answer; names begin with x-")

    @model_validator(mode="after")
    def _valid(self) -> "Params":
        if not (self.to_expert or self.to_client):
            raise ValueError("one of to_expert and to_client is needed")
        for name, value in (*self.to_expert.items(), *self.to_client.items()):
            if not _NAME.fullmatch(name):
                raise ValueError(f"{name!r} is no name of a header")
            if not _VALUE.fullmatch(value):
                raise ValueError(f"the value of {name!r} must be printable ASCII on one line")
            if name.lower() in _OURS:
                raise ValueError(f"{name!r} is not to be set here: keys belong into the expert's api_key_env")
        for name in self.to_client:
            if not name.lower().startswith("x-") or name.lower().startswith(("x-madrigal-", "x-request-id")):
                raise ValueError(f"{name!r}: headers to the client begin with x-, and not as ours do")
        return self


def build(params: Params, kit: Kit) -> Plugin:
    """It changes no text."""
    return _Headers(params)


class _Headers(Plugin):
    def __init__(self, params: Params) -> None:
        self._to_expert = {name.lower(): value for name, value in params.to_expert.items()}
        self._to_client = {name.lower(): value for name, value in params.to_client.items()}

    async def enter(self, turn: Turn) -> Answer | None:
        turn.call = replace(turn.call, headers={**turn.call.headers, **self._to_expert})
        turn.headers.update(self._to_client)
        return None
