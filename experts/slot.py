"""One expert's place in the pool: its engine's life, its free places, who waits for one, and its health.

The pool decides that an expert runs; here it is kept running. Knows nothing of other experts nor of HTTP.
"""

import asyncio
import logging
import random
from collections import deque
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from types import TracebackType
from typing import Literal

from experts.backends import Backend, Engine, Site
from experts.breaker import CANCELLED, OK, Breaker, Outcome, Rules, outcome_of
from experts.call import Endpoint
from experts.catalog import Expert
from experts.errors import EngineBusyError, EngineDownError, ExpertError, MadrigalError
from experts.spec import Capabilities

State = Literal["starting", "ready", "down", "stopped"]


_LOOKS_S = (0.005, 0.02, 0.05, 0.1)
"""When to look, one after the other, whether a process whose connection broke has died."""


@dataclass(frozen=True, slots=True)
class Effects:
    """What the pool does not take from the world by itself, so that tests can give it something else."""

    clock: Callable[[], float]
    sleep: Callable[[float], Awaitable[None]]
    random: random.Random
    log: logging.Logger


@dataclass(frozen=True, slots=True)
class Restarts:
    """How a dead engine is brought back: at once after it ran for `stable_s`, else after `first_s`, doubled each time
    up to `longest_s`, each wait shortened by up to a half at random so that many do not start together."""

    first_s: float = 0.5
    longest_s: float = 60.0
    stable_s: float = 30.0

    def delay_s(self, failures: int, chance: float) -> float:
        """Seconds to wait after so many failures in a row, `chance` in [0, 1)."""
        return min(self.first_s * 2.0 ** min(failures - 1, 30), self.longest_s) * (1.0 - chance / 2)


class Lease:
    """A place on one engine, held from `Pool.lease` until `close`. Also a context manager that closes it with what
    the exception stands for."""

    __slots__ = ("_closed", "_life", "_slot", "_ticket", "backend", "endpoint", "expert", "taken", "waited_s")

    def __init__(self, slot: "Slot", endpoint: Endpoint, ticket: int, taken: float, waited_s: float) -> None:
        self._slot, self._ticket, self._life, self._closed = slot, ticket, slot.life, False
        self.endpoint = endpoint
        self.expert: Expert = slot.expert
        self.backend: Backend = slot.expert.backend
        self.taken = taken
        self.waited_s = waited_s

    @property
    def lost(self) -> bool:
        """Whether the engine behind it is gone."""
        return self._slot.life != self._life or self._slot.state != "ready"

    def close(self, outcome: Outcome = OK) -> None:
        """Give the place back and tell how the call ended. Never blocks; only the first call counts."""
        if not self._closed:
            self._closed = True
            self._slot.release(self, self._ticket, self._life, outcome)

    def __enter__(self) -> "Lease":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close(outcome_of(error))


