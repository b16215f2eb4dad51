"""What strategies cost beyond their model calls, and whether calls made together take as long as the slowest.

    python -m tests.bench.strategies [--runs 300] [--json FILE]

Experts are scripted. For the first table they answer at once: CPU is the process's own, a run's median, so that other load
on the machine hardly moves it; `calls` is what the same number of scripted calls costs without a strategy, `own` is the
rest. For the second they sleep, each call for its own time: wall time over that of the slowest.
"""

import argparse
import asyncio
import json
import statistics
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from experts import registry
from experts.call import Call
from orchestrator.budget import Budget
from orchestrator.panel import Ask, Panel
from tests.deliberating import Scripted, job, said

NAMES = [
    name
    for name in registry.known("orchestrator.strategies")
    if hasattr(registry.load("orchestrator.strategies", name), "PLAN")
]
TEXT = "The answer is 42."
SLEEPS_S = (0.5, 0.4, 0.3, 0.2)


@dataclass
class Overhead:
    """One strategy with its defaults: CPU milliseconds a run, medians."""

    strategy: str
    calls: int
    cpu_ms: float
    calls_ms: float

    @property
    def own_ms(self) -> float:
        return self.cpu_ms - self.calls_ms


@dataclass
class Together:
    """k calls made together, their sleeps spread below the slowest's."""

    calls: int
    wall_s: float
    slowest_s: float

    @property
    def ratio(self) -> float:
        return self.wall_s / self.slowest_s


def at_once(expert: str, call: Call) -> str:
    """An expert of zero latency."""
    return TEXT


async def cpu_ms(run: Callable[[], Any], runs: int) -> float:
    """The median CPU time of one run, after a tenth as many to warm up."""
    taken = []
    for at in range(runs + runs // 10):
        began = time.process_time()
        await run()
        if at >= runs // 10:
            taken.append((time.process_time() - began) * 1e3)
    return statistics.median(taken)


async def overhead(name: str, runs: int) -> Overhead:
    """One strategy by its defaults, three experts at hand."""
    module = registry.load("orchestrator.strategies", name)
    params, attempts = module.Params(), Scripted(at_once)

    async def run() -> None:
        attempts.made.clear()
        attempts.calls.clear()
        attempts.bodies.clear()
        await said(await module.run(job(at_once, attempts=attempts), params))

    await run()
    number, bodies = len(attempts.calls), list(attempts.bodies)
    whole = await cpu_ms(run, runs)

    async def bare() -> None:
        attempts.made.clear()
        await asyncio.gather(*(one(body) for body in bodies))

    async def one(body: Any) -> None:
        await said(await attempts.one("a", Call("chat/completions", body)))

    return Overhead(name, number, whole, await cpu_ms(bare, runs))


async def together(number: int) -> Together:
    """The panel's calls, none slower than the first of `SLEEPS_S`."""

    async def sleeping(expert: str, call: Call) -> str:
        await asyncio.sleep(SLEEPS_S[int(expert) % len(SLEEPS_S)])
        return TEXT

    names = [str(at) for at in range(number)]
    panel = Panel(job(sleeping, names), Budget())
    began = time.perf_counter()
    voices = await panel.ask_all([Ask(name, lambda texts: [{"role": "user", "content": "Go."}]) for name in names])
    assert len(voices) == number
    return Together(number, time.perf_counter() - began, SLEEPS_S[0])


async def measure(runs: int) -> tuple[list[Overhead], list[Together]]:
    return [await overhead(name, runs) for name in NAMES], [await together(number) for number in (2, 6, 16, 64)]


def main(runs: int, file: Path | None) -> None:
    costs, walls = asyncio.run(measure(runs))
    console = Console()
    table = Table("strategy", "calls", "CPU ms", "of it calls", "own", title="CPU of a run, p50")
    for cost in costs:
        table.add_row(
            cost.strategy, str(cost.calls), f"{cost.cpu_ms:.2f}", f"{cost.calls_ms:.2f}", f"{cost.own_ms:.2f}"
        )
    console.print(table)
    table = Table("calls", "wall s", "slowest s", "ratio", title="Calls made together")
    for wall in walls:
        table.add_row(str(wall.calls), f"{wall.wall_s:.3f}", f"{wall.slowest_s:.3f}", f"{wall.ratio:.3f}")
    console.print(table)
    if file is not None:
        found = {"runs": runs, "overhead": [asdict(one) for one in costs], "together": [asdict(one) for one in walls]}
        file.write_text(json.dumps(found, indent=2))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=300, help="measured runs of each strategy")
    parser.add_argument("--json", type=Path, default=None, help="file for the figures")
    given = parser.parse_args()
    main(given.runs, given.json)
