"""Fact-check: questions whose answer is a fact of the world (MMLU's subjects of knowledge), against invention, rewriting,
arithmetic, code and talk.

The labels are taken from where a text comes from, not given one by one: the head says so by being experimental.
"""

import hashlib
from collections.abc import Iterator
from pathlib import Path

from router.recipes import Row, lines, phrases, question

FACTS, NONE = "facts", "no facts"


def rows(shared: Path) -> Iterator[Row]:
    """Deterministic."""
    written = phrases("fact_check")
    for row in lines(shared, "routing/routellm_mmlu.jsonl.gz"):
        if row["group"] in written["mmlu"]["facts"]:
            yield Row(question(row["prompt"]), FACTS, source="routellm_mmlu")
        elif row["group"] in written["mmlu"]["no facts"]:
            yield Row(question(row["prompt"]), NONE, source="routellm_mmlu")
    for row in lines(shared, "tasks/gsm8k_train.jsonl.gz"):
        text = row.get("question") or row["prompt"]
        if hashlib.sha256(text.encode()).digest()[0] % 8 == 0:
            yield Row(text, NONE, source="gsm8k_train")
    for row in lines(shared, "signals/benign_dev.jsonl"):
        yield Row(row["text"], NONE, source="benign_dev")
    domain = phrases("domain")
    for kind in ("history", "biology", "health", "physics", "law", "chemistry", "economics"):
        for topic in domain["topics"][kind]:
            for way in domain["ask"][::3]:
                yield Row(way.format(topic=topic), FACTS, group=topic)
    for kind, texts in domain["talk"].items():
        if kind != "history":
            for text in texts:
                yield Row(text, NONE)
    for shape in written["invent"]:
        for thing in written["things"]:
            yield Row(shape.format(thing=thing), NONE, group=thing)
    for shape in written["check"]:
        for thing in written["things"]:
            yield Row(shape.format(thing=thing), FACTS, group=thing)
