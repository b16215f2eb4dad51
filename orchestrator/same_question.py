"""Whether two questions that lie near each other in meaning ask the same: no embedding can tell "enable" from "disable".

Pure and strict: whatever is not known to say the same is taken for a difference, as a wrong answer out of a cache costs more
than a call. Both must ask for one kind of thing in one tense; each content word of one must stand for one of the other, under
the same negation, in the same role and in an order that means the same; numbers, names, quotes, code and addresses must be
equal. Texts of other languages than English must have the same words in the same order.
"""

import re
from functools import lru_cache

from orchestrator.wording.lexicon import Lexicon, lexicon
from orchestrator.wording.question import Question, Token, read

MOST_CHARACTERS = 400
"""Of a question that is read; longer ones, mostly pasted material, must be the same but for white space."""

_UNIT = re.compile(r"\b(?:what|which|the) (?:exact )?(year|date|day|time)\b")
_LOOSE = frozenset(("of", "for", "in", "with"))
"""Prepositions that a compound leaves out: "list in Python" is a "Python list"."""
_LIKE = {"for": "of", "in": "of"}
"""What a thing may as well be said to be: "screen time for kids" is "kids' screen time"."""
_STRICT_ROLES = frozenset(("to", "from", "by"))


def difference(one: str, other: str) -> str | None:
    """In what two questions differ, in a few words; None where they ask the same. Takes well under a millisecond."""
    if max(len(one), len(other)) > MOST_CHARACTERS:
        return None if one.split() == other.split() else "they are long and worded differently"
    a, b = map(_read, sorted((one, other)))  # sorted, so that the order of the two does not matter
    if a.line == b.line and all(x.lemmas == y.lemmas for x, y in zip(a.tokens, b.tokens, strict=True) if x.exact):
        return None
    if not (a.known and b.known):
        return "they are worded differently, in words of no known language"
    if not (a.tokens and b.tokens):
        return "one of them says nothing to compare"
    return _framing(a, b) or _wording(a, b, lexicon())


@lru_cache(maxsize=2048)
def _read(text: str) -> Question:
    return read(text, lexicon())


def _framing(a: Question, b: Question) -> str | None:
    if a.ask != b.ask and _asked(a).isdisjoint(_asked(b)):
        return f"one asks {a.ask or 'for a thing'}, the other {b.ask or 'for a thing'}"
    units = {found[1] for q in (a, b) if q.ask == "when" and (found := _UNIT.search(q.line)) is not None}
    if len(units) > 1 and units != {"date", "day"}:
        return f"one asks for the {min(units)}, the other for the {max(units)}"
    tenses = {a.tense, b.tense} - {""}
    if len(tenses) > 1 and not (a.ask in ("how", "when") and "past" not in tenses):
        return f"one is about {a.tense}, the other about {b.tense}"
    modals = (a.modals ^ b.modals) - {"will"}
    free = "must" not in modals and not (a.modals and b.modals) and not {a.ask, b.ask} & {"?", "why", ""}
    if modals and not free and not (a.ask == "how" and "must" not in modals):
        return f"only one says {min(modals)}"
    if a.person and b.person and a.person != b.person and a.ask != "how":
        return "one is about you, the other about me"
    return None


def _asked(question: Question) -> frozenset[str]:
    """The kinds of answer that would do; a mere phrase ("renew passport", "capital of France") leaves them open."""
    return frozenset(question.ask.split() or ("", "how", "what"))


def _wording(a: Question, b: Question, words: Lexicon) -> str | None:
    pairs, alone, lonely = _paired(a.tokens, b.tokens, words)
    alone, lonely = ([t for t in left if t.exact or t.negated or not _skipped(t, words)] for left in (alone, lonely))
    said = not (alone and lonely) and any(_is_said(q, t, words) for q, left in ((a, alone), (b, lonely)) for t in left)
    if (left := alone or lonely) and (said or not _bearable(alone, lonely, words)):
        pair = next(((x, y) for x in alone for y in lonely if words.opposed(x.lemmas, y.lemmas)), None)
        return f"{pair[0].said} is not {pair[1].said}" if pair else f"only one says {left[0].said}"
    if not pairs:
        return "they share no word"
    negations = [sum(t.negated for t in q.tokens) + q.negated for q in (a, b)]
    if negations[0] != negations[1]:
        return "only one says not"
    if not (a.negated or b.negated):
        for x, y in pairs:
            if a.tokens[x].negated != b.tokens[y].negated:
                return f"only one says not {a.tokens[x].said}"
    return _roles(a, b, pairs, words) or _order(a, b, pairs, words)


def _skipped(token: Token, words: Lexicon) -> bool:
    return not words.idle.isdisjoint(token.lemmas)


def _is_said(question: Question, token: Token, words: Lexicon) -> bool:
    """Whether a word is the verb of "what does a bank offer": without it another thing is asked, however light it is."""
    asks = question.ask in ("what", "who", "") and not {"do", "does", "did"}.isdisjoint(question.line.split())
    return asks and words.verb(token.lemmas)


def _bearable(alone: list[Token], lonely: list[Token], words: Lexicon) -> bool:
    """Whether the words that found none to stand for weigh so little that the questions still ask the same."""
    if any(t.exact or t.negated for t in (*alone, *lonely)):
        return False
    if any(words.opposed(x.lemmas, y.lemmas) for x in alone for y in lonely):
        return False
    rest, others = list(alone), list(lonely)
    for x in alone:
        like = next((y for y in others if words.alike(x.lemmas, y.lemmas)), None)
        if like is not None:
            rest.remove(x)
            others.remove(like)
    left = rest or others
    return not (rest and others) and len(left) <= 2 and all(_light(t, words) for t in left)


