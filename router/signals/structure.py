"""The shape of the text: how many, how dense, in which order. Knows no meanings."""

import re
from collections.abc import Callable
from itertools import islice
from typing import Annotated, Literal, TypeAlias

from pydantic import Field, model_validator

from experts.spec import Frozen
from router.patterns import MAX_HITS, Pattern, Word, Words, regex
from router.prompt import Prompt, Scope
from router.signals import Evaluate, Signal
from router.tools import Tools

COST = "cheap"
NEEDS: frozenset[str] = frozenset()
EXAMPLE = {"of": "questions", "gte": 3}

Unit: TypeAlias = Literal[
    "bytes", "characters", "words", "lines", "questions", "code_fences", "list_items", "urls", "numbers"
]
Count: TypeAlias = Callable[[str, bytes], float]

_UNIT_PATTERNS = {
    "questions": r"""[?？؟][!?！？"')\]]*(?:\s|$|[^\x00-\x7f])""",
    "list_items": r"(?m)^[ \t]*(?:[-*+•]|\d{1,3}[.)])[ \t]",
    "urls": r"https?://[^\s]+",
    "numbers": r"\d+(?:[.,]\d+)*",
}
_FENCE = r"(?m)^[ \t]*(?:```|~~~)"
_ONE_LETTER_WORDS = re.compile(r"[\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff]")


class Params(Frozen):
    """Exactly one of `of`, `words`, `regex` and `sequences` says what is looked for, `measure` what is made of it,
    and `gt`, `gte`, `lt`, `lte` (all that are given) where it matches; without any, more than zero matches."""

    of: Unit | None = Field(None, description="counted: a unit of text")
    words: tuple[Word, ...] = Field((), description="counted: occurrences of these words or phrases, as whole words")
    regex: Pattern | None = Field(None, description="counted: occurrences of this RE2 pattern; no look-around")
    sequences: tuple[Annotated[tuple[Word, ...], Field(min_length=2)], ...] = Field(
        (), description="lists of words; found if those of one list occur in its order"
    )
    measure: Literal["count", "exists", "density", "sequence"] | None = Field(
        None, description="count, exists (0 or 1), density (count divided by `per`) or sequence; default: what fits"
    )
    per: Literal["words", "characters", "lines"] = Field("words", description="what a density is divided by")
    gt: float | None = Field(None, description="it must be above this")
    gte: float | None = Field(None, description="it must be at least this")
    lt: float | None = Field(None, description="it must be below this")
    lte: float | None = Field(None, description="it must be at most this")
    case_sensitive: bool = Field(False, description="whether capitals matter in words, patterns and sequences")
    scope: Scope = Field("user", description="which text is read: user, last, given, system, conversation or all")

    @model_validator(mode="after")
    def _fits(self) -> "Params":
        given = [name for name in ("of", "words", "regex", "sequences") if getattr(self, name)]
        if len(given) != 1:
            raise ValueError(f"exactly one of of, words, regex and sequences, given: {', '.join(given) or 'none'}")
        if (self.measure == "sequence") != bool(self.sequences) and self.measure is not None:
            raise ValueError(f"measure {self.measure} does not go with {given[0]}: sequences have the measure sequence")
        largest = max((bound for bound in (self.gt, self.gte, self.lt, self.lte) if bound is not None), default=0)
        plain = self.of in ("bytes", "characters", "words", "lines")
        if self.measure in (None, "count") and not plain and largest >= MAX_HITS:
            raise ValueError(f"at most {MAX_HITS} occurrences are counted, so no bound may be {largest:g}")
        return self


def build(params: Params, tools: Tools) -> Evaluate:
    """The signal's value is the number measured. A word is what blanks divide, or one character where the script
    has none (Chinese, Japanese, Thai …)."""
    number, scope, holds = _number(params), params.scope, _bounds(params)

    def evaluate(prompt: Prompt) -> Signal:
        value = number(prompt.text(scope), prompt.data(scope))
        return Signal(holds(value), value=value, count=value if isinstance(value, int) else None)

    return evaluate


def _bounds(params: Params) -> Callable[[float], bool]:
    gt, gte, lt, lte = params.gt, params.gte, params.lt, params.lte
    if gt is None and gte is None and lt is None and lte is None:
        return lambda value: value > 0

    def holds(value: float) -> bool:
        return (
            (gt is None or value > gt)
            and (gte is None or value >= gte)
            and (lt is None or value < lt)
            and (lte is None or value <= lte)
        )

    return holds


def _number(params: Params) -> Count:
    if params.sequences:
        return _sequence(params)
    count = _count(params)
    if params.measure == "exists":
        return lambda text, data: int(count(text, data) > 0)
    if params.measure == "density":
        per = _unit(params.per)
        return lambda text, data: count(text, data) / (per(text, data) or 1)
    return count


def _count(params: Params) -> Count:
    if params.words:
        words = Words(params.words, case_sensitive=params.case_sensitive)
        return lambda text, data: words.count(data)
    if params.regex is not None:
        return _hits(params.regex, params.case_sensitive)
    assert params.of is not None
    return _unit(params.of)


def _unit(unit: Unit) -> Count:
    match unit:
        case "bytes":
            return lambda text, data: len(data)
        case "characters":
            return lambda text, data: len(text)
        case "words":
            return _words
        case "lines":
            return lambda text, data: text.count("\n") + 1 if text else 0
        case "code_fences":
            fences = _hits(_FENCE, True)
            return lambda text, data: (fences(text, data) + 1) // 2  # the last one may be left open
        case _:
            return _hits(_UNIT_PATTERNS[unit], True)


def _words(text: str, data: bytes) -> int:
    return len(text.split()) if text.isascii() else len(_ONE_LETTER_WORDS.sub(" x ", text).split())


def _hits(pattern: str, case_sensitive: bool) -> Count:
    compiled = regex(pattern, case_sensitive=case_sensitive)

    def hits(text: str, data: bytes) -> int:
        return sum(1 for _ in islice(compiled.finditer(data), MAX_HITS))

    return hits


def _sequence(params: Params) -> Count:
    sequences = [[Words([word], case_sensitive=params.case_sensitive) for word in words] for words in params.sequences]

    def in_order(words: list[Words], data: bytes) -> bool:
        at = 0
        for word in words:
            span = word.next(data, at)
            if span is None:
                return False
            at = span[1]
        return True

    return lambda text, data: int(any(in_order(words, data) for words in sequences))
