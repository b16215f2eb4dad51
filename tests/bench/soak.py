"""Many requests, half of them streamed, a third abandoned in mid-answer: does anything of them stay behind?

    python -m tests.bench.soak [--requests 10000] [--at-once 32] [--json FILE]

A real `madrigal serve` in a process of its own stands in front of an engine that answers slowly (`drip.py`), and for
ever where the client will leave. Memory is compared with what it was after a tenth of the requests, at rest both times.
"""

import argparse
import asyncio
import json
import os
import random
import re
import signal
import sqlite3
import sys
import tempfile
import time
import urllib.request
from collections import Counter
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from urllib.parse import urlsplit

import psutil

from tests.bench.drip import Drip
from tests.bench.load import request
from tests.fakes import until

POLICY = """
server: {{port: 0, log_level: warning}}
store: {{url: "sqlite:///{folder}/soak.db"}}
experts:
  drip:  {{backend: openai, url: "{upstream}", model: drip, price: {{input: 0.1, output: 0.4}}, concurrency: 1000}}
signals:
  code: {{type: keyword, any: [python, traceback]}}
  long: {{type: context, min_tokens: 4000}}
decisions:
  - {{name: code, when: code and not long, use: [drip]}}
  - {{name: rest, use: [drip]}}
"""


@dataclass(frozen=True)
class Rest:
    """A server's resources while nothing is going on. `files` leaves out idle connections to the engine."""

    rss_mb: float
    files: int
    tasks: float
    in_flight: float
    leased: float


@dataclass
class Report:
    """What a soak found; the engine's idle connections are counted after they had time to expire, if that was awaited."""

    requests: int
    answered: int
    abandoned: int
    seconds: float
    warm: Rest
    end: Rest
    rows: int
    outcomes: dict[str, int]
    unseen_aborts: int
    slowest_abort_s: float
    connections: int
    stopped_in_s: float
    exit_status: int | None

    @property
    def growth(self) -> float:
        """Growth of the resident memory since the warm-up, as a share of it."""
        return self.end.rss_mb / self.warm.rss_mb - 1


@asynccontextmanager
async def served(
    folder: Path, upstream: str, environ: Mapping[str, str] = {}
) -> AsyncIterator[tuple[asyncio.subprocess.Process, str]]:
    """`madrigal serve` in front of an engine, as a process of its own, and its URL; killed if it still runs.

    Its environment is this one without what would configure it, and with `environ`.
    """
    config = folder / "soak.yaml"
    config.write_text(POLICY.format(folder=folder, upstream=upstream))
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(("MADRIGAL_", "OTEL_"))}
    process = await asyncio.create_subprocess_exec(
        *(Path(sys.executable).with_name("madrigal"), "serve", "--config", config),
        stdout=asyncio.subprocess.PIPE,
        env={**inherited, **environ},
    )
    assert process.stdout is not None
    try:
        async with asyncio.timeout(60):
            line = (await process.stdout.readline()).decode()
        found = re.search(r"http://\S+", line)
        if found is None:
            raise RuntimeError(f"madrigal serve did not start: {line!r}")
        yield process, found[0]
    finally:
        if process.returncode is None:
            process.kill()
        await process.communicate()