class Slot:
    """Where one expert runs. `run` as a task keeps its engine alive; `take` hands out its places in order of arrival."""

    def __init__(self, expert: Expert, site: Site, rules: Rules, restarts: Restarts, effects: Effects) -> None:
        self.expert = expert
        self._site, self._restarts, self._effects = site, restarts, effects
        self.breaker = Breaker(rules, effects.clock)
        self.capabilities: Capabilities = expert.capabilities
        self.endpoint: Endpoint | None = None
        self.engine: Engine | None = None
        self.state: State = "starting"
        self.since = effects.clock()
        self.reason = ""
        self.restarts = 0
        self.life = 0
        self.grace_s = 5.0
        self.in_flight = 0
        self._waiting: deque[asyncio.Future[Lease]] = deque()
        self._next_start = 0.0
        self._hold_s = 1.0
        self._had_process = False
        self._idle = asyncio.Event()
        self._idle.set()
        self._recycling: asyncio.Task[None] | None = None
        self._check: asyncio.Task[None] | None = None

    # -- places ---------------------------------------------------------------------------------------------------

    @property
    def waiting(self) -> int:
        return len(self._waiting)

    def why_not(self) -> str | None:
        """Why a call would better go elsewhere, or None. An engine that starts for the first time is worth waiting for."""
        if self.state != "ready":
            return None if self.state == "starting" and not self.restarts else f"{self.state}: {self.reason}"
        if not self.breaker.would_admit():
            return f"{self.breaker.state}: {self.breaker.reason}"
        return None

    async def take(self, wait_s: float) -> Lease:
        """A place, at once if one is free. Raises `EngineDownError` or `EngineBusyError`."""
        if self.state == "ready" and self.in_flight < self.expert.concurrency and not self._waiting:
            return self._lease(0.0)
        if self.state in ("down", "stopped"):
            raise self._down()
        if self.state == "ready" and not self.breaker.would_admit():
            raise self._not_admitted()
        if self.waiting >= self.expert.spec.max_queue:
            raise EngineBusyError(
                f"{self._name} has {self.waiting} calls waiting already, its max_queue",
                expert=self._name,
                retry_after_s=self._wait_guess_s(),
            )
        return await self._wait(wait_s)

    async def _wait(self, wait_s: float) -> Lease:
        loop = asyncio.get_running_loop()
        waiter: asyncio.Future[Lease] = loop.create_future()
        timer = loop.call_later(wait_s, self._give_up, waiter, wait_s)
        since = self._effects.clock()
        self._waiting.append(waiter)
        try:
            lease = await waiter
        except BaseException:
            with suppress(ValueError):
                self._waiting.remove(waiter)
            if waiter.done() and not waiter.cancelled() and waiter.exception() is None:
                waiter.result().close(CANCELLED)  # it was handed a place in the moment its caller left
            raise
        finally:
            timer.cancel()
        lease.waited_s = self._effects.clock() - since
        return lease

    def _give_up(self, waiter: "asyncio.Future[Lease]", wait_s: float) -> None:
        if waiter.done():
            return
        if self.state == "ready":
            said = f"{self._name} had no free place within {wait_s:g} s"
            waiter.set_exception(EngineBusyError(said, expert=self._name, retry_after_s=self._wait_guess_s()))
        else:
            said = f"{self._name} was still starting after {wait_s:g} s"
            waiter.set_exception(EngineDownError(said, expert=self._name, retry_after_s=1.0))

    def _lease(self, waited_s: float) -> Lease:
        assert self.endpoint is not None
        ticket = self.breaker.admit()
        if ticket is None:
            raise self._not_admitted()
        self.in_flight += 1
        self._idle.clear()
        return Lease(self, self.endpoint, ticket, self._effects.clock(), waited_s)

    def release(self, lease: Lease, ticket: int, life: int, outcome: Outcome) -> None:
        """What `Lease.close` calls."""
        self.in_flight -= 1
        self._hold_s += 0.1 * (self._effects.clock() - lease.taken - self._hold_s)
        if outcome.cut and self.state == "ready" and self._had_process and life == self.life:
            self._check = asyncio.ensure_future(self._see_whether_it_lives())
        if life == self.life and self.breaker.record(ticket, outcome):
            self._effects.log.warning("expert %s: breaker opened: %s", self._name, outcome.reason)
            if self.engine is not None and self.engine.pid is not None:
                self._recycling = asyncio.ensure_future(self._recycle(self.engine))
        if self.in_flight == 0:
            self._idle.set()
        if self._waiting:
            self._serve()

    async def _see_whether_it_lives(self) -> None:
        """A broken connection is the first sign of a crash, some milliseconds before the process is seen to be gone:
        until that is clear no other call is to run into it."""
        engine, life = self.engine, self.life
        self._become("starting", "a connection broke: is it alive?")
        for wait_s in _LOOKS_S:
            await asyncio.sleep(wait_s)
            if life != self.life or engine is None or engine.pid is None:
                return  # `run` knows, or will hear of it
        if self.state == "starting":
            self._become("ready", "")
            self._serve()

    def _serve(self) -> None:
        """Hand free places to those who wait, first come first served."""
        while self._waiting and self.state == "ready" and self.in_flight < self.expert.concurrency:
            waiter = self._waiting.popleft()
            if waiter.done():
                continue
            try:
                waiter.set_result(self._lease(0.0))
            except ExpertError as error:
                waiter.set_exception(error)

    def _turn_away(self, error: Callable[[], ExpertError]) -> None:
        while self._waiting:
            waiter = self._waiting.popleft()
            if not waiter.done():
                waiter.set_exception(error())

    def _wait_guess_s(self) -> float:
        return min(60.0, max(1.0, self._hold_s * (self.waiting + 1) / self.expert.concurrency))

    @property
    def _name(self) -> str:
        return self.expert.spec.name

    def _down(self) -> EngineDownError:
        wait = max(0.1, self._next_start - self._effects.clock()) if self.state == "down" else None
        return EngineDownError(f"{self._name} is {self.state}: {self.reason}", expert=self._name, retry_after_s=wait)

    def _not_admitted(self) -> ExpertError:
        kind = EngineBusyError if self.breaker.state == "cooling" else EngineDownError
        return kind(
            f"{self._name} is left alone for now: {self.breaker.reason}",
            expert=self._name,
            retry_after_s=self.breaker.retry_after_s,
        )

    # -- the engine's life ----------------------------------------------------------------------------------------

    async def run(self) -> None:
        """Start the engine, and again whenever it dies, until cancelled; then stop it and return."""
        failures = 0
        try:
            while True:
                self._become("starting", self.reason)
                engine = self.engine = self.expert.backend.engine(self.expert.spec, self._site)
                started, up = self._effects.clock(), False
                try:
                    endpoint = await engine.start()
                    up = True
                    self._ready(endpoint)
                    reason = await engine.exited()
                except MadrigalError as error:
                    reason = str(error)
                except Exception as error:
                    self._effects.log.exception("expert %s: its engine failed in a way not foreseen", self._name)
                    reason = f"{type(error).__name__}: {error}"
                await engine.stop(0)
                if up and self._effects.clock() - started >= self._restarts.stable_s:
                    failures = 0
                await self._died(reason, at_once=up and failures == 0, failures=failures + 1)
                failures += 1
        finally:
            self._become("stopped", "it was stopped")
            self.endpoint = None
            self._turn_away(self._down)
            if self.engine is not None:
                await self.engine.stop(self.grace_s)

    def _ready(self, endpoint: Endpoint) -> None:
        self._adopt(endpoint)
        self.life += 1
        self._had_process = self.engine is not None and self.engine.pid is not None
        self.breaker.reset()
        self._become("ready", "")
        self._serve()

    async def _died(self, reason: str, at_once: bool, failures: int) -> None:
        delay = 0.0 if at_once else self._restarts.delay_s(failures, self._effects.random.random())
        self._next_start = self._effects.clock() + delay
        self.restarts += 1
        self.life += 1
        self.endpoint = None
        self._become("down", reason)
        self._effects.log.warning("expert %s is down, next start in %.1f s: %s", self._name, delay, reason)
        if delay:
            self._turn_away(self._down)
            await self._effects.sleep(delay)

    def _become(self, state: State, reason: str) -> None:
        self.state, self.reason, self.since = state, reason, self._effects.clock()

    async def _recycle(self, engine: Engine) -> None:
        """A child whose calls keep failing is stopped once those in flight are done; `run` starts a fresh one."""
        try:
            await asyncio.wait_for(self._idle.wait(), 10.0)
        except TimeoutError:
            self._effects.log.warning("expert %s: calls in flight are given up", self._name)
        if self.engine is engine:
            await engine.stop()

    def _adopt(self, endpoint: Endpoint) -> None:
        """Join what the engine found out about its model with what the policy file says of the expert."""
        spec, offered = self.expert.spec, self.expert.capabilities
        self.endpoint = replace(endpoint, timeout_s=spec.timeout_s, first_token_timeout_s=spec.first_token_timeout_s)
        self.capabilities = offered.model_copy(
            update={
                "features": frozenset(f for f in offered.features if f not in endpoint.lacks),
                "context_tokens": endpoint.context_tokens or offered.context_tokens,
            }
        )

    def update(self, expert: Expert) -> None:
        """Take over what changed in the policy file and is not the engine's business."""
        self.expert = expert
        self.capabilities = expert.capabilities
        if self.endpoint is not None:
            self._adopt(self.endpoint)
        self._serve()

    async def drained(self) -> None:
        """Block until no call is in flight."""
        await self._idle.wait()
