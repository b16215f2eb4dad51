"""Feedback: what a user says after an answer, against what else one may say there: the next task, a question, a fact.

The phrases are all written for Madrigal; the questions and role-plays of others are no feedback.
"""

from collections.abc import Iterator
from pathlib import Path

from router.recipes import Row, lines, phrases, question
from router.recipes._shapes import rows as shaped

NONE = "no feedback"


def rows(shared: Path) -> Iterator[Row]:
    """Deterministic."""
    written = phrases("feedback")
    slots = {name: written[name] for name in ("it", "topic", "work", "claim", "matter", "wish")}
    for label in ("satisfied", "wrong answer", "need clarification", "want different", NONE):
        yield from shaped(written[label], label, slots, most=10, around=written["around"])
    for number, row in enumerate(lines(shared, "routing/routellm_mmlu.jsonl.gz")):
        if number % 46 == 0:
            yield Row(question(row["prompt"]), NONE, source="routellm_mmlu")
    for row in list(lines(shared, "signals/benign_dev.jsonl"))[::2]:
        yield Row(row["text"][:600], NONE, source="benign_dev")
