"""`make bench`: the gateway's own cost, beside a bare relay and, where installed, LiteLLM, in one run.

    python -m tests.bench [--seconds 6] [--litellm PATH/TO/litellm] [--json FILE]

Every gateway stands in front of the same instant engine, with a key; Madrigal routes by a policy of ten decisions, with
store and metrics on. CPU is the process's own (user and system, its children included), so other load on the machine
moves latencies but hardly these figures. Runs are interleaved and repeated; medians are shown.
"""

import argparse
import json
import os
import socket
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

import psutil
from rich.console import Console
from rich.table import Table

from tests.bench.load import run

HERE = Path(__file__).parent
KEY = "sk-bench-3f9c1e7a5d2b48869c0e17f4a2b6d8c0e4"
CHUNKS = 50

POLICY = """
server: {{port: {port}, log_level: warning, keys: [{{name: bench, key_env: MADRIGAL_BENCH_KEY, roles: [staff]}}]}}
store: {{url: "sqlite:///{folder}/bench.db"}}
experts:
  bench: {{backend: openai, url: "{upstream}", model: bench, price: {{input: 0.1, output: 0.4}}}}
signals:
  code:    {{type: keyword, any: ["def ", traceback, python, sql, "segmentation fault"]}}
  maths:   {{type: keyword, any: [integral, derivative, theorem, "solve for"]}}
  hurry:   {{type: keyword, regex: ['\\b(asap|urgent(ly)?)\\b']}}
  refund:  {{type: keyword, fuzzy: [refund, chargeback, invoice]}}
  long:    {{type: context, min_tokens: 4000}}
  lists:   {{type: structure, of: list_items, gte: 3}}
  german:  {{type: language, in: [de]}}
  french:  {{type: language, in: [fr]}}
  staff:   {{type: metadata, of: roles, equals: staff}}
  beta:    {{type: metadata, header: x-beta}}
decisions:
  - {{name: code,    when: code and not long, use: [bench]}}
  - {{name: maths,   when: maths, use: [bench]}}
  - {{name: urgent,  when: hurry and staff, use: [bench]}}
  - {{name: billing, when: refund, use: [bench]}}
  - {{name: long,    when: long, use: [bench]}}
  - {{name: lists,   when: lists, use: [bench]}}
  - {{name: german,  when: german, use: [bench]}}
  - {{name: french,  when: french, use: [bench]}}
  - {{name: beta,    when: beta and staff, use: [bench]}}
  - {{name: rest,    use: [bench]}}
"""


@dataclass
class Figures:
    """One gateway under one load."""

    gateway: str
    stream: bool
    at_once: int
    cpu_ms: float
    per_core: float
    p50_ms: float
    p99_ms: float
    first_p50_ms: float
    rss_mb: float
    answered: int


@dataclass
class Gateway:
    """A running gateway: where to send requests, what to call the model, whose CPU to count."""

    name: str
    url: str
    model: str
    process: psutil.Process
    idle_mb: float = 0.0
    start_s: float = 0.0


def free_port() -> int:
    """A TCP port nobody listens on."""
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return int(sock.getsockname()[1])


@contextmanager
def started(name: str, command: list[str], url: str, model: str, probe: str, **env: str) -> Iterator[Gateway]:
    """Run a gateway until it answers at `probe`; stop it afterwards."""
    began = time.perf_counter()
    log = tempfile.NamedTemporaryFile("w+", suffix=f".{name}.log")  # noqa: SIM115  # lives as long as the process
    child = subprocess.Popen(command, env={**os.environ, **env}, stdout=log, stderr=log)
    try:
        process = psutil.Process(child.pid)
        while True:
            if child.poll() is not None or time.perf_counter() - began > 180:
                log.seek(0)
                raise SystemExit(f"{name} did not start:\n{log.read()[-3000:]}")
            try:
                urllib.request.urlopen(probe, timeout=1)
                break
            except OSError as error:
                if getattr(error, "code", 0) in (401, 404, 405):
                    break
                time.sleep(0.05)
        start_s = time.perf_counter() - began
        time.sleep(1.0)
        yield Gateway(name, url, model, process, rss_mb(process), start_s)
    finally:
        child.terminate()
        try:
            child.wait(10)
        except subprocess.TimeoutExpired:
            child.kill()


def family(process: psutil.Process) -> list[psutil.Process]:
    """A process and its descendants."""
    return [process, *process.children(recursive=True)]


def cpu_s(process: psutil.Process) -> float:
    """User and system CPU seconds of a process and its children."""
    return sum(sum(p.cpu_times()[:2]) for p in family(process))


def rss_mb(process: psutil.Process) -> float:
    """Resident memory of a process and its children, in MB."""
    return sum(p.memory_info().rss for p in family(process)) / 1e6


async def measure(gateway: Gateway, *, stream: bool, at_once: int, seconds: float) -> Figures:
    """One gateway under one closed-loop load."""
    before = cpu_s(gateway.process)
    load = await run(gateway.url, KEY, seconds=seconds, at_once=at_once, stream=stream, model=gateway.model)
    used = cpu_s(gateway.process) - before
    if set(load.status) != {200}:
        raise SystemExit(f"{gateway.name} answered {load.status}")
    return Figures(
        gateway.name,
        stream,
        at_once,
        round(used * 1e3 / load.answered, 3),
        round(load.answered / used),
        round(load.ms(0.5), 3),
        round(load.ms(0.99), 3),
        round(load.ms(0.5, first=True), 3),
        round(rss_mb(gateway.process), 1),
        load.answered,
    )


