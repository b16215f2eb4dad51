"""Which words may stand for each other in a question, and which never do. Knows words, no sentences.

From two lists beside this file: `words.yaml`, made by hand for what people ask machines, and `wordnet.tsv.gz`, the first
senses of WordNet. A pair that the first calls opposite is never the same, whatever the second says.
"""

import gzip
import re
from collections import defaultdict
from functools import lru_cache
from pathlib import Path

import yaml
from rapidfuzz.distance import OSA

_HERE = Path(__file__).parent
_NOUN = (("ies", "y"), ("ses", "s"), ("xes", "x"), ("zes", "z"), ("ches", "ch"), ("shes", "sh"), ("s", ""))
_VERB = (
    ("ies", "y"),
    ("es", "e"),
    ("es", ""),
    ("s", ""),
    ("ied", "y"),
    ("ed", "e"),
    ("ed", ""),
    ("ing", "e"),
    ("ing", ""),
)
_DEGREES = (("iest", "y"), ("est", "e"), ("est", ""), ("ier", "y"), ("er", "e"), ("er", ""))
_BRITISH = re.compile(r"(?<=[iy])s(?=(?:e|es|ed|ing|ation|ations)$)")
_DOUBLED = re.compile(r"([bdfgklmnprtz])\1(?:est|er|ed|ing)$")


