"""A clock that is moved by hand and engines that do as they are told."""

import asyncio
import heapq
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from experts.backends import Site
from experts.call import Call, Endpoint
from experts.spec import Capabilities, ExpertSpec, Frozen


class Clock:
    """Seconds that pass only by `advance`; `sleep` is woken by it."""

    def __init__(self) -> None:
        self.now = 0.0
        self._sleepers: list[tuple[float, int, asyncio.Future[None]]] = []

    def __call__(self) -> float:
        return self.now

    async def sleep(self, seconds: float) -> None:
        waiter = asyncio.get_running_loop().create_future()
        heapq.heappush(self._sleepers, (self.now + seconds, id(waiter), waiter))
        await waiter

    async def advance(self, seconds: float) -> None:
        """Let time pass, and everything that was waiting for it run."""
        self.now += seconds
        while self._sleepers and self._sleepers[0][0] <= self.now:
            waiter = heapq.heappop(self._sleepers)[2]
            if not waiter.done():
                waiter.set_result(None)
        await settle()


async def settle() -> None:
    """Let every task run until it waits for something."""
    for _ in range(20):
        await asyncio.sleep(0)


@dataclass
class ScriptedEngine:
    """Starts when `up` is set, or fails with what `script` holds; lives until `die`."""

    spec: ExpertSpec
    script: list[BaseException]
    up: asyncio.Event
    lacks: frozenset[str] = frozenset()
    has_process: bool = True
    stopped: bool = False
    _death: asyncio.Future[str] | None = None

    @property
    def pid(self) -> int | None:
        return 4711 if self.has_process and not self.stopped else None

    async def start(self) -> Endpoint:
        await self.up.wait()
        if self.script:
            raise self.script.pop(0)
        self._death = asyncio.get_running_loop().create_future()
        return Endpoint(self.spec.name, "scripted", "http://127.0.0.1:1/v1", self.spec.name, lacks=self.lacks)

    async def stop(self, grace_s: float = 5.0) -> None:
        self.stopped = True
        self.die("it was stopped")

    def die(self, reason: str) -> None:
        if self._death is not None and not self._death.done():
            self._death.set_result(reason)

    async def exited(self) -> str:
        assert self._death is not None
        return await asyncio.shield(self._death)


@dataclass
class ScriptedBackend:
    """A backend whose engines obey the test. `engines` are all it ever made, in order."""

    class Params(Frozen):
        flavour: str = "plain"

    slots: int = 2
    failures: list[BaseException] = field(default_factory=list)
    up: asyncio.Event = field(default_factory=asyncio.Event)
    lacks: frozenset[str] = frozenset()
    has_process: bool = True
    engines: list[ScriptedEngine] = field(default_factory=list)

    def capabilities(self, spec: ExpertSpec) -> Capabilities:
        return Capabilities(features=frozenset(("chat", "tools", "seed")) - set(spec.without))

    def concurrency(self, spec: ExpertSpec) -> int:
        return self.slots

    def engine(self, spec: ExpertSpec, site: Site) -> ScriptedEngine:
        self.engines.append(ScriptedEngine(spec, self.failures, self.up, self.lacks, self.has_process))
        return self.engines[-1]

    def bodies(self, call: Call, endpoint: Endpoint) -> Sequence[dict[str, Any]]:
        return [dict(call.body)]


def up(backend: ScriptedBackend) -> ScriptedBackend:
    """The same backend, its engines starting at once."""
    backend.up.set()
    return backend
