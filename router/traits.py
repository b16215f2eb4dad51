"""Traits of a text that embeddings pass over: its length, format, punctuation and kinds of words, as numbers.

They tell apart what looks alike to an embedder: a quiz question from a search query, a proof from a sum, options from
free text. Pure and quick (tens of microseconds a kilobyte). Knows nothing of models or of what follows.
"""

import math
import re
from collections.abc import Sequence
from itertools import pairwise
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

READ_CHARACTERS = 6000
"""Of a longer text the first two thirds and the last third of this many are read."""

_CHARACTERS = "?.:,;!'\"([{$\\%_-+*/=<>#|"
_WORDS: dict[str, str] = {
    "what": "what which",
    "who": "who whom whose",
    "when": "when year date",
    "where": "where place located country city",
    "how": "how",
    "many": "many much",
    "why": "why because reason",
    "be": "is are was were be been being",
    "do": "does did do done can could would should might may will",
    "not": "not no none never except false incorrect",
    "if": "if then suppose assume given let",
    "all": "all every any each both some only always must",
    "the": "the a an",
    "of": "of in on at by for with from to",
    "i": "i my me we our us you your",
    "person": "he she his her him they their them man woman boy girl people",
    "ask": "write find compute evaluate determine calculate solve simplify prove show express explain describe name",
    "code": "function python list string array return returns integer dictionary tuple code program def import print",
    "sum": "total cost costs times dollars hours minutes days per twice half price sold buys spend spends left twelve",
    "maths": "equation polynomial triangle angle integer integers real positive value matrix circle square root vector",
    "science": "energy mass molecule reaction acid cell cells gene protein electron temperature pressure quantum field",
    "medicine": "patient year-old history physical examination blood symptoms pain treatment disease diagnosis",
    "law": "law court contract defendant plaintiff state rights statute liable",
    "culture": "film song album series episode season band novel actor played sang wrote won game team",
    "school": "student students teacher experiment scientist example plant plants animal animals water earth sun",
    "text": "passage text according author following above statement statements option options answer clue clues",
    "where_to": "find put go keep live store likely",
}
_KIND = {word: kind for kind, words in enumerate(_WORDS.values()) for word in words.split()}
_WORD = re.compile(r"[a-z]+(?:[-'][a-z]+)*")
_NUMBER = re.compile(r"\d+(?:\.\d+)?")
_CAPITALS = re.compile(r"(?<=[a-z,] )[A-Z][a-z]+")
_OPTION = re.compile(r"^\s*+(\(?[A-J1-9][).:]\s)?", re.MULTILINE)
"""Every line's beginning, the blank lines before it too, so that a run of them is read once; group 1 where it is an option."""

NAMES: tuple[str, ...] = (
    "characters", "words", "word_length", "different_words", "lines", "blank_lines", "line_length", "sentences",
    "sentence_words", "options", "longest_option_words", "numbers", "decimals", "largest_number", "names",
    "digits", "upper", "other_scripts", "starts_lower", "starts_upper", "starts_digit", "indented",
    "ends_question", "ends_dot", "ends_colon", "ends_other", "first_kind",
    *(f"mark_{mark}" for mark in _CHARACTERS),
    *(f"words_{kind}" for kind in _WORDS),
    *(f"share_{kind}" for kind in _WORDS),
)  # fmt: skip
"""What each column of `traits` is."""


def traits(texts: Sequence[str]) -> "NDArray[np.float32]":
    """One row a text, one column a trait: float32 [N, len(NAMES)]; counts as log(1 + count)."""
    import numpy as np

    return np.array([_row(text) for text in texts], np.float32).reshape(len(texts), len(NAMES))


def read(text: str) -> str:
    """What is read of a text: all of it, or the start and the end of a long one."""
    if len(text) <= READ_CHARACTERS:
        return text
    return text[: READ_CHARACTERS * 2 // 3] + text[-READ_CHARACTERS // 3 :]


def _row(text: str) -> list[float]:
    length = len(text)
    text = read(text)
    lower = text.lower()
    words = _WORD.findall(lower)
    n = len(words) or 1
    kinds = [0] * len(_WORDS)
    for word in words:
        kind = _KIND.get(word)
        if kind is not None:
            kinds[kind] += 1
    lines = text.split("\n")
    sentences = text.count(". ") + text.count("? ") + text.count("! ") + 1
    starts = [match.start() for match in _OPTION.finditer(text) if match[1]]
    longest = max((text.count(" ", left, right) for left, right in pairwise([*starts, len(text)])), default=0)
    numbers = _NUMBER.findall(text)
    largest = max((float(number[:12]) for number in numbers[:100]), default=0.0)
    bare = text.strip()
    first, last = bare[:1], bare[-1:]
    log = math.log1p
    return [
        log(length),
        log(len(words)),
        sum(map(len, words)) / n,
        len(set(words)) / n,
        log(len(lines)),
        log(sum(not line.strip() for line in lines)),
        log(len(text) / len(lines)),
        log(sentences),
        log(len(words) / sentences),
        log(len(starts)),
        log(longest),
        log(len(numbers)),
        log(sum("." in number for number in numbers)),
        log(largest),
        log(len(_CAPITALS.findall(text))),
        log(sum(map(len, numbers))),
        log(sum(map(str.isupper, text))),
        0.0 if text.isascii() else log(sum(character > "\x7f" for character in text)),
        float(first.islower()),
        float(first.isupper()),
        float(first.isdigit()),
        log(text.count("\n    ") + text.count("\n\t")),
        float(last == "?"),
        float(last == "."),
        float(last == ":"),
        float(last not in ("?", ".", ":")),
        float(_KIND.get(words[0], -1)) if words else -1.0,
        *(log(text.count(mark)) for mark in _CHARACTERS),
        *(log(count) for count in kinds),
        *(count / n for count in kinds),
    ]
