"""Makes the parts of a running server, reloads them, stops them: the one place where they are put together.

Knows nothing of HTTP. The life of a request is in `orchestrator/engine.py`.
"""

import asyncio
import logging
import time
from collections.abc import Callable, Coroutine, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from experts.backends import Site
from experts.catalog import Catalog
from experts.client import Client
from experts.errors import LimitError, MadrigalError, SourceError
from experts.pool import ExpertStatus, Pool
from experts.registry import load as load_file
from experts.sources import default_cache
from orchestrator.caller import Key
from orchestrator.chain import chains
from orchestrator.collections import Collections
from orchestrator.config import Config
from orchestrator.durable import Durable
from orchestrator.figures import Figures
from orchestrator.keys import Keys
from orchestrator.memories import Memories
from orchestrator.plugins import Kit
from orchestrator.routing import STRATEGIES, Parts, State
from orchestrator.shared import MemoryLimits
from orchestrator.store.recorder import Recorder
from orchestrator.store.records import RequestRecord
from orchestrator.store.store import Store
from orchestrator.telemetry import Reading, Telemetry
from orchestrator.watch import ConfigWatcher
from router.card import card_of
from router.embed import Embedder
from router.policy import Policy, compile_policy
from router.tools import Tools

log = logging.getLogger("madrigal")


