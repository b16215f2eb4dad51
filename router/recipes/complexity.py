"""Complexity: which questions language models got wrong. Hard is what at most 35% of the models answered rightly, easy
what at least 75% did (28 models on MMLU-Pro, two on MMLU); what lies between is left out.

Plain requests of people, which no benchmark has, are easy; long commissions are hard: both written for Madrigal.
"""

import hashlib
from collections.abc import Iterator
from pathlib import Path
from statistics import fmean

from router.recipes import Row, lines, phrases, question
from router.recipes._shapes import rows as shaped

HARD, EASY = "hard", "easy"
SHARE = {("mmlu_pro", HARD): 0.3, ("mmlu_pro", EASY): 0.9, ("routellm_mmlu", HARD): 0.9, ("routellm_mmlu", EASY): 0.2}
"""The share of the recorded questions that is taken: as many hard ones as easy ones, and the written ones heard too."""


def rows(shared: Path) -> Iterator[Row]:
    """Deterministic. A question that has both labels without its choices is left out."""
    found = list(_recorded(shared))
    kinds: dict[str, set[str]] = {}
    for row in found:
        kinds.setdefault(row.text, set()).add(row.label)
    yield from (row for row in found if len(kinds[row.text]) == 1)
    written = phrases("complexity")
    slots = {name: written[name] for name in ("plain", "place", "object", "hardtopic", "system")}
    for label in (EASY, HARD):
        yield from shaped(written[label], label, slots, most=16)


def _recorded(shared: Path) -> Iterator[Row]:
    for name in ("mmlu_pro", "routellm_mmlu"):
        for row in lines(shared, f"routing/{name}.jsonl.gz"):
            right, text = fmean(row["scores"].values()), question(row["prompt"])
            label = HARD if right <= 0.35 else EASY if right >= 0.75 else None
            if label and hashlib.sha256(text.encode()).digest()[0] < 256 * SHARE[name, label]:
                yield Row(text, label, source=name)
