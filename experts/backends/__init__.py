"""Engines, a file each, named as in YAML. The contract every file here keeps is `Backend`.

An engine is a server that speaks OpenAI's API: a child process of ours on loopback, or a remote one that nobody has
to start. Its life: `engine(spec, site)` → `start()` → calls through `experts.client` to the `Endpoint` → `stop()`.
The shaping of a call (`bodies`) runs in the API worker; only `engine` runs where the pool lives.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from pydantic import BaseModel

from experts.call import Call, Endpoint
from experts.spec import Capabilities, ExpertSpec


@dataclass(frozen=True, slots=True)
class Site:
    """Where engines keep what they need on this machine: pulled models in `cache`, their output in `logs`."""

    cache: Path
    logs: Path


class Engine(Protocol):
    """One engine of one expert. Not started by its constructor."""

    @property
    def pid(self) -> int | None:
        """Process id of the child, or None where there is none."""

    async def start(self) -> Endpoint:
        """Bring it up and return once it answers. Raises `SourceError`, `EngineDownError` or `EngineTimeoutError`."""

    async def stop(self, grace_s: float = 5.0) -> None:
        """Stop it, killing it after `grace_s` seconds; leaves no process behind. May be called twice."""

    async def exited(self) -> str:
        """Block until the engine is gone by itself; say why. A remote engine never returns."""


class Backend(Protocol):
    """A file of this folder, seen as an object."""

    Params: type[BaseModel]

    def capabilities(self, spec: ExpertSpec) -> Capabilities:
        """What experts of this backend can do, before anything is started: `spec.without` is already taken off."""

    def concurrency(self, spec: ExpertSpec) -> int:
        """Calls it takes at once where the spec names no number."""

    def engine(self, spec: ExpertSpec, site: Site) -> Engine:
        """The engine of this expert, not started."""

    def bodies(self, call: Call, endpoint: Endpoint) -> Sequence[dict[str, Any]]:
        """What to send: one wire body, or one per choice where the engine gives only one choice a call.

        Raises `UnsupportedError` naming the parameter for what this engine cannot do, `InputError` for what it
        would misread. `model`, `stream` and `stream_options` are set by the client, not here.
        """

    def adapt(self, call: Call) -> Callable[[dict[str, Any]], dict[str, Any]] | None:
        """What turns each JSON object of the answer (a stream's chunks in their order) into OpenAI's words.

        None where nothing is to be done: then bytes go through as they came.
        """
