"""Words, phrases and patterns in the text. Knows no meanings: "python" the snake matches too."""

from collections.abc import Callable
from typing import Any

from pydantic import Field, model_validator
from rapidfuzz.distance import OSA
from rapidfuzz.process import extractOne

from experts.spec import Frozen
from router.lexical import BM25, NGrams, pieces, runs, stems
from router.patterns import Pattern, Word, Words, regex
from router.prompt import Prompt, Scope
from router.signals import Evaluate, Signal
from router.tools import Tools

COST = "cheap"
NEEDS: frozenset[str] = frozenset()
EXAMPLE = {"any": ["def ", "traceback", "python", "sql"]}

Similar = Callable[[Prompt], dict[str, float]]


class Params(Frozen):
    """At least one list is needed. It matches if one of `any`, `regex`, `fuzzy`, `bm25` or `ngram` is found (where one
    of these is given), and each of `all`, and none of `none`."""

    any: tuple[Word, ...] = Field((), description="words or phrases of which one must be found, as whole words")
    all: tuple[Word, ...] = Field((), description="words or phrases that must all be found")
    none: tuple[Word, ...] = Field((), description="words or phrases of which none may be found")
    regex: tuple[Pattern, ...] = Field((), description="RE2 patterns of which one must be found; no look-around")
    fuzzy: tuple[Word, ...] = Field((), description="like `any`, but typing errors are forgiven")
    threshold: float = Field(
        0.8, gt=0, le=1, description="similarity from which a fuzzy word counts: 1 minus edits per letter"
    )
    bm25: tuple[Word, ...] = Field(
        (), description="like `any`, but a shared stem is enough: deploying for deployment; English"
    )
    bm25_threshold: float = Field(
        0.1, gt=0, description="BM25 score from which a keyword counts, the text as the query"
    )
    ngram: tuple[Word, ...] = Field(
        (), description="like `any`, but shared letters are enough: kubernets for kubernetes"
    )
    ngram_threshold: float = Field(0.4, gt=0, le=1, description="share of letter groups from which a keyword counts")
    ngram_arity: int = Field(3, ge=2, le=8, description="letters in a group")
    case_sensitive: bool = Field(False, description="whether capitals matter; not to bm25")
    scope: Scope = Field("user", description="which text is read: user, last, given, system, conversation or all")

    @model_validator(mode="after")
    def _something(self) -> "Params":
        if not (self.any or self.all or self.none or self.regex or self.fuzzy or self.bm25 or self.ngram):
            raise ValueError("a keyword signal needs at least one of any, all, none, regex, fuzzy, bm25 and ngram")
        if lost := next((word for word in self.bm25 if not stems(word)), None):
            raise ValueError(f"bm25 cannot find {lost!r}: nothing of it is left without stop words; list it under any")
        return self


def build(params: Params, tools: Tools) -> Evaluate:
    """The signal's value is the words and patterns found (as the policy writes them), `count` how many they are.

    Its confidence is 1, or the best similarity where nothing but fuzzy or n-gram words was found.
    """
    case, scope = params.case_sensitive, params.scope
    some = Words(params.any, case_sensitive=case) if params.any else None
    every = [Words([word], case_sensitive=case) for word in params.all]
    no = Words(params.none, case_sensitive=case) if params.none else None
    patterns = [(pattern, regex(pattern, case_sensitive=case)) for pattern in params.regex]
    scored = _scored(params) if params.bm25 else None
    similar = [make(params) for make, given in ((_fuzzy, params.fuzzy), (_ngram, params.ngram)) if given]
    asked = some is not None or bool(patterns) or scored is not None or bool(similar)

    def evaluate(prompt: Prompt) -> Signal:
        data = prompt.data(scope)
        if no is not None and no.search(data):
            return Signal(False, value=(), count=0)
        if every and not all(word.search(data) for word in every):
            return Signal(False, value=(), count=0)
        found = some.found(data) if some is not None else ()
        if patterns:
            found += tuple(pattern for pattern, compiled in patterns if compiled.search(data) is not None)
        if scored is not None:
            found += tuple(word for word in scored(prompt) if word not in found)
        confidence = 1.0
        for near in similar:
            words = near(prompt)
            if words and not found:
                confidence = max(words.values())
            found += tuple(word for word in words if word not in found)
        matched = bool(found) or not asked
        if matched:
            found += params.all
        return Signal(matched, value=found, confidence=confidence, count=len(found))

    return evaluate


def _words(prompt: Prompt, scope: Scope, case_sensitive: bool) -> list[str]:
    text = prompt.text(scope)
    return prompt.memo(("keyword", scope, case_sensitive), lambda: pieces(text if case_sensitive else text.casefold()))


def _fuzzy(params: Params) -> Similar:
    """Words of `fuzzy` that are in a prompt, up to typing errors, each with its similarity.

    A word is compared with every word of the text, a phrase of k words with every run of k: optimal string alignment
    (insert, delete, replace, swap neighbours; Boytsov 2011) over the longer one's length.
    """
    case, scope = params.case_sensitive, params.scope
    wanted = []
    for word in params.fuzzy:
        parts = pieces(word if case else word.casefold()) or [word]
        wanted.append((word, " ".join(parts), len(parts)))
    lengths = tuple(sorted({length for _, _, length in wanted}))

    def similar(prompt: Prompt) -> dict[str, float]:
        words = _words(prompt, scope, case)
        text = prompt.memo(("keyword", scope, case, lengths), lambda: runs(words, lengths))
        best: dict[str, float] = {}
        for word, key, length in wanted:
            found: Any = extractOne(
                key, text[length], scorer=OSA.normalized_similarity, processor=None, score_cutoff=params.threshold
            )
            if found is not None:
                best[word] = float(found[1])
        return best

    return similar


def _ngram(params: Params) -> Similar:
    """Words of `ngram` that a prompt's words share enough letters with, each with its similarity."""
    case, scope = params.case_sensitive, params.scope
    given = {word if case else word.casefold(): word for word in params.ngram}
    grams = NGrams(list(given), arity=params.ngram_arity, threshold=params.ngram_threshold)

    def similar(prompt: Prompt) -> dict[str, float]:
        words = _words(prompt, scope, case)
        text = prompt.memo(("keyword", scope, case, grams.lengths), lambda: runs(words, grams.lengths))
        return {given[word]: similarity for word, similarity in grams.similar(text).items()}

    return similar


def _scored(params: Params) -> Callable[[Prompt], tuple[str, ...]]:
    """Words of `bm25` whose score by a prompt is high enough."""
    bm25, scope, threshold = BM25(params.bm25), params.scope, params.bm25_threshold

    def scored(prompt: Prompt) -> tuple[str, ...]:
        text = prompt.memo(("keyword", "stems", scope), lambda: stems(prompt.text(scope)))
        return tuple(word for word, score in bm25.scores(text).items() if score >= threshold)

    return scored
