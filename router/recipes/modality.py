"""Modality: requests for a picture, sound or video, against requests for text, also text about pictures, sound or video.

All written for Madrigal, shapes filled with subjects; the held-out rows are of the same hand, and the head is experimental.
"""

from collections.abc import Iterator
from pathlib import Path

from router.recipes import Row, lines, phrases, question


def rows(shared: Path) -> Iterator[Row]:
    """Deterministic."""
    written = phrases("modality")
    for label, shapes in written["shapes"].items():
        for shape in shapes:
            for thing in written["things"]:
                yield Row(shape.format(thing=thing), label, group=thing)
    for texts in phrases("domain")["talk"].values():
        for text in texts:
            if "sing" not in text:
                yield Row(text, "text")
    for number, row in enumerate(lines(shared, "routing/routellm_mmlu.jsonl.gz")):
        if number % 13 == 0:
            yield Row(question(row["prompt"]), "text", source="routellm_mmlu")
