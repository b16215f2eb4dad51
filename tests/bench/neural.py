"""How long the neural signals take at once: `python -m tests.bench.neural [--number N] [--threads N] [--json FILE]`.

Embedding, domain, complexity and jailbreak on every request, through `Policy.route`. Every prompt is another one, so that
nothing is answered from a cache; its length is counted by the embedder's own tokenizer. CPU is the process's own.
"""

import argparse
import json
import os
import random
import statistics
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from experts import registry
from experts.spec import Capabilities, Frozen
from router import minilm
from router.card import Card
from router.embed import Embedder
from router.policy import Policy, compile_policy
from router.prompt import Prompt
from router.spec import Choice, ConstraintSpec, DecisionSpec, PolicySpec, SignalSpec
from router.tools import Tools

ROOT = Path(__file__).parents[2]
LENGTHS = (32, 128, 512)
SIGNALS: dict[str, dict[str, Any]] = {
    "attack": {"type": "jailbreak"},
    "topic": {"type": "domain"},
    "hard": {"type": "complexity"},
    "support": {"type": "embedding", "candidates": ["How do I reset my password?", "I cannot log in"]},
}
DECISIONS = [("law", "topic == 'law' and hard == 'hard' and support.value < 2"), ("rest", None)]


@dataclass(frozen=True, slots=True)
class Figures:
    """One length: wall time and CPU time of a request, in milliseconds."""

    tokens: int
    number: int
    p50_ms: float
    p99_ms: float
    cpu_ms: float
    passes: float
    load: float


class Counting:
    """The runtime, and the texts that it was asked for."""

    def __init__(self, threads: int | None) -> None:
        self._model = minilm.load(threads)
        self.texts = 0
        self.split = self._model.split

    def encode(self, texts: Any) -> Any:
        self.texts += len(texts)
        return self._model.encode(texts)


def policy(embedder: Embedder) -> Policy:
    """A policy whose every request needs all four signals."""
    static = Choice(type="static", params=registry.load("router.selectors", "static").Params())
    single = Choice(type="single", params=Frozen())
    signals = []
    for name, row in SIGNALS.items():
        params = {key: value for key, value in row.items() if key != "type"}
        model = registry.load("router.signals", row["type"]).Params
        signals.append(SignalSpec(name=name, type=row["type"], params=model.model_validate(params)))
    spec = PolicySpec(
        name="auto",
        signals=tuple(signals),
        constraints=(ConstraintSpec(when="attack and support.value > 2", refuse="no"),),
        decisions=tuple(DecisionSpec(name=n, when=w, use=("a",), select=static, strategy=single) for n, w in DECISIONS),
    )
    can = Capabilities(features=frozenset({"chat"}), context_tokens=32_768)
    return compile_policy(spec, {"a": Card("a", can)}, Tools(embedding=embedder))


def prompts(tokens: int, number: int, seed: int) -> Iterator[str]:
    """Distinct texts of so many tokens, from the words of the documentation."""
    from tokenizers import Tokenizer

    tokenizer, chance = Tokenizer.from_file(str(minilm.model_folder() / "tokenizer.json")), random.Random(seed)
    tokenizer.no_truncation()
    tokenizer.no_padding()
    words = " ".join(path.read_text(encoding="utf-8") for path in sorted(ROOT.glob("docs/*.md"))).split()
    words = [word for word in words if word.isalpha()]
    for _ in range(number):
        start = chance.randrange(len(words))
        chosen = [words[(start + at) % len(words)] for at in range(tokens)]
        chance.shuffle(chosen)
        offsets = tokenizer.encode(text := " ".join(chosen), add_special_tokens=False).offsets
        yield text[: offsets[tokens - 3][1]]  # and the two marks around it


async def measure(tokens: int, number: int, threads: int | None) -> Figures:
    """One length, one request after the other."""
    runtime = Counting(threads)
    embedder = Embedder(lambda: runtime)
    routes = policy(embedder)
    await embedder.embed(["hello"])
    await routes.warm()
    wall: list[float] = []
    texts = list(prompts(tokens, number + 5, tokens))
    for at, text in enumerate(texts):
        if at == 5:  # the first few are slower: memory is still being taken
            runtime.texts, cpu = 0, time.process_time()
        prompt = Prompt.from_chat({"model": "auto", "messages": [{"role": "user", "content": text}]})
        started = time.perf_counter()
        route = await routes.route(prompt, healthy=lambda name: None, random=lambda: 0.5, clock=time.perf_counter)
        wall.append(time.perf_counter() - started)
        assert set(route.signals) == set(SIGNALS), "every request needs all of them"
    used = time.process_time() - cpu
    await embedder.close()
    cut = statistics.quantiles(wall[5:], n=100)
    return Figures(
        tokens,
        number,
        round(cut[49] * 1e3, 2),
        round(cut[98] * 1e3, 2),
        round(used / number * 1e3, 2),
        round(runtime.texts / number, 2),
        os.getloadavg()[0],
    )


async def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.bench.neural")
    parser.add_argument("--number", type=int, default=200, help="requests of each length")
    parser.add_argument("--threads", type=int, help="threads of one pass; default: the cores, at most 4")
    parser.add_argument("--json", type=Path, help="write the figures here too")
    chosen = parser.parse_args()
    rows = []
    for tokens in LENGTHS:
        row = await measure(tokens, chosen.number, chosen.threads)
        rows.append(row)
        print(
            f"{row.tokens:4d} tokens   p50 {row.p50_ms:7.2f} ms   p99 {row.p99_ms:7.2f} ms   CPU {row.cpu_ms:7.2f} ms   "
            f"{row.passes:.1f} texts embedded   load average {row.load:.1f}",
            flush=True,
        )
    if chosen.json:
        chosen.json.write_text(json.dumps([asdict(row) for row in rows], indent=1) + "\n")


if __name__ == "__main__":
    import uvloop

    uvloop.run(main())
