"""Domain: examination questions of MMLU and MMLU-Pro with the latter's 14 categories, and plain questions of people.

Left out is every question that repeats one of `signals/domain_dev.jsonl`, which measures the head.
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
"""Ways in which each topic is asked."""


def rows(shared: Path) -> Iterator[Row]:
    """Every question once, without its choices. Deterministic."""
    seen = {_bare(row["text"]) for row in lines(shared, "signals/domain_dev.jsonl")}
    for row in _all(shared):
        bare = _bare(row.text)
        if len(bare) >= 5 and bare not in seen:
            seen.add(bare)
            yield row


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


def _bare(text: str) -> str:
    return re.sub(r"\W+", "", text.lower())