async def soak(requests: int, *, warm: int, at_once: int = 32, wait_for_idle_s: float = 0.0) -> Report:
    """Send `requests` after `warm` further ones, `at_once` at a time, and look at what is left."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        async with Drip().running() as drip, served(folder, drip.url) as (process, url):
            client = _Clients(url, drip)
            await client.send(range(warm), at_once)
            before = await at_rest(process.pid, url, drip)
            began = time.monotonic()
            await client.send(range(warm, warm + requests), at_once)
            seconds = time.monotonic() - began
            after = await at_rest(process.pid, url, drip)
            with suppress(TimeoutError):
                await until(lambda: not drip.connections, wait_for_idle_s)
            connections = drip.connections
            stopping = time.monotonic()
            process.send_signal(signal.SIGTERM)
            status = await asyncio.wait_for(process.wait(), 30)
            stopped_in_s = time.monotonic() - stopping
        rows, outcomes = recorded(folder / "soak.db")
        waits = [drip.left[name] - at for name, at in client.abandoned.items() if name in drip.left]
        return Report(
            requests=warm + requests,
            answered=client.answered,
            abandoned=len(client.abandoned),
            seconds=round(seconds, 1),
            warm=before,
            end=after,
            rows=rows,
            outcomes=outcomes,
            unseen_aborts=len(client.abandoned) - len(waits),
            slowest_abort_s=round(max(waits, default=0.0), 4),
            connections=connections,
            stopped_in_s=round(stopped_in_s, 2),
            exit_status=status,
        )


class _Clients:
    """Clients with a connection for each request; every third leaves before its answer, which never ends, is there."""

    def __init__(self, url: str, drip: Drip) -> None:
        self._url = f"{url}/v1/chat/completions"
        self._drip = drip
        self._random = random.Random(7)
        self.answered = 0
        self.abandoned: dict[str, float] = {}

    async def send(self, numbers: range, at_once: int) -> None:
        left = iter(numbers)

        async def one_by_one() -> None:
            for number in left:
                await self._one(number)

        await asyncio.gather(*(one_by_one() for _ in range(at_once)))

    async def _one(self, number: int) -> None:
        stream, leaves = number % 2 == 0, number % 3 == 0
        name = f"request {number}{'!' if leaves else ''}"
        where = urlsplit(self._url)
        reader, writer = await asyncio.open_connection(where.hostname, where.port)
        writer.write(request(self._url, "", model="auto", stream=stream, text=name))
        try:
            if leaves:
                await self._leave(name, reader, writer, stream=stream)
                return
            head = (await reader.readuntil(b"\r\n\r\n")).lower()
            if not head.startswith(b"http/1.1 200"):
                raise RuntimeError(f"{name}: {head!r}")
            if stream:
                await reader.readuntil(b"\r\n0\r\n\r\n")
            else:
                at = head.index(b"content-length:") + 15
                await reader.readexactly(int(head[at : head.index(b"\r\n", at)]))
            self.answered += 1
        finally:
            writer.close()

    async def _leave(
        self, name: str, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, stream: bool
    ) -> None:
        """Go away once the engine is at work: after some deltas, or while the whole answer is awaited."""
        if stream:
            for _ in range(self._random.randint(1, 5)):
                await reader.readuntil(b"tok")
        else:
            await until(lambda: name in self._drip.arrived, 30)
            await asyncio.sleep(self._random.random() * 0.05)
        if self._random.random() < 0.5:
            writer.transport.abort()  # a reset instead of a farewell
        else:
            writer.close()
        self.abandoned[name] = time.monotonic()


async def at_rest(pid: int, url: str, drip: Drip, seconds: float = 10.0) -> Rest:
    """What the server holds once it is done with everything: waits until nothing is in flight and the log is written."""
    async with asyncio.timeout(seconds):
        while True:
            told = await asyncio.to_thread(_gauges, url)
            busy = told["madrigal_requests_in_flight"] or told['madrigal_records{state="queued"}'] or drip.active
            if not busy:
                break
            await asyncio.sleep(0.1)
    process = psutil.Process(pid)
    engine_port = urlsplit(drip.url).port
    idle = sum(1 for one in process.net_connections("tcp") if one.raddr and one.raddr.port == engine_port)
    return Rest(
        rss_mb=round(process.memory_info().rss / 1e6, 2),
        files=process.num_fds() - idle,
        tasks=told["madrigal_tasks"],
        in_flight=told["madrigal_requests_in_flight"],
        leased=told['madrigal_expert_in_flight{expert="drip"}'],
    )


def _gauges(url: str) -> dict[str, float]:
    with urllib.request.urlopen(f"{url}/metrics", timeout=10) as answer:
        lines = answer.read().decode().splitlines()
    return {name: float(value) for name, _, value in (line.rpartition(" ") for line in lines) if name[:1] not in "#"}


def recorded(file: Path) -> tuple[int, dict[str, int]]:
    """Rows of the log, and how many of them ended how."""
    with sqlite3.connect(file) as database:
        outcomes = Counter(outcome for (outcome,) in database.execute("SELECT outcome FROM requests"))
    database.close()
    return outcomes.total(), dict(outcomes)


async def main() -> None:
    """Run it and say what was found."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.soak")
    parser.add_argument("--requests", type=int, default=10_000, help="a tenth of them warm the server up")
    parser.add_argument("--at-once", type=int, default=32)
    parser.add_argument("--json", type=Path, help="write the report here too")
    chosen = parser.parse_args()
    warm = chosen.requests // 10
    report = await soak(chosen.requests - warm, warm=warm, at_once=chosen.at_once, wait_for_idle_s=90)
    told = {**asdict(report), "growth": round(report.growth, 4)}
    print(json.dumps(told, indent=1))
    if chosen.json:
        chosen.json.write_text(json.dumps(told, indent=1) + "\n")


if __name__ == "__main__":
    asyncio.run(main())
