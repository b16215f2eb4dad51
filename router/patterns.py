"""Words and regular expressions over UTF-8 text in time linear in its length. Knows nothing of signals.

Everything runs on RE2, so no policy and no prompt can make the router hang; its price is that look-around and
backreferences do not exist, and `regex` says so.
"""

import re
from collections.abc import Iterator, Sequence
from typing import Annotated, Any, TypeAlias

import re2
from pydantic import AfterValidator

MAX_HITS = 1000
"""Occurrences looked at in one text; more are not counted."""

_PATTERN_MEMORY_BYTES = 8 << 20
_WORDS_MEMORY_BYTES = 64 << 20
_SPACELESS = r"\p{Han}\p{Hiragana}\p{Katakana}\p{Hangul}\p{Thai}\p{Lao}\p{Khmer}\p{Myanmar}"
_BEFORE = rf"(?:^|[^\pL\pM\pN_]|[{_SPACELESS}])"
_AFTER = rf"(?:$|[^\pL\pM\pN_]|[{_SPACELESS}])"
_JOINS_WORDS = re2.compile(rf"[^\pL\pM\pN_]|[{_SPACELESS}]")
_BACKTRACKING = re.compile(r"\(\?<?[=!]|\(\?>|\(\?\(|\(\?P=|\\[1-9]|\\k[<{']|[+*?}]\+")


def _options(case_sensitive: bool, *, groups: bool = False, memory_bytes: int = _PATTERN_MEMORY_BYTES) -> Any:
    options = re2.Options()
    options.log_errors = False  # RE2 would write to stderr; we raise instead
    options.case_sensitive = case_sensitive
    options.never_capture = not groups
    options.max_mem = memory_bytes
    return options


def regex(pattern: str, *, case_sensitive: bool = True) -> Any:
    """Compile a pattern for `search(bytes)`. Raises `ValueError` that says what RE2 lacks, or where the slip is."""
    try:
        return re2.compile(pattern.encode("utf-8", "replace"), _options(case_sensitive))
    except re2.error as error:
        reason = error.args[0].decode("utf-8", "replace") if isinstance(error.args[0], bytes) else str(error)
        if found := _BACKTRACKING.search(pattern):
            raise ValueError(
                f"{found[0]!r} in {pattern!r} is not available: look-around, backreferences, possessive and atomic "
                "groups need backtracking, which a prompt can drive into exponential time. Write two patterns or "
                "combine two signals with `and not` instead"
            ) from None
        raise ValueError(
            f"{pattern!r} is no valid pattern: {reason} (syntax: github.com/google/re2/wiki/Syntax)"
        ) from None


def _checked(pattern: str) -> str:
    regex(pattern)
    return pattern


def _nonblank(word: str) -> str:
    if not word.strip():
        raise ValueError("a word needs at least one character that is not a blank")
    return word


Pattern: TypeAlias = Annotated[str, AfterValidator(_checked)]
Word: TypeAlias = Annotated[str, AfterValidator(_nonblank)]


def word_pattern(word: str) -> tuple[bool, str, bool]:
    """A word or phrase as a pattern, and whether a word must begin before it and end after it.

    An end of it that is a letter, digit or underscore must be the end of a word in the text ("sql" is not in
    "mysql"), unless its script writes no blanks between words (Chinese, Japanese, Thai …). An end that is anything
    else ("c++", "def ") stands as it is. A run of blanks stands for any run of blanks.
    """
    body = r"\s+".join(re2.escape(piece) for piece in re.split(r"\s+", word))
    return not _JOINS_WORDS.match(word), body, not _JOINS_WORDS.match(word[-1])


class Words:
    """A set of words and phrases, searched for together."""

    def __init__(self, words: Sequence[str], *, case_sensitive: bool = False) -> None:
        self.case_sensitive = case_sensitive
        by_ends: dict[tuple[bool, bool], list[str]] = {}
        # Longer first, as the first alternative that fits wins.
        for word in sorted(words, key=len, reverse=True):
            before, body, after = word_pattern(word)
            by_ends.setdefault((before, after), []).append(body)
        pattern = "|".join(
            f"{_BEFORE if before else ''}({'|'.join(bodies)}){_AFTER if after else ''}"
            for (before, after), bodies in by_ends.items()
        )
        self._words = tuple(words)
        self._by_key = {self._key(word): word for word in words}
        # Two programs: without groups RE2 answers "is any there?" about twice as fast, the common question.
        try:
            self._any, self._each = (
                re2.compile(
                    pattern.encode("utf-8", "replace"),
                    _options(case_sensitive, groups=groups, memory_bytes=_WORDS_MEMORY_BYTES),
                )
                for groups in (False, True)
            )
        except re2.error:
            raise ValueError(
                f"{len(words):,} words are too many for one signal; write several and join them with `or`"
            ) from None

    def _key(self, word: str) -> str:
        plain = " ".join(re.split(r"\s+", word))
        return plain if self.case_sensitive else plain.casefold()

    def search(self, data: bytes) -> bool:
        """Whether any of the words is in the text."""
        return self._any.search(data) is not None

    def next(self, data: bytes, at: int = 0) -> tuple[int, int] | None:
        """Where the first of them begins and ends from byte `at` on, or None."""
        found = self._each.search(data, at)
        if found is None:
            return None
        begin, end = next(span for span in map(found.span, range(1, self._each.groups + 1)) if span[0] >= 0)
        return int(begin), int(end)

    def spans(self, data: bytes) -> Iterator[tuple[int, int]]:
        """Where they are, in bytes, from left to right, not overlapping; at most `MAX_HITS`."""
        at = hits = 0
        # The character after one word may be the one before the next: go on from the word, not from the match.
        while hits < MAX_HITS and (span := self.next(data, at)) is not None:
            at, hits = span[1], hits + 1
            yield span

    def found(self, data: bytes) -> tuple[str, ...]:
        """The words that are in the text, as they were given, in order of their first occurrence."""
        if not self.search(data):
            return ()
        return tuple(dict.fromkeys(self._given(data[start:end]) for start, end in self.spans(data)))

    def _given(self, found: bytes) -> str:
        """The word of the policy that a piece of the text is: never the text itself, which no signal may keep."""
        text = found.decode("utf-8", "replace")
        if (word := self._by_key.get(self._key(text))) is not None:
            return word
        # RE2 and Python differ in how they fold a few letters.
        options = _options(self.case_sensitive)
        same = (w for w in self._words if re2.fullmatch(word_pattern(w)[1].encode("utf-8", "replace"), found, options))
        return next(same, "")

    def count(self, data: bytes) -> int:
        """How often any of them is there; at most `MAX_HITS`."""
        return sum(1 for _ in self.spans(data)) if self.search(data) else 0
