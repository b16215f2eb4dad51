"""The words before a number, which tell what it is, and patterns over text. Knows no kind of number."""

import re
from bisect import bisect_left
from collections.abc import Iterator
from itertools import accumulate
from typing import Any

import re2

REACH = 40
"""Characters before a number in which its word is looked for."""

_NUMBER_OR_BREAK = re.compile(r"[\n;|]|\d{3,}")


def compiled(pattern: str, *, ignore_case: bool = False) -> Any:
    """An RE2 pattern over UTF-8."""
    options = re2.Options()
    options.log_errors = False
    options.case_sensitive = not ignore_case
    options.max_mem = 32 << 20
    return re2.compile(pattern.encode(), options)


def matches(pattern: Any, text: str, group: int = 0) -> Iterator[tuple[int, int, str]]:
    """Start and end, in characters, and text of a group of every match; matches without the group are left out."""
    data = text.encode("utf-8", "replace")
    plain = len(data) == len(text)
    starts: list[int] = []
    for found in pattern.finditer(data):
        begin, end = found.span(group)
        if begin < 0:
            continue
        if not plain:
            if not starts:
                starts = [0, *accumulate(len(c.encode("utf-8", "replace")) for c in text)]
            begin, end = bisect_left(starts, begin), bisect_left(starts, end)
        yield begin, end, text[begin:end]


def before(text: str, start: int, reach: int = REACH) -> str:
    """The words before a place, in small letters: since the last line break or other number, at most `reach`."""
    head = text[max(0, start - reach) : start]
    cut = max((found.end() for found in _NUMBER_OR_BREAK.finditer(head)), default=0)
    return head[cut:].casefold()


def alone(text: str, start: int, end: int, joins: str = "") -> bool:
    """Whether a span is no part of a longer word or number: neither a letter or digit touches it nor one of `joins`
    that a letter or digit follows (or comes before)."""
    if start > 0:
        left = text[start - 1]
        if left.isalnum() or left == "_" or (left in joins and start > 1 and text[start - 2].isalnum()):
            return False
    if end < len(text):
        right = text[end]
        if right.isalnum() or right == "_" or (right in joins and end + 1 < len(text) and text[end + 1].isalnum()):
            return False
    return True
