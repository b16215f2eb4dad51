"""Texts cut into passages of the length that the embedder reads. Pure; knows nothing of models.

A passage is whole sentences, ends with a paragraph where it can, and begins with the last sentence of the one before, so
that "it" has something to refer to.
"""

import re
from collections.abc import Iterator

TARGET = 800
"""Characters of a passage: English of that length has about 180 tokens, the embedder reads 256."""
OVERLAP = 200
"""A last sentence of more characters is not repeated."""

_PARAGRAPH = re.compile(r"\n\s*\n")
_SENTENCE = re.compile(r"(?<=[.!?])\s+|(?<=[。！？])|\n+")


def passages(text: str, target: int = TARGET, overlap: int = OVERLAP) -> list[str]:
    """The passages of a text in their order, each of at most `target` characters and none empty; without letters: none."""
    found: list[str] = []
    sentences: list[str] = []
    fresh = 0  # how many of `sentences` stand in no passage yet
    for sentence, ends_paragraph in _sentences(text, target):
        if sentences and _length(sentences) + len(sentence) > target:
            if fresh:
                found.append(" ".join(sentences))
            last = sentences[-1]
            sentences = [last] if len(last) <= overlap and len(last) + len(sentence) < target else []
            fresh = 0
        sentences.append(sentence)
        fresh += 1
        if ends_paragraph and _length(sentences) > target // 2:
            found.append(" ".join(sentences))
            sentences, fresh = [], 0
    if fresh:
        found.append(" ".join(sentences))
    return found


def halves(text: str) -> tuple[str, str]:
    """A text in two, at the space nearest to its middle, or in its middle where there is none near."""
    middle = len(text) // 2
    spaces = [at for at in (text.rfind(" ", 0, middle), text.find(" ", middle)) if at > len(text) // 4]
    at = min(spaces, key=lambda at: abs(at - middle), default=middle)
    return text[:at].strip(), text[at:].strip()


def _sentences(text: str, most: int) -> Iterator[tuple[str, bool]]:
    """Sentences, a long one in pieces, and whether each is its paragraph's last."""
    for paragraph in _PARAGRAPH.split(text):
        parts = [" ".join(part.split()) for part in _SENTENCE.split(paragraph)]
        pieces = [piece for part in parts if part for piece in _pieces(part, most)]
        for at, piece in enumerate(pieces):
            yield piece, at == len(pieces) - 1


def _pieces(sentence: str, most: int) -> Iterator[str]:
    while len(sentence) > most:
        at = sentence.rfind(" ", most // 2, most)
        at = at if at > 0 else most
        yield sentence[:at]
        sentence = sentence[at:].strip()
    if sentence:
        yield sentence


def _length(sentences: list[str]) -> int:
    return sum(map(len, sentences)) + len(sentences)
