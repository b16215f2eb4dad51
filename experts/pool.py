"""The experts that run: a lease on one of them for each call, restarts, reload, and what can be said of each.

Every engine of the catalog is kept up; which may stay when memory is short is the scheduler's business, once there is
one. Knows nothing of HTTP, policies or what a call holds. Not thread-safe: one pool, one event loop.
"""

import asyncio
import logging
import random as randomness
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from experts.backends import Site
from experts.breaker import CANCELLED, Rules
from experts.catalog import Catalog
from experts.errors import EngineDownError
from experts.slot import Effects, Lease, Restarts, Slot, State
from experts.spec import Capabilities

__all__ = ["ExpertStatus", "Lease", "Pool", "Restarts", "State"]


@dataclass(frozen=True, slots=True)
class ExpertStatus:
    """One expert as it is now. `since_s` is seconds in this state; `reason` says why it is not ready or not used."""

    name: str
    backend: str
    state: State
    reason: str
    since_s: float
    pid: int | None
    restarts: int
    in_flight: int
    waiting: int
    concurrency: int
    breaker: str
    revision: str
    url: str
    local: bool


class Pool:
    """Keeps the engines of a catalog up and leases places on them. `start` it, `stop` it."""

    def __init__(
        self,
        catalog: Catalog,
        site: Site,
        *,
        rules: Rules = Rules(),
        restarts: Restarts = Restarts(),
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        random: randomness.Random | None = None,
        log: logging.Logger | None = None,
    ) -> None:
        self._catalog, self._site, self._rules, self._restarts = catalog, site, rules, restarts
        self._effects = Effects(clock, sleep, random or randomness.Random(), log or logging.getLogger("madrigal.pool"))
        self._slots: dict[str, Slot] = {}
        self._tasks: dict[Slot, asyncio.Task[None]] = {}
        self._leaving: set[asyncio.Task[None]] = set()

    @property
    def catalog(self) -> Catalog:
        """The catalog in use."""
        return self._catalog

    async def start(self) -> None:
        """Begin to start every engine. Remote ones are ready when this returns, children come up in the background."""
        for name in self._catalog:
            self._bring_up(name)
        await asyncio.sleep(0)  # one step of every task: all that an engine without a process needs

    async def ready(self, *names: str) -> None:
        """Block until these experts (default: all) are up. Raises `EngineDownError` for the first that fails to."""
        for name in names or tuple(self._catalog):
            (await self.lease(name, wait_s=float(1 << 20))).close(CANCELLED)

    async def lease(self, name: str, *, wait_s: float = 30.0) -> Lease:
        """A place on this expert: at once where one is free, else after waiting at most `wait_s` seconds in line.

        Waits for an engine that is starting, never for one that is down. Raises `NotFoundError`, `EngineDownError`, or
        `EngineBusyError` (its queue is full, the wait was too long, or it asked to be left alone), each with
        `retry_after_s` where that is known.
        """
        slot = self._slots.get(name)
        if slot is None:
            raise self._absent(name)
        return await slot.take(wait_s)

    def why_not(self, name: str) -> str | None:
        """Why calls had better go elsewhere now, in a few words, or None: it is up, or starts for the first time."""
        slot = self._slots.get(name)
        return "not in the pool" if slot is None else slot.why_not()

    def capabilities(self, name: str) -> Capabilities:
        """What it can do, as far as is known: the catalog's word, less what the loaded model turned out to lack."""
        slot = self._slots.get(name)
        return self._catalog[name].capabilities if slot is None else slot.capabilities

    def status(self) -> list[ExpertStatus]:
        """Every expert as it is now, in the order of the policy file."""
        return [_status(slot, self._effects.clock()) for slot in self._slots.values()]

    def load(self, name: str) -> int | None:
        """Calls of an expert in flight and waiting; None where the pool does not run it."""
        slot = self._slots.get(name)
        return slot.in_flight + slot.waiting if slot is not None else None

    async def reload(self, catalog: Catalog) -> None:
        """Run this catalog instead. What did not change keeps running; what did is started anew while the calls on the
        old engine finish; what is gone stops after its last call. No call in flight is cut."""
        old, self._catalog = self._slots, catalog
        self._slots = {}
        for name, expert in catalog.items():
            slot = old.get(name)
            if slot is not None and slot.expert.key == expert.key:
                self._slots[name] = old.pop(name)
                slot.update(expert)
            else:
                self._bring_up(name)
        for slot in old.values():
            leaving = asyncio.ensure_future(self._retire(slot))
            self._leaving.add(leaving)
            leaving.add_done_callback(self._leaving.discard)
        await asyncio.sleep(0)

    async def stop(self, grace_s: float = 5.0) -> None:
        """Stop every engine, giving each `grace_s` seconds before it is killed. Calls in flight are cut."""
        for slot in self._tasks:
            slot.grace_s = grace_s
        tasks = [*self._tasks.values(), *self._leaving]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        self._tasks.clear()

    def _bring_up(self, name: str) -> None:
        slot = Slot(self._catalog[name], self._site, self._rules, self._restarts, self._effects)
        self._slots[name] = slot
        self._tasks[slot] = asyncio.ensure_future(slot.run())

    async def _retire(self, slot: Slot) -> None:
        await slot.drained()
        task = self._tasks.pop(slot)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)

    def _absent(self, name: str) -> EngineDownError:
        _ = self._catalog[name]  # raises NotFoundError where there is no such expert
        return EngineDownError(f"{name} is not started: the pool is not running", expert=name)


def _status(slot: Slot, now: float) -> ExpertStatus:
    endpoint, spec = slot.endpoint, slot.expert.spec
    return ExpertStatus(
        name=spec.name,
        backend=spec.backend,
        state=slot.state,
        reason=slot.why_not() or slot.reason,
        since_s=now - slot.since,
        pid=slot.engine.pid if slot.engine is not None else None,
        restarts=slot.restarts,
        in_flight=slot.in_flight,
        waiting=slot.waiting,
        concurrency=slot.expert.concurrency,
        breaker=slot.breaker.state,
        revision=endpoint.revision if endpoint is not None else "",
        url=endpoint.url if endpoint is not None else "",
        local=slot.capabilities.local,
    )
