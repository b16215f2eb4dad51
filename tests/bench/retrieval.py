"""How well passages are found: known items, by words, by vectors and by both.

    python -m tests.bench.retrieval

Documents are GSM8K test questions, each with its worked solution, and the notes of `retrieval_items.py`. What is searched
by is made from a GSM8K question by a fixed rule: its last sentence; its first sentence without names and numbers; every
third word of it. All of these share words with their document; a note's question is in other words. Nothing was tuned on
any of them; how both rankings become one was chosen on other texts. Prints recall at 1 and 5 with 95% Wilson intervals.
"""

import asyncio
import gzip
import json
import math
import random
import re
import sys
import tempfile
import time
from pathlib import Path
from typing import get_args

from orchestrator.collection_index import By
from orchestrator.collections import Collections, Given
from orchestrator.store.store import Store
from router.embed import Embedder
from tests.bench.retrieval_items import ITEMS

DATA = Path(__file__).parents[3] / "shared/data/tasks/gsm8k_test.jsonl.gz"
QUESTION, ANSWER = "question", "answer"
MANY = 600
ASKED = 200
_SENTENCE = re.compile(r"(?<=[.!?])\s+")


def last_sentence(question: str) -> str:
    return _SENTENCE.split(question.strip())[-1]


def without_names(question: str) -> str:
    first = _SENTENCE.split(question.strip())[0]
    return " ".join(re.sub(r"\b[A-Z]\w*('s)?|\S*\d\S*", " ", first).split())


def every_third_word(question: str) -> str:
    return " ".join(question.split()[::3])


WAYS = {"last sentence": last_sentence, "first, no names": without_names, "every third word": every_third_word}


async def main(data: Path) -> None:
    with gzip.open(data, "rt") as file:
        rows = [json.loads(line) for line in file][:MANY]
    embedder = Embedder()
    with tempfile.TemporaryDirectory() as folder:
        store = await Store.open(f"sqlite:///{folder}/x.db")
        collections = Collections(store, embedder)
        await collections.create("t", "c")
        started = time.perf_counter()
        for at in range(0, len(rows), 50):
            given = [
                Given(f"{row[QUESTION]}\n\n{row[ANSWER]}", id=f"d{at + n}") for n, row in enumerate(rows[at : at + 50])
            ]
            await collections.put("t", "c", given)
        await collections.put("t", "c", [Given(note, id=f"n{at}") for at, (note, _) in enumerate(ITEMS)])
        collection = await collections.get("t", "c")
        took_s = time.perf_counter() - started
        print(f"{collection.documents} documents, {collection.passages} passages, taken in in {took_s:.1f} s")
        asked = random.Random(0).sample(range(len(rows)), ASKED)
        ways = {
            way: [(f"d{at}", make(rows[at][QUESTION]) or rows[at][QUESTION]) for at in asked]
            for way, make in WAYS.items()
        }
        ways["in other words"] = [(f"n{at}", question) for at, (_, question) in enumerate(ITEMS)]
        for way, questions in ways.items():
            for by in get_args(By):
                await measured(collections, embedder, way, by, questions)
        await store.close()
    await embedder.close()


async def measured(
    collections: Collections, embedder: Embedder, way: str, by: By, questions: list[tuple[str, str]]
) -> None:
    at_1 = at_5 = 0
    took = []
    for item, text in questions:
        await embedder.embed([text])  # not what is timed
        started = time.perf_counter()
        hits = await collections.search("t", "c", text, 5, by)
        took.append(time.perf_counter() - started)
        found = [hit.passage.document for hit in hits]
        at_1 += found[:1] == [item]
        at_5 += item in found
    n, ms = len(questions), sorted(took)[len(took) // 2] * 1e3
    print(f"{way:17} {n} {by:8} @1 {told(at_1, n)}  @5 {told(at_5, n)}  p50 {ms:.1f} ms")


def told(hits: int, n: int, z: float = 1.96) -> str:
    """A share with its Wilson interval."""
    p = hits / n
    middle = (p + z * z / (2 * n)) / (1 + z * z / n)
    half = z * math.sqrt(p * (1 - p) / n + z * z / (4 * n * n)) / (1 + z * z / n)
    return f"{p:.1%} ({max(0.0, middle - half):.1%}–{middle + half:.1%})"


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1]) if len(sys.argv) > 1 else DATA))
