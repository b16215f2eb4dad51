"""Fact-check: questions whose answer is a fact of the world (also MMLU's subjects of knowledge), against invention,
rewriting, arithmetic, code, advice on one's own life, talk and what is said of the conversation itself."""

import hashlib
from collections.abc import Iterator
from pathlib import Path

from router.recipes import Row, feedback, lines, phrases, question
from router.recipes._shapes import rows as shaped

FACTS, NONE = "facts", "no facts"
_OF_THE_ANSWER = ("satisfied", "need clarification", "want different")
"""What users say of an answer; "that is wrong" stays out, as it may well want a fact looked up."""
_SHARE = 5
"""One in so many of the recorded questions: the written phrases are to be heard beside them."""


def rows(shared: Path) -> Iterator[Row]:
    """Deterministic."""
    written = phrases("fact_check")
    slots = {name: written[name] for name in ("person", "place", "thing", "event", "topic", "object", "sentence")}
    for label in (FACTS, NONE):
        yield from shaped(written[label], label, slots, most=16)
    for said in feedback.rows(shared):
        if said.label in _OF_THE_ANSWER:
            yield said._replace(label=NONE)
    subjects = {subject: label for label in (FACTS, NONE) for subject in written["mmlu"][label]}
    for row in lines(shared, "routing/routellm_mmlu.jsonl.gz"):
        if row["group"] in subjects and _chosen(row["prompt"]):
            yield Row(question(row["prompt"]), subjects[row["group"]], source="routellm_mmlu")
    for row in lines(shared, "tasks/gsm8k_train.jsonl.gz"):
        text = row.get("question") or row["prompt"]
        if _chosen(text) and _chosen(text[::-1]):
            yield Row(text, NONE, source="gsm8k_train")
    for row in lines(shared, "signals/benign_dev.jsonl"):
        yield Row(row["text"][:600], NONE, source="benign_dev")


def _chosen(text: str) -> bool:
    return hashlib.sha256(text.encode()).digest()[0] % _SHARE == 0
