"""How often the cache takes two questions for one: `python -m tests.bench.cache [FILE …] [--similarity 0.8] [--vectors FOLDER]`.

A FILE has a pair a line, {"a": …, "b": …, "why": …}; by default those of tests/orchestrator/cases and the groups of
../shared/data/signals/cache_paraphrases.jsonl. A pair is a hit as in the plugin: cosine of the embedder from `--similarity`
on, and no difference found. On paraphrases many hits are good, on opposites none. Texts are not shown.
"""

import argparse
import json
import time
from collections import Counter
from collections.abc import Iterator
from itertools import combinations
from pathlib import Path
from typing import NamedTuple

from orchestrator.plugins.cache import Params
from orchestrator.same_question import difference
from router.vectors import vectors

ROOT = Path(__file__).parents[2]
CASES = ROOT / "tests" / "orchestrator" / "cases"
SHARED = ROOT.parent / "shared" / "data" / "signals" / "cache_paraphrases.jsonl"


class Pair(NamedTuple):
    """Two questions, and in what they differ, where the file says so."""

    a: str
    b: str
    why: str


class Counts(NamedTuple):
    """Of a file's pairs: how many are near, how many the verifier lets pass, how many do both, and why wrong ones are."""

    pairs: int
    near: int
    verified: int
    hits: int
    by_why: Counter[str]
    ms: float


def pairs(path: Path) -> Iterator[Pair]:
    """The pairs of a file; of a group of paraphrases each two of its questions."""
    for line in path.read_text(encoding="utf-8").splitlines():
        row = json.loads(line)
        if "original_question" in row:
            for a, b in combinations([row["original_question"], *row["similar_questions"]], 2):
                yield Pair(a, b, str(row.get("category", "")))
        else:
            yield Pair(row["a"], row["b"], str(row.get("why", "")))


def counted(given: list[Pair], similarity: float, folder: Path | None = None) -> Counts:
    """What the cache makes of the pairs. Blocks while questions that are new are embedded."""
    texts = sorted({text for pair in given for text in pair[:2]})
    at = dict(zip(texts, vectors(texts, folder=folder), strict=True))
    near = [float(at[pair.a] @ at[pair.b]) >= similarity for pair in given]
    difference("load", "lists")
    started = time.perf_counter()
    same = [difference(pair.a, pair.b) is None for pair in given]
    ms = (time.perf_counter() - started) * 1e3 / max(len(given), 1)
    hits = [n and s for n, s in zip(near, same, strict=True)]
    return Counts(
        len(given),
        sum(near),
        sum(same),
        sum(hits),
        Counter(pair.why for pair, hit in zip(given, hits, strict=True) if hit),
        ms,
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("files", nargs="*", type=Path)
    parser.add_argument("--similarity", type=float, default=Params().similarity)
    parser.add_argument("--vectors", type=Path, help="folder of kept embeddings")
    args = parser.parse_args()
    files = args.files or [*sorted(CASES.glob("cache_*.jsonl")), SHARED]
    print(
        f"similarity {args.similarity}\n| pairs of | pairs | near | verified | hits | ms a pair |\n|---|---|---|---|---|---|"
    )
    for path in files:
        if not path.exists():
            print(f"| {path.name} | not here, skipped | | | | |")
            continue
        c = counted(list(pairs(path)), args.similarity, args.vectors)
        print(f"| {path.name} | {c.pairs} | {c.near} | {c.verified} | {c.hits} ({c.hits / c.pairs:.1%}) | {c.ms:.2f} |")
        if len(c.by_why) > 1 or "" not in c.by_why:
            print("  hits by kind: " + ", ".join(f"{why} {n}" for why, n in c.by_why.most_common()))
    if not any(CASES.glob("cache_*.jsonl")) and not args.files:
        print(f"no cache_*.jsonl in {CASES.relative_to(ROOT)}: only the shared groups were measured")


if __name__ == "__main__":
    main()
