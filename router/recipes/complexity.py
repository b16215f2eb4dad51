"""Complexity: which questions language models got wrong. Hard is what at most 35% of the models answered rightly, easy
what at least 75% did (28 models on MMLU-Pro, two on MMLU and GSM8K); what lies between is left out.

Plain requests of people, which no benchmark has, are easy; long commissions are hard: both written for Madrigal.
"""

import hashlib
from collections.abc import Iterator
from pathlib import Path
from statistics import fmean

from router.recipes import Row, lines, phrases, question

HARD, EASY = "hard", "easy"


def rows(shared: Path) -> Iterator[Row]:
    """Deterministic."""
    for name in ("mmlu_pro", "routellm_mmlu"):
        for row in lines(shared, f"routing/{name}.jsonl.gz"):
            share = fmean(row["scores"].values())
            text = question(row["prompt"])
            if share <= 0.35:
                yield Row(text, HARD, source=name)
            elif share >= 0.75 and (name == "mmlu_pro" or hash_third(text)):
                yield Row(text, EASY, source=name)
    written = phrases("domain")
    for texts in written["talk"].values():
        for text in texts:
            yield Row(text, EASY)
    for kind, label in (("easy", EASY), ("hard", HARD)):
        for text in phrases("complexity")[kind]:
            yield Row(text, label)
    for topics in written["topics"].values():
        for topic in topics[::3]:
            yield Row(f"What is {topic}?", EASY, group=topic)


def hash_third(text: str) -> bool:
    """A third of the texts, the same every time: MMLU has many more easy questions than hard ones."""
    return hashlib.sha256(text.encode()).digest()[0] % 3 == 0
