"""Domain: examination questions of MMLU and MMLU-Pro with the latter's 14 categories, and questions as people ask them.

The latter were written for Madrigal: one by one, and from topics; knowing them only from examinations, a head is right
about three of four. Left out is every question that repeats one of `signals/domain_dev.jsonl`, which measures the head.
"""

import json
import random
import re
from collections.abc import Iterator
from pathlib import Path

from router.recipes import Row, lines, phrases, question

CATEGORIES = {
    "biology": "college_biology high_school_biology",
    "business": "business_ethics management marketing",
    "chemistry": "college_chemistry high_school_chemistry",
    "computer science": "college_computer_science computer_security high_school_computer_science machine_learning",
    "economics": "econometrics high_school_macroeconomics high_school_microeconomics",
    "engineering": "electrical_engineering",
    "health": "anatomy clinical_knowledge college_medicine human_aging medical_genetics nutrition professional_medicine virology",
    "history": "high_school_european_history high_school_us_history high_school_world_history prehistory",
    "law": "international_law jurisprudence professional_law",
    "math": "abstract_algebra college_mathematics elementary_mathematics high_school_mathematics high_school_statistics",
    "philosophy": "formal_logic logical_fallacies moral_disputes philosophy world_religions",
    "physics": "astronomy college_physics conceptual_physics high_school_physics",
    "psychology": "high_school_psychology professional_psychology",
    "other": "global_facts high_school_geography high_school_government_and_politics human_sexuality miscellaneous "
    "professional_accounting public_relations security_studies sociology us_foreign_policy",
}
"""MMLU's subjects by the category that most of a subject's questions have in MMLU-Pro. `moral_scenarios` is left out:
895 questions of one sentence."""

WAYS = 8
"""Ways in which each topic of `domain.yaml` is asked."""
FEW_WAYS = 4
"""Ways in which each of the many topics of `domain_topics.yaml` is asked."""
WEIGHTS = {"routellm_mmlu": 0.5, "questions": 5.0, "topics": 0.4}
"""What a row of a source counts, where not 1. MMLU's labels are those of its subjects, which mix; a question written on
its own is worth several made from a pattern."""


def rows(shared: Path) -> Iterator[Row]:
    """Every question once, without its choices. Deterministic."""
    seen = {_bare(row["text"]) for row in lines(shared, "signals/domain_dev.jsonl")}
    for row in _all(shared):
        bare = _bare(row.text)
        if len(bare) >= 5 and bare not in seen:
            seen.add(bare)
            yield row._replace(weight=WEIGHTS.get(row.source, 1.0))


def _all(shared: Path) -> Iterator[Row]:
    for row in lines(shared, "routing/mmlu_pro.jsonl.gz"):
        yield Row(question(row["prompt"]), row["group"], source="mmlu_pro")
    category = {subject: name for name, subjects in CATEGORIES.items() for subject in subjects.split()}
    for row in lines(shared, "routing/routellm_mmlu.jsonl.gz"):
        if row["group"] in category:
            yield Row(question(row["prompt"]), category[row["group"]], source="routellm_mmlu")
    exemplars = json.loads((shared / "signals/kb_mmlu.labels.json").read_text(encoding="utf-8"))
    for name, label in exemplars["labels"].items():
        for text in label["exemplars"]:
            yield Row(text, name, source="kb_mmlu")
    yield from _written()


def _written() -> Iterator[Row]:
    written, chance = phrases("domain"), random.Random(0)
    for name, topics in written["topics"].items():
        for topic in topics:
            for way in chance.sample(written["ask"], WAYS):
                yield Row(way.format(topic=topic), name, group=topic)
    for name, pairs in written["compare_topics"].items():
        for a, b in pairs:
            yield Row(written["compare"].format(a=a, b=b), name, group=a)
    for name, texts in written["talk"].items():
        for text in texts:
            yield Row(text, name)
    for name, texts in phrases("domain_questions").items():
        for text in texts:
            yield Row(text, name, source="questions")
    more, chance = phrases("domain_topics"), random.Random(1)
    for part in ("chapters", "terms"):
        for name, topics in more[part].items():
            for topic in topics:
                for way in chance.sample(written["ask"] + more["ask_also"], FEW_WAYS):
                    yield Row(way.format(topic=topic), name, group=topic, source="topics")


def _bare(text: str) -> str:
    return re.sub(r"\W+", "", text.lower())