class Lexicon:
    """Both lists, read. Blocks for a tenth of a second; use `lexicon()`."""

    def __init__(self) -> None:
        self._pos: dict[str, str] = {}
        self._near: dict[str, tuple[str, ...]] = {}
        self._wide: dict[str, frozenset[str]] = {}
        self._against: dict[str, frozenset[str]] = {}
        self._irregular: dict[str, list[str]] = defaultdict(list)
        for line in gzip.decompress((_HERE / "wordnet.tsv.gz").read_bytes()).decode().splitlines()[1:]:
            word, *fields = line.split("\t")
            if fields[0].startswith("="):
                self._irregular[word].append(fields[0][1:])
            else:
                self._pos[word] = fields[0]
                self._near[word] = (*fields[1].split(), *fields[2].split())
                self._wide[word] = frozenset(fields[3].split())
                self._against[word] = frozenset(fields[4].split())
        written = yaml.safe_load((_HERE / "words.yaml").read_text(encoding="utf-8"))
        self._groups: dict[str, set[int]] = defaultdict(set)
        for number, line in enumerate(written["same"].splitlines()):
            for word in line.split():
                self._groups[word].add(number)
        self._sides: dict[str, dict[int, int]] = defaultdict(dict)
        lines = [line.split("/") for line in written["opposite"].splitlines()]
        lines += [line.split() for line in written["one_of"].splitlines()]
        for number, sides in enumerate(lines):
            for side, words in enumerate(sides):
                for word in words.split():
                    self._sides[word][number] = side
        self.idle = frozenset(written["idle"].split())
        self.light = frozenset(written["light"].split())
        self.strict = frozenset(written["strict"].split())
        self._phrases: dict[str, list[tuple[str, ...]]] = defaultdict(list)
        for word in (*self._groups, *self._sides):
            first, *rest = word.split("_")
            if rest:
                self._phrases[first].append((first, *rest))
        for phrases in self._phrases.values():
            phrases.sort(key=len, reverse=True)
        self.known = frozenset(self._pos) | frozenset(self._groups)

    def phrases(self, first: str) -> list[tuple[str, ...]]:
        """The phrases that begin with this lemma, the longest first."""
        return self._phrases.get(first, [])

    def is_phrase(self, word: str) -> bool:
        return word in self._groups or word in self._sides

    def verb(self, lemmas: frozenset[str]) -> bool:
        """Whether a word is a verb more often than anything else."""
        return any(self._pos.get(lemma, "").startswith("v") for lemma in lemmas)

    def kind(self, lemmas: frozenset[str]) -> str:
        """What a word is most often: n, v, a or r; a superlative is an adjective, an unknown word a noun."""
        if any(lemma.startswith("st:") for lemma in lemmas):
            return "a"
        poses = {self._pos[lemma][0] for lemma in lemmas if lemma in self._pos}
        return "v" if "v" in poses else "a" if poses == {"a"} else "r" if poses == {"r"} else "n"

    def noun(self, lemmas: frozenset[str]) -> bool:
        """Whether a word may be a noun: a judge may judge, but is no mere verb."""
        if any(lemma.startswith("st:") for lemma in lemmas):
            return False
        return any("n" in self._pos.get(lemma, "n") for lemma in lemmas)

    def pos(self, word: str) -> str:
        return self._pos.get(word, "")

    @lru_cache(maxsize=20_000)  # noqa: B019 the one lexicon lives as long as the process
    def lemmas(self, word: str) -> frozenset[str]:
        """The words of which this may be a form, itself included; degrees of an adjective keep their degree."""
        found = {word, *self._irregular.get(word, ())}
        if _BRITISH.search(word):
            found.add(_BRITISH.sub("z", word))
        for ends, classes in ((_NOUN, "n"), (_VERB, "v")):
            for end, base in ends:
                if word.endswith(end) and self._is(stem := word[: -len(end)] + base, classes):
                    found.add(stem)
        single = _DOUBLED.sub(r"\1", word)
        if single != word and self._is(single, "v"):
            found.add(single)
        for end, base in _DEGREES:
            if word.endswith(end):
                for stem in (word[: -len(end)] + base, single):
                    if (
                        "a" in (self._pos.get(stem, "")[:1] if end[-1] == "r" else self._pos.get(stem, ""))
                        or stem == "fast"
                    ):
                        found.add(f"{end[-2:]}:{stem}")
        if len(found) == 1 and word not in self._pos and len(word) > 5 and word[-1] == "s" and word[-2] not in "sui":
            found.add(word[:-1])
        return frozenset(found)

    def _is(self, word: str, pos: str) -> bool:
        return pos in self._pos.get(word, "")

    @lru_cache(maxsize=20_000)  # noqa: B019
    def near(self, lemmas: frozenset[str]) -> frozenset[str]:
        """The words that WordNet gives for these, each of its degree, and these."""
        found = set(lemmas)
        for lemma in lemmas:
            degree, colon, base = lemma.rpartition(":")
            found.update(degree + colon + other for other in self._near.get(base, ()))
        return frozenset(found)

    @lru_cache(maxsize=20_000)  # noqa: B019
    def _meanings(self, lemmas: frozenset[str]) -> frozenset[int]:
        return frozenset(number for lemma in lemmas for number in self._groups.get(lemma, ()))

    def opposed(self, one: frozenset[str], other: frozenset[str]) -> bool:
        """Whether two words are known to exclude each other."""
        for a in one:
            if not other.isdisjoint(self._against.get(a, ())):
                return True
            sides = self._sides.get(a)
            if sides:
                for b in other:
                    for number, side in self._sides.get(b, {}).items():
                        if sides.get(number, side) != side:
                            return True
        return False

    def same(self, one: frozenset[str], other: frozenset[str]) -> bool:
        """Whether one word may stand for the other."""
        if not one.isdisjoint(other):
            return True
        if self.opposed(one, other):
            return False
        if self._misspelt(one, other) or self._misspelt(other, one):
            return True
        return not (
            self._meanings(one).isdisjoint(self._meanings(other))
            and self.near(one).isdisjoint(other)
            and self.near(other).isdisjoint(one)
        )

    def _misspelt(self, one: frozenset[str], other: frozenset[str]) -> bool:
        """Whether `one` is no word at all, and one letter from `other`, which is."""
        if len(one) > 1 or not one.isdisjoint(self.known):
            return False
        (said,) = one
        return (
            said.isalpha()
            and len(said) > 5
            and any(
                lemma[0] == said[0] and lemma in self.known and OSA.distance(said, lemma, score_cutoff=1) <= 1
                for lemma in other
            )
        )

    def alike(self, one: frozenset[str], other: frozenset[str]) -> bool:
        """Whether one word may stand for the other in some rarer sense: of two questions in which nothing else differs."""
        if self.opposed(one, other):
            return False
        return any(not other.isdisjoint(self._wide.get(lemma, ())) for lemma in one)


@lru_cache(maxsize=1)
def lexicon() -> Lexicon:
    """The one lexicon, read at the first call."""
    return Lexicon()
