"""Modality: requests for a picture, sound or video to be made, against requests for text, also text about pictures,
sound or video: how to draw, a script, a prompt for an image generator, what a photo shows.

The phrases are all written for Madrigal; the questions and role-plays of others ask for text.
"""

from collections.abc import Iterator
from pathlib import Path

from router.recipes import Row, lines, phrases, question
from router.recipes._shapes import rows as shaped

_PICTURES = ("image", "picture", "draw", "paint", "video", "song")
"""A role-play that has one of these words may ask for something other than text, so it is left out."""


def rows(shared: Path) -> Iterator[Row]:
    """Deterministic."""
    written = phrases("modality")
    slots = {name: written[name] for name in ("thing", "topic", "line", "style", "mood")}
    for label in ("image", "audio", "video", "text"):
        yield from shaped(written[label], label, slots, most=12)
    for number, row in enumerate(lines(shared, "routing/routellm_mmlu.jsonl.gz")):
        if number % 29 == 0:
            yield Row(question(row["prompt"]), "text", source="routellm_mmlu")
    for row in lines(shared, "signals/benign_dev.jsonl"):
        if not any(word in row["text"].lower() for word in _PICTURES):
            yield Row(row["text"][:600], "text", source="benign_dev")
