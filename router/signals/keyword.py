"""Words, phrases and patterns in the text. Knows no meanings: "python" the snake matches too."""

import re
from collections.abc import Callable
from typing import Any

from pydantic import Field, model_validator
from rapidfuzz.distance import OSA
from rapidfuzz.process import extractOne

from experts.spec import Frozen
from router.patterns import Pattern, Word, Words, regex
from router.prompt import Prompt, Scope
from router.signals import Evaluate, Signal
from router.tools import Tools

COST = "cheap"
NEEDS: frozenset[str] = frozenset()
EXAMPLE = {"any": ["def ", "traceback", "python", "sql"]}

MAX_TOKENS = 20_000
"""Different words of one text that fuzzy matching looks at, from its start."""


class Params(Frozen):
    """At least one list is needed. It matches if one of `any`, `regex` or `fuzzy` is found (where one of these is
    given), and each of `all`, and none of `none`."""

    any: tuple[Word, ...] = Field((), description="words or phrases of which one must be found, as whole words")
    all: tuple[Word, ...] = Field((), description="words or phrases that must all be found")
    none: tuple[Word, ...] = Field((), description="words or phrases of which none may be found")
    regex: tuple[Pattern, ...] = Field((), description="RE2 patterns of which one must be found; no look-around")
    fuzzy: tuple[Word, ...] = Field((), description="like `any`, but typing errors are forgiven")
    threshold: float = Field(
        0.8, gt=0, le=1, description="similarity from which a fuzzy word counts: 1 minus edits per letter"
    )
    case_sensitive: bool = Field(False, description="whether capitals matter")
    scope: Scope = Field("user", description="which text is read: user, last, system, conversation or all")

    @model_validator(mode="after")
    def _something(self) -> "Params":
        if not (self.any or self.all or self.none or self.regex or self.fuzzy):
            raise ValueError("a keyword signal needs at least one of any, all, none, regex and fuzzy")
        return self


def build(params: Params, tools: Tools) -> Evaluate:
    """The signal's value is the words and patterns found (as the policy writes them), `count` how many they are.

    Its confidence is 1, or the best similarity where nothing but fuzzy words was found.
    """
    case, scope = params.case_sensitive, params.scope
    some = Words(params.any, case_sensitive=case) if params.any else None
    every = [Words([word], case_sensitive=case) for word in params.all]
    no = Words(params.none, case_sensitive=case) if params.none else None
    patterns = [(pattern, regex(pattern, case_sensitive=case)) for pattern in params.regex]
    fuzzy = _fuzzy(params) if params.fuzzy else None
    asked = some is not None or bool(patterns) or fuzzy is not None

    def evaluate(prompt: Prompt) -> Signal:
        data = prompt.data(scope)
        if no is not None and no.search(data):
            return Signal(False, value=(), count=0)
        if every and not all(word.search(data) for word in every):
            return Signal(False, value=(), count=0)
        found = some.found(data) if some is not None else ()
        if patterns:
            found += tuple(pattern for pattern, compiled in patterns if compiled.search(data) is not None)
        confidence = 1.0
        if fuzzy is not None:
            similar = fuzzy(prompt)
            if similar and not found:
                confidence = max(similar.values())
            found += tuple(word for word in similar if word not in found)
        matched = bool(found) or not asked
        if matched:
            found += params.all
        return Signal(matched, value=found, confidence=confidence, count=len(found))

    return evaluate


def _fuzzy(params: Params) -> Callable[[Prompt], dict[str, float]]:
    """Words of `fuzzy` that are in a prompt, up to typing errors, each with its similarity.

    A word is compared with every word of the text, a phrase of k words with every run of k: optimal string alignment
    (insert, delete, replace, swap neighbours; Boytsov 2011) over the longer one's length.
    """
    case, scope = params.case_sensitive, params.scope
    wanted = [(word, *_pieces(word, case)) for word in params.fuzzy]
    lengths = sorted({length for _, _, length in wanted})

    def runs(prompt: Prompt) -> dict[int, list[str]]:
        pieces = re.findall(r"\w+", prompt.text(scope) if case else prompt.text(scope).casefold())
        return {k: _runs(pieces, k) for k in lengths}

    def similar(prompt: Prompt) -> dict[str, float]:
        text: dict[int, list[str]] = prompt.memo(("keyword", scope, case, tuple(lengths)), lambda: runs(prompt))
        best: dict[str, float] = {}
        for word, key, length in wanted:
            found: Any = extractOne(
                key, text[length], scorer=OSA.normalized_similarity, processor=None, score_cutoff=params.threshold
            )
            if found is not None:
                best[word] = float(found[1])
        return best

    return similar


def _pieces(word: str, case_sensitive: bool) -> tuple[str, int]:
    pieces = re.findall(r"\w+", word if case_sensitive else word.casefold()) or [word]
    return " ".join(pieces), len(pieces)


def _runs(pieces: list[str], k: int) -> list[str]:
    """Every run of k pieces, once."""
    joined = pieces if k == 1 else [" ".join(pieces[i : i + k]) for i in range(len(pieces) - k + 1)]
    return list(dict.fromkeys(joined))[:MAX_TOKENS]