def _light(token: Token, words: Lexicon) -> bool:
    return not words.light.isdisjoint(token.lemmas) and words.strict.isdisjoint(token.lemmas)


def _paired(
    one: tuple[Token, ...], other: tuple[Token, ...], words: Lexicon
) -> tuple[list[tuple[int, int]], list[Token], list[Token]]:
    """Which tokens stand for each other (the same words first), and those left alone on either side."""
    free = list(range(len(other)))
    found: dict[int, int] = {}
    for same in (_formed, words.same):
        for x, token in enumerate(one):
            if x in found:
                continue
            for y in sorted(free, key=lambda y, x=x: abs(x - y)):  # type: ignore[misc]
                exact = token.exact or other[y].exact
                if token.lemmas == other[y].lemmas if exact else same(token.lemmas, other[y].lemmas):
                    found[x] = y
                    free.remove(y)
                    break
    alone = [token for x, token in enumerate(one) if x not in found]
    return sorted(found.items()), alone, [other[y] for y in free]


def _formed(one: frozenset[str], other: frozenset[str]) -> bool:
    return not one.isdisjoint(other)


def _roles(a: Question, b: Question, pairs: list[tuple[int, int]], words: Lexicon) -> str | None:
    if any("distance" in t.lemmas or "how_far" in t.lemmas for t in (*a.tokens, *b.tokens)):
        return None
    changed = {(a.tokens[x].role, b.tokens[y].role) for x, y in pairs if a.tokens[x].role != b.tokens[y].role}
    crossed = next((pair for pair in changed if pair[::-1] in changed), None)
    if crossed is not None:
        return f"what stands under {crossed[0] or 'nothing'} in one stands under {crossed[1] or 'nothing'} in the other"
    for x, y in pairs:
        one, other = a.tokens[x].role, b.tokens[y].role
        if one != other and (one in _STRICT_ROLES or other in _STRICT_ROLES):
            loose = {one, other} - _STRICT_ROLES
            if loose and {one, other} & {"from"} and _before_to(a, b):
                continue
            return f"{a.tokens[x].said} stands under {one or 'nothing'} in one, under {other or 'nothing'} in the other"
    return None


def _before_to(a: Question, b: Question) -> bool:
    """Whether both say "to" something: then "from" may be left out."""
    return all(any(token.role == "to" for token in q.tokens) for q in (a, b))


def _order(a: Question, b: Question, pairs: list[tuple[int, int]], words: Lexicon) -> str | None:
    for i, (x, y) in enumerate(pairs):
        for v, w in pairs[i + 1 :]:
            if (
                y > w
                and not _titled(a, b, (x, v), (y, w), words)
                and not _moved(a, x, v, words)
                and not _may_swap(a.tokens, x, v, b.tokens, y, w, words)
            ):
                return f"{a.tokens[x].said} and {a.tokens[v].said} stand in another order"
    return None


def _may_swap(one: tuple[Token, ...], x: int, v: int, other: tuple[Token, ...], y: int, w: int, words: Lexicon) -> bool:
    """Whether words x before v in one question, and w before y in the other, mean the same there.

    They do where "and" or "or" joins them, where one is "of" the other ("price of tea", "tea price"), where both times one
    stands under the same preposition ("in France, who …"), and for an adverb, or an adjective made of one, next to its word.
    """
    a, b, c, d = one[x], one[v], other[y], other[w]
    if all(any(t.linked for t in line[lo + 1 : hi + 1]) for line, lo, hi in ((one, x, v), (other, w, y))):
        return True
    ra, rb, rc, rd = (_LIKE.get(token.role, token.role) for token in (a, b, c, d))
    if ra != rb and ((rb and rb == rd) or (ra and ra == rc)):
        return True
    if (a.role == c.role and _compound(b, d)) or (b.role == d.role and _compound(a, c)):
        return True
    return v - x == 1 and y - w == 1 and any(_manner(t, words) for t in (a, b, c, d))


def _moved(question: Question, x: int, v: int, words: Lexicon) -> bool:
    """Whether one of two words is an adjective, or a verb of a question whose subject is plain: those may stand elsewhere."""
    kinds = ["n" if words.noun(question.tokens[at].lemmas) else words.kind(question.tokens[at].lemmas) for at in (x, v)]
    if kinds[0] == kinds[1]:
        return False
    return "a" in kinds or ("v" in kinds and question.ask in ("how", "where how", "when", "?"))


def _titled(a: Question, b: Question, one: tuple[int, int], other: tuple[int, int], words: Lexicon) -> bool:
    """Whether a verb and its thing stand side by side, turned in a question that is a mere title ("password reset")."""
    if a.ask and b.ask and "how" not in (a.ask, b.ask):
        return False
    (x, v), (y, w) = one, other
    if v - x != 1 or y - w != 1 or "what" in a.ask + b.ask:
        return False
    verbs = [words.verb(a.tokens[at].lemmas) for at in one]
    return verbs[0] != verbs[1] and not any(t.role in _STRICT_ROLES for t in (a.tokens[x], a.tokens[v]))


def _compound(one: Token, other: Token) -> bool:
    """Whether a word stands under a preposition in one question that a compound leaves out in the other."""
    return (not one.role and other.role in _LOOSE) or (not other.role and one.role in _LOOSE)


def _manner(token: Token, words: Lexicon) -> bool:
    return token.said.endswith("ly") and words.pos(token.said).startswith("r")