class Service:
    """A running server without its HTTP. Made by `open`, ended by `close`."""

    def __init__(
        self,
        config: Config,
        *,
        store: Store,
        keys: Keys,
        recorder: Recorder,
        pool: Pool,
        client: Client,
        status_of: Callable[[BaseException], int],
    ) -> None:
        self.store = store
        self.keys = keys
        self.recorder = recorder
        self.pool = pool
        self.telemetry = Telemetry()
        self.embedder = Embedder()  # loads its model at the first text
        self.collections = Collections(store, self.embedder)
        self.memories = Memories(store, self.embedder)
        self.figures = Figures()
        self.state = self._state(config, pool.catalog)
        self.watcher: ConfigWatcher | None = None
        self.started_at = time.time()
        self._client = client
        self._in_flight = 0
        self._by_state: dict[int, int] = {}
        self._retiring: dict[int, State] = {}  # replaced, and perhaps still lived by
        self._idle = asyncio.Event()
        self._draining = False
        self._tasks: set[asyncio.Task[Any]] = set()
        self._warming: asyncio.Task[None] | None = None
        self.parts = Parts(
            pool=pool,
            client=client,
            limits=MemoryLimits(spent=recorder.spent_usd),
            telemetry=self.telemetry,
            put=self._put,
            status_of=status_of,
            keep_text=self._keeps_text,
            durable=lambda thread: Durable(thread, store) if self._keeps_text() else None,
        )
        self.telemetry.read_on_scrape(self._readings)

    @classmethod
    async def open(
        cls,
        config: Config,
        *,
        status_of: Callable[[BaseException], int],
        load: Callable[[Path], Config] | None = None,
    ) -> "Service":
        """Open the store and start the engines in the background; with `load`, watch the configuration's file.

        Raises `ConfigError`, `StoreError`.
        """
        catalog = Catalog.of(config.experts.values())
        store = await Store.open(config.store.address())
        try:
            keys = await Keys.open(store, config.server.keys)
        except BaseException:
            await store.close()
            raise
        cache = Path(config.pool.cache) if config.pool.cache else default_cache()
        logs = Path(config.pool.logs) if config.pool.logs else cache / "logs"
        pool = Pool(catalog, Site(cache=cache, logs=logs))
        recorder = Recorder(store, keep=config.store.keep, retention_days=config.store.retention_days)
        service = cls(
            config, store=store, keys=keys, recorder=recorder, pool=pool, client=Client(), status_of=status_of
        )
        keys.start()
        recorder.start()
        service._warming = asyncio.ensure_future(service._warm(service.state))
        service._warming.add_done_callback(_told)
        await pool.start()
        service._spawn(service.figures.keep_fresh(store))
        if load is not None:
            service.watcher = ConfigWatcher(
                Path(config.file), service.reload, on_error=_tell, load=load, serving=config
            )
            service._spawn(service.watcher.run())
        return service

    async def close(self) -> None:
        """Stop the engines, write what is still to be recorded, close the store. In-flight requests should be over."""
        self._draining = True
        running = [*self._tasks, *([self._warming] if self._warming is not None else [])]
        for task in running:
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)
        await self.embedder.close()
        await self.pool.stop()
        await self._client.aclose()
        await self.recorder.close()
        await self.keys.close()
        await self.store.close()

    async def reload(self, config: Config) -> None:
        """Serve by `config` from now on; requests in flight end by the one they began with. Raises `ConfigError` and
        changes nothing where the new one cannot be used."""
        new = self._state(config, Catalog.of(config.experts.values()))
        await self._warm(new)
        self.keys.configure(config.server.keys)
        old = self._retiring[id(self.state)] = self.state
        self.state = new
        await self.pool.reload(self._needed())
        if self._warming is not None and self._warming.done():
            self._warming = None  # what it failed at is replaced by what has just been tried
        self.recorder.configure(keep=config.store.keep, retention_days=config.store.retention_days)
        for what in ("host", "port", "workers"):
            if getattr(old.config.server, what) != getattr(config.server, what):
                log.warning("server.%s changed: it takes effect when the server is started again", what)
        log.info("configuration reloaded: %s", config.file)
        self._spawn(self._retire(old))

    async def _warm(self, state: State) -> None:
        """Load what a policy asks for before its first request: the embedder and what signals compare with, the graphs
        of strategies. Nothing where none does."""
        strategies = {d.strategy.type for spec in state.config.policies.values() for d in spec.decisions}
        plans = [file.PLAN for name in sorted(strategies) if hasattr(file := load_file(STRATEGIES, name), "PLAN")]
        if plans:
            from orchestrator import deliberation

            for plan in plans:
                await deliberation.warm(plan)
        neural = [policy for policy in state.policies.values() if policy.neural]
        if neural:
            try:
                await self.embedder.embed(["hello"])
            except MadrigalError:
                raise
            except Exception as error:  # of the model: to a reload it is a configuration that cannot be used
                raise SourceError(f"the sentence embedder fails: {type(error).__name__}: {error}") from error
            await asyncio.gather(*(policy.warm() for policy in neural))

    def read_again(self) -> None:
        """Read the configuration file now, changed or not: what SIGHUP asks for. Does not block."""
        if self.watcher is not None:
            self._spawn(self.watcher.check(force=True))

    async def _retire(self, old: State) -> None:
        """Drop the experts that only `old` used, once no request lives by it any more."""
        while self._by_state.get(id(old)):
            self._idle.clear()
            await self._idle.wait()
        del self._retiring[id(old)]
        await self.pool.reload(self._needed())

    def _needed(self) -> Catalog:
        """The experts of every configuration that a request may live by; of those with one name the newest."""
        states = (*self._retiring.values(), self.state)
        return Catalog.of({e.spec.name: e.spec for state in states for e in state.catalog.values()}.values())

    async def authenticate(self, headers: Mapping[str, str]) -> Key:
        """The key of a request. Raises `AuthenticationError`."""
        scheme, _, token = headers.get("authorization", "").partition(" ")
        return await self.keys.authenticate(token.strip() if scheme.lower() == "bearer" else None)

    @property
    def max_body_bytes(self) -> int:
        """Largest request body, in bytes."""
        return int(self.state.config.server.max_body_mb * 1e6)

    @contextmanager
    def place(self) -> Iterator[State]:
        """A place among the requests in flight; the state it yields stays valid until it is left.

        Raises `LimitError` where there is none.
        """
        state = self.state
        most = state.config.server.max_in_flight
        if self._draining or self._in_flight >= most:
            why = "this server is stopping" if self._draining else f"{most} requests are in flight already"
            raise LimitError(f"{why}; try again in a moment", retry_after_s=1.0, code="server_busy")
        self._in_flight += 1
        self._by_state[id(state)] = self._by_state.get(id(state), 0) + 1
        try:
            yield state
        finally:
            self._in_flight -= 1
            left = self._by_state[id(state)] - 1
            if left:
                self._by_state[id(state)] = left
            else:
                del self._by_state[id(state)]
                self._idle.set()

    async def readiness(self) -> tuple[bool, dict[str, Any]]:
        """Whether requests can be answered now, and the state of each part: store, experts, configuration."""
        problems: list[str] = []
        try:
            await self.store.ping()
            store = "ok"
        except MadrigalError as error:
            store = str(error)
            problems.append("store")
        experts = {status.name: _expert(status) for status in self.pool.status()}
        states = {expert["state"] for expert in experts.values()}
        if "starting" in states or "ready" not in states:
            problems.append("experts")
        if self._warming is not None and not (self._warming.done() and _failure(self._warming) is None):
            problems.append("signals")
        told: dict[str, Any] = {
            "status": "stopping" if self._draining else "not ready" if problems else "ready",
            "waiting_for": problems,
            "store": store,
            "experts": experts,
            "policy_hash": self.state.policy_hash,
        }
        if self._warming is not None and self._warming.done() and (failed := _failure(self._warming)) is not None:
            told["signals_error"] = str(failed)
        if self.watcher is not None and self.watcher.error is not None:
            told["config_error"] = str(self.watcher.error)
        return not problems and not self._draining, told

    def _state(self, config: Config, catalog: Catalog) -> State:
        tools = Tools(
            embedding=self.embedder,
            folder=config.folder,
            load=self.pool.load,
            latency=self.figures.latency,
            reward=self.figures.reward,
        )
        policies = compiled(config, catalog, tools)
        for name, why in sorted({pair for policy in policies.values() for pair in policy.experimental.items()}):
            log.warning("the signal %r is experimental: %s", name, why)
        return State(
            config=config,
            policies=policies,
            catalog=catalog,
            policy_hash=config.policy_hash,
            created=int(time.time()),
            chains=chains(config, self._kit(config)),
        )

    def _kit(self, config: Config) -> Kit:
        return Kit(
            embedder=self.embedder,
            store=self.store,
            collections=self.collections,
            memories=self.memories,
            folder=config.folder,
            keep_text=self._keeps_text,
        )

    def _keeps_text(self) -> bool:
        return self.state.config.store.keep == "text"

    def _put(self, record: RequestRecord) -> None:
        self.figures.note(record)
        self.recorder.put(record)

    def _readings(self) -> Iterable[Reading]:
        experts = self.pool.status()
        yield (
            "madrigal_expert_up",
            "1 where the expert can be called",
            [({"expert": s.name}, float(s.state == "ready")) for s in experts],
        )
        yield (
            "madrigal_expert_in_flight",
            "Calls an expert is working on",
            [({"expert": s.name}, s.in_flight) for s in experts],
        )
        yield (
            "madrigal_expert_waiting",
            "Calls that wait for an expert",
            [({"expert": s.name}, s.waiting) for s in experts],
        )
        yield (
            "madrigal_expert_restarts",
            "Restarts of an expert's engine",
            [({"expert": s.name}, s.restarts) for s in experts],
        )
        recorder = self.recorder
        yield (
            "madrigal_records",
            "Records of requests by what became of them",
            [
                ({"state": "written"}, recorder.written),
                ({"state": "queued"}, recorder.queued),
                ({"state": "dropped"}, recorder.dropped),
                ({"state": "failed"}, recorder.failed),
            ],
        )
        yield (
            "madrigal_tasks",
            "Tasks of the event loop: grows with requests in flight only",
            [({}, len(asyncio.all_tasks()))],
        )
        watcher = self.watcher
        yield (
            "madrigal_config_valid",
            "0 while the configuration file on disk is refused",
            [({"policy_hash": self.state.policy_hash}, float(watcher is None or watcher.error is None))],
        )

    def _spawn(self, work: Coroutine[Any, Any, Any]) -> None:
        task = asyncio.ensure_future(work)
        self._tasks.add(task)
        task.add_done_callback(self._finished)

    def _finished(self, task: "asyncio.Task[Any]") -> None:
        self._tasks.discard(task)
        with suppress(asyncio.CancelledError):
            if (error := task.exception()) is not None:
                log.error("a background task failed", exc_info=error)


def _expert(status: ExpertStatus) -> dict[str, Any]:
    return {
        "state": status.state,
        "backend": status.backend,
        "reason": status.reason or None,
        "in_flight": status.in_flight,
        "waiting": status.waiting,
        "restarts": status.restarts,
        "revision": status.revision,
    }


def compiled(config: Config, catalog: Catalog, tools: Tools) -> dict[str, Policy]:
    """Every policy of a configuration, ready to route. Raises `ConfigError`."""
    cards = {name: card_of(expert.spec, expert.capabilities) for name, expert in catalog.items()}
    return {name: compile_policy(spec, cards, tools) for name, spec in config.policies.items()}


def _failure(task: "asyncio.Task[None]") -> BaseException | None:
    """Why a task that is done did not do it; None where it did."""
    return asyncio.CancelledError() if task.cancelled() else task.exception()


def _told(task: "asyncio.Task[None]") -> None:
    """Say why signals cannot run: the server stays up and not ready, requests try again."""
    if not task.cancelled() and (error := task.exception()) is not None:
        log.error("signals of the policy cannot run: %s", error, exc_info=error)


def _tell(error: MadrigalError) -> None:
    log.error("the configuration was not reloaded, the old one keeps serving: %s", error)
