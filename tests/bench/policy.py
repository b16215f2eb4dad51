"""How long the router takes: `python tests/bench/policy.py`. One thread; prompts are built anew for every request.

A policy of ten decisions on keyword, context, structure and language, whose prompts end in different decisions.
"""

import gc
import random
import statistics
import time
from collections import Counter
from typing import Any

from experts import registry
from experts.spec import Capabilities, Frozen
from router.card import Card
from router.policy import Policy, compile_policy
from router.prompt import Prompt
from router.spec import Choice, ConstraintSpec, DecisionSpec, PolicySpec, Requirement, SignalSpec

ROUNDS = 2000

SIGNALS: dict[str, dict[str, Any]] = {
    "code": {"type": "keyword", "any": ["def ", "class ", "traceback", "python", "javascript", "sql", "c++", "rust"]},
    "sums": {
        "type": "keyword",
        "any": ["integral", "derivative", "equation", "solve", "prove"],
        "regex": [r"\d+\s*[-+*/^]\s*\d+"],
    },
    "law": {"type": "keyword", "any": ["contract", "lawsuit", "liability", "statute", "plaintiff"]},
    "typos": {"type": "keyword", "fuzzy": ["translate", "summarize"]},
    "secret": {"type": "keyword", "regex": [r"\b\d{4}[ -]\d{4}[ -]\d{4}[ -]\d{4}\b", r"[\w.]+@[\w.]+\.\w+"]},
    "long": {"type": "context", "min_tokens": 2000},
    "questions": {"type": "structure", "of": "questions", "gte": 3},
    "steps": {"type": "structure", "sequences": [["first", "then"], ["first", "next", "finally"]]},
    "dense": {
        "type": "structure",
        "words": ["must", "at least", "at most", "without"],
        "measure": "density",
        "gt": 0.08,
    },
    "tongue": {"type": "language"},
}
DECISIONS: list[tuple[str, str | None]] = [
    ("long-code", "code and long"),
    ("long", "long and not code"),
    ("code", "code and not law"),
    ("law", "law"),
    ("sums", "sums and tongue == 'en'"),
    ("steps", "steps or dense"),
    ("many", "questions"),
    ("tasks", "typos.count >= 1 and tongue.confidence > 0.5"),
    ("foreign", "tongue in ['de', 'fr', 'es', 'zh', 'ru']"),
    ("rest", None),
]
PROSE = "I would like to know more about the history of this town, its people and how they lived. "
PROMPTS: dict[str, list[str]] = {
    "short question": ["What is the capital of France?"],
    "a paragraph": [PROSE * 6],
    "code": ["Why does this fail?\n" + "def add(a, b):\n    return a + b\n" * 8],
    "law": ["Who bears the liability under this contract? " + PROSE * 3],
    "steps": ["First open the file, then read every line of it. " + PROSE * 2],
    "German": ["Wie hoch ist die Zugspitze, und wie kommt man am besten auf den Gipfel?"],
    "eleven turns": [PROSE, "Sure. " + PROSE] * 5 + ["And what came after that?"],
    "long": [PROSE * 120],
}


def policy() -> Policy:
    """The policy above, over three experts that can do everything."""
    signals = []
    for name, row in SIGNALS.items():
        kind, params = row["type"], {key: value for key, value in row.items() if key != "type"}
        model = registry.load("router.signals", kind).Params
        signals.append(SignalSpec(name=name, type=kind, params=model.model_validate(params)))
    static = Choice(type="static", params=registry.load("router.selectors", "static").Params())
    single = Choice(type="single", params=Frozen())
    decisions = [
        DecisionSpec(name=n, when=w, use=("a", "b", "c"), select=static, strategy=single) for n, w in DECISIONS
    ]
    spec = PolicySpec(
        name="auto",
        signals=tuple(signals),
        constraints=(ConstraintSpec(when="secret", require=Requirement(local=True)),),
        decisions=tuple(decisions),
    )
    can = Capabilities(features=frozenset({"chat", "tools", "seed"}), context_tokens=32_768)
    return compile_policy(spec, {name: Card(name, can) for name in "abc"})


def body(turns: list[str]) -> dict[str, Any]:
    """A chat body of these turns, user first."""
    roles = ("user", "assistant")
    messages = [{"role": roles[i % 2], "content": text} for i, text in enumerate(turns)]
    return {
        "model": "auto",
        "messages": [{"role": "system", "content": "You are helpful."}, *messages],
        "max_tokens": 500,
    }


def quantiles(seconds: list[float]) -> str:
    cut = statistics.quantiles(seconds, n=100)
    return f"p50 {cut[49] * 1e3:7.4f} ms   p99 {cut[98] * 1e3:7.4f} ms"


def main() -> None:
    started = time.perf_counter()
    routes = policy()
    print(f"compiled in {time.perf_counter() - started:.2f} s, the language model included")
    clock, draw = time.perf_counter, random.Random(0).random
    headers = {"host": "localhost", "user-agent": "bench", "content-type": "application/json"}
    building: list[float] = []
    routing: list[float] = []
    for name, turns in PROMPTS.items():
        request = body(turns)
        builds: list[float] = []
        decides: list[float] = []
        decided: Counter[str] = Counter()
        gc.collect()
        for _ in range(ROUNDS):
            t0 = clock()
            prompt = Prompt.from_chat(request, headers=headers, user="u", tenant="t", roles=("r",))
            t1 = clock()
            route = routes.route_now(prompt, healthy=lambda name: None, random=draw, clock=clock)
            t2 = clock()
            builds.append(t1 - t0)
            decides.append(t2 - t1)
            decided[route.decision if route is not None else "?"] += 1
        building += builds
        routing += decides
        print(f"{name:16s} → {decided.most_common(1)[0][0]:10s} route {quantiles(decides)}")
    print(f"{'all':16s}   {'':10s} route {quantiles(routing)}")
    print(f"{'':16s}   {'':10s} build {quantiles(building)}")
    t0 = clock()
    for _ in range(ROUNDS):
        assert route is not None
        route.trace()
    print(f"trace, where it is asked for: {(clock() - t0) / ROUNDS * 1e3:.4f} ms")


if __name__ == "__main__":
    main()
