"""Words that mean a keyword though they are not it: by their stems, weighted as BM25 does, or by shared letters.

Knows nothing of signals. Both follow what vLLM Semantic Router's `bm25` and `ngram` rules do: there the keywords are
the documents and the text is the query.
"""

import math
import re
from collections import Counter
from collections.abc import Sequence
from functools import lru_cache
from typing import Any

MAX_WORDS = 20_000
"""Different words of one text that are looked at, from its start."""

_WORDS = re.compile(
    "[\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff]|[^\\W_\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff]+"
)
_STOPWORDS = frozenset(
    """i me my myself we our ours ourselves you your yours yourself yourselves he him his himself she her hers herself
    it its itself they them their theirs themselves what which who whom this that these those am is are was were be been
    being have has had having do does did doing a an the and but if or because as until while of at by for with about
    against between into through during before after above below to from up down in out on off over under again further
    then once here there when where why how all any both each few more most other some such no nor not only own same so
    than too very s t can will just don should now""".split()  # noqa: SIM905
)


@lru_cache(maxsize=1)
def _stemmer() -> Any:
    import snowballstemmer

    return snowballstemmer.stemmer("english")


@lru_cache(maxsize=1 << 14)
def _stem(word: str) -> str:
    return str(_stemmer().stemWord(word.casefold()))


def stems(text: str) -> list[str]:
    """The stems of a text's words in their order, English stop words left out; Chinese and Japanese by character."""
    return [_stem(word) for word in _WORDS.findall(text) if word.casefold() not in _STOPWORDS]


def rarity(documents: int, holding: int) -> float:
    """The inverse document frequency of a stem that `holding` of so many documents hold; never negative."""
    return math.log(1 + (documents - holding + 0.5) / (holding + 0.5))


def weights(
    documents: Sequence[Counter[str]], *, k1: float = 1.2, b: float = 0.75
) -> dict[str, list[tuple[int, float]]]:
    """BM25's weights of documents given as counted stems: of each stem the documents that hold it, by their places.

    Source: Robertson and Zaragoza, The Probabilistic Relevance Framework (2009), with `rarity` as the inverse document
    frequency.
    """
    lengths = [document.total() for document in documents]
    mean = sum(lengths) / len(lengths) or 1.0
    known = Counter(stem for document in documents for stem in document)
    found: dict[str, list[tuple[int, float]]] = {}
    for i, document in enumerate(documents):
        for stem, times in document.items():
            weight = (
                rarity(len(documents), known[stem]) * times * (k1 + 1) / (times + k1 * (1 - b + b * lengths[i] / mean))
            )
            found.setdefault(stem, []).append((i, weight))
    return found


class BM25:
    """Keywords and phrases as documents, scored by a text."""

    def __init__(self, keywords: Sequence[str], *, k1: float = 1.2, b: float = 0.75) -> None:
        self._keywords = tuple(keywords)
        self._weights = weights([Counter(stems(keyword)) for keyword in keywords], k1=k1, b=b)

    def scores(self, text_stems: Sequence[str]) -> dict[str, float]:
        """The score of every keyword that shares a stem with the text, in the keywords' order; 0 and more."""
        found = [0.0] * len(self._keywords)
        for stem in dict.fromkeys(text_stems):
            for i, weight in self._weights.get(stem, ()):
                found[i] += weight
        return {keyword: score for keyword, score in zip(self._keywords, found, strict=True) if score > 0}


class NGrams:
    """Keywords compared with each word of a text, phrases of k words with each run of k, by the letters they share.

    The similarity of two texts is 1 - (1 - s)², where s is the share of their character n-grams (padded at both ends)
    that both have: Kondrak's n-gram similarity (2005) with the warp of the crate ngrammatic, which vLLM Semantic Router
    uses.
    """

    def __init__(self, keywords: Sequence[str], *, arity: int = 3, threshold: float = 0.4) -> None:
        self.threshold, self._arity = threshold, arity
        self._keywords = tuple(keywords)
        grams = [self._grams(" ".join(pieces(keyword)) or keyword) for keyword in keywords]
        self._totals = [own.total() for own in grams]
        self._index: dict[int, dict[str, list[tuple[int, int]]]] = {}
        for i, (keyword, own) in enumerate(zip(keywords, grams, strict=True)):
            of_length = self._index.setdefault(len(pieces(keyword)) or 1, {})
            for gram, times in own.items():
                of_length.setdefault(gram, []).append((i, times))
        self.lengths = tuple(sorted(self._index))

    def similar(self, runs: dict[int, list[str]]) -> dict[str, float]:
        """The keywords that are near enough to a run of words of the text, each with its best similarity."""
        best = [0.0] * len(self._keywords)
        for length, index in self._index.items():
            for run in runs.get(length, ()):
                self._compare(run, index, best)
        near = zip(self._keywords, best, strict=True)
        return {keyword: similarity for keyword, similarity in near if similarity >= self.threshold}

    def _compare(self, run: str, index: dict[str, list[tuple[int, int]]], best: list[float]) -> None:
        """Raise `best` to a run's similarity where that is greater. Only keywords that share letters are looked at."""
        shared: dict[int, int] = {}
        grams = self._grams(run)
        for gram, times in grams.items():
            for i, own in index.get(gram, ()):
                shared[i] = shared.get(i, 0) + min(times, own)
        for i, both in shared.items():
            every = self._totals[i] + grams.total() - both
            best[i] = max(best[i], 1.0 - (1.0 - both / every) ** 2)

    def _grams(self, text: str) -> Counter[str]:
        pad = " " * (self._arity - 1)
        padded = f"{pad}{text}{pad}"
        return Counter(padded[i : i + self._arity] for i in range(len(padded) - self._arity + 1))


def pieces(text: str) -> list[str]:
    """The words of a text, as fuzzy and n-gram matching see them."""
    return re.findall(r"\w+", text)


def runs(words: Sequence[str], lengths: Sequence[int]) -> dict[int, list[str]]:
    """Every run of so many words, once, for each of the lengths."""
    return {k: _runs(words, k) for k in lengths}


def _runs(words: Sequence[str], k: int) -> list[str]:
    joined = words if k == 1 else [" ".join(words[i : i + k]) for i in range(len(words) - k + 1)]
    return list(dict.fromkeys(joined))[:MAX_WORDS]