def gateways(stack: ExitStack, folder: Path, litellm: str | None) -> tuple[list[Gateway], Gateway]:
    """Start the engine and everything in front of it; the gateways, and the engine itself as if it were one."""
    upstream = free_port()
    command = [sys.executable, str(HERE / "upstream.py"), str(upstream), str(CHUNKS)]
    base = f"http://127.0.0.1:{upstream}/v1"
    engine = stack.enter_context(started("engine", command, f"{base}/chat/completions", "bench", base))
    relay = free_port()
    command = [sys.executable, "-m", "uvicorn", "--app-dir", str(HERE), "relay:app", "--port", str(relay)]
    relay_url = f"http://127.0.0.1:{relay}/v1/chat/completions"
    found = [
        stack.enter_context(
            started("relay", [*command, "--no-access-log"], relay_url, "bench", relay_url, UPSTREAM=base, KEY=KEY)
        )
    ]
    port = free_port()
    config = folder / "madrigal.yaml"
    config.write_text(POLICY.format(port=port, folder=folder, upstream=base))
    home = f"http://127.0.0.1:{port}"
    command = [str(Path(sys.executable).with_name("madrigal")), "serve", "--config", str(config)]
    url = f"{home}/v1/chat/completions"
    found.append(
        stack.enter_context(started("madrigal", command, url, "auto", f"{home}/ready", MADRIGAL_BENCH_KEY=KEY))
    )
    if litellm:
        found.append(_litellm(stack, folder, litellm, base))
    return found, engine


def _litellm(stack: ExitStack, folder: Path, program: str, base: str) -> Gateway:
    port = free_port()
    config = folder / "litellm.yaml"
    config.write_text(
        "model_list: [{model_name: bench, litellm_params: {model: openai/bench, api_key: none, "
        f'api_base: "{base}"}}}}]\ngeneral_settings: {{master_key: {KEY}}}\n'
    )
    url = f"http://127.0.0.1:{port}"
    command = [program, "--config", str(config), "--port", str(port), "--num_workers", "1", "--host", "127.0.0.1"]
    probe = f"{url}/health/liveliness"
    return stack.enter_context(
        started("litellm", command, f"{url}/v1/chat/completions", "bench", probe, LITELLM_MODE="PRODUCTION")
    )


def medians(runs: list[Figures]) -> list[Figures]:
    """The median of every figure, per gateway and load."""
    groups: dict[tuple[str, bool, int], list[Figures]] = {}
    for one in runs:
        groups.setdefault((one.gateway, one.stream, one.at_once), []).append(one)
    merged = []
    for (name, stream, at_once), rows in groups.items():
        numbers = {
            key: round(statistics.median(getattr(row, key) for row in rows), 3)
            for key in ("cpu_ms", "per_core", "p50_ms", "p99_ms", "first_p50_ms", "rss_mb", "answered")
        }
        merged.append(Figures(name, stream, at_once, **numbers))  # type: ignore[arg-type]
    return merged


def show(rows: list[Figures], found: list[Gateway]) -> None:
    """Print the table."""
    console = Console(width=150)
    table = Table(title=f"{CHUNKS}-chunk answers of an instant engine, one worker, loopback")
    for name in (
        "gateway",
        "load",
        "CPU ms/request",
        "× relay",
        "requests/s/core",
        "p50 ms",
        "p99 ms",
        "first byte p50 ms",
        "RSS MB",
    ):
        table.add_column(name, justify="left" if name in ("gateway", "load") else "right")
    floor = {(row.stream, row.at_once): row.cpu_ms for row in rows if row.gateway == "relay"}
    for row in sorted(rows, key=lambda row: (row.stream, row.at_once)):
        kind = f"{'stream' if row.stream else 'json'}, {row.at_once} at once"
        ratio = f"{row.cpu_ms / floor[row.stream, row.at_once]:.2f}"
        cells = (row.cpu_ms, ratio, row.per_core, row.p50_ms, row.p99_ms, row.first_p50_ms, row.rss_mb)
        table.add_row(row.gateway, kind, *map(str, cells))
    console.print(table)
    for gateway in found:
        console.print(f"{gateway.name}: started in {gateway.start_s:.1f} s, {gateway.idle_mb:.0f} MB idle")


async def main() -> None:
    """Run the whole comparison."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench")
    parser.add_argument("--seconds", type=float, default=5.0, help="length of one run")
    parser.add_argument("--repeat", type=int, default=3, help="runs of each, interleaved")
    parser.add_argument("--litellm", default=os.environ.get("MADRIGAL_BENCH_LITELLM"), help="path of a litellm program")
    parser.add_argument("--json", type=Path, help="write the figures here too")
    chosen = parser.parse_args()
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        found, _ = gateways(stack, folder, chosen.litellm)
        runs = [
            await measure(gateway, stream=stream, at_once=at_once, seconds=chosen.seconds)
            for _ in range(chosen.repeat)
            for at_once in (1, 8)
            for stream in (False, True)
            for gateway in found
        ]
        rows = medians(runs)
        show(rows, found)
        if chosen.litellm is None:
            print("LiteLLM was not run: name its program with --litellm or MADRIGAL_BENCH_LITELLM.")
        if chosen.json:
            chosen.json.write_text(json.dumps([asdict(row) for row in rows], indent=1) + "\n")


if __name__ == "__main__":
    import uvloop

    uvloop.run(main())
