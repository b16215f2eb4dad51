"""Feedback: what a user says after an answer. All of it written for Madrigal: shapes filled with subjects, so the held-out
rows are of the same hand, and the head is experimental."""

from collections.abc import Iterator
from pathlib import Path

from router.recipes import Row, lines, phrases, question

NONE = "no feedback"


def rows(shared: Path) -> Iterator[Row]:
    """Deterministic. Questions, tasks and talk are no feedback."""
    written = phrases("feedback")
    for label, shapes in written["feedback"].items():
        for shape in shapes:
            if "{it}" not in shape:
                yield Row(shape, label)
                continue
            for it in written["it"]:
                yield Row(shape.format(it=it), label, group=shape)
    for shape in written["go_on"]:
        for it in written["it"]:
            yield Row(shape.format(it=it), NONE, group=shape)
    for texts in phrases("domain")["talk"].values():
        for text in texts:
            if "thank" not in text:
                yield Row(text, NONE)
    for number, row in enumerate(lines(shared, "routing/routellm_mmlu.jsonl.gz")):
        if number % 23 == 0:
            yield Row(question(row["prompt"]), NONE, source="routellm_mmlu")
    for row in lines(shared, "signals/benign_dev.jsonl"):
        yield Row(row["text"][:600], NONE, source="benign_dev")
