"""A question read: what it asks for, and its content words with the preposition and the negation that each stands under.

Knows where words stand, not which may stand for each other (`lexicon.py`), and compares nothing.
"""

import re
from dataclasses import dataclass, replace

from orchestrator.wording.frames import framed
from orchestrator.wording.lexicon import Lexicon
from orchestrator.wording.words import Plain, plain

_AUX_NOW = frozenset("is are am do does has have be been being".split())  # noqa: SIM905
_AUX_PAST = frozenset("was were did had".split())  # noqa: SIM905
_MODALS = {
    "can": "can",
    "could": "can",
    "may": "can",
    "might": "can",
    "should": "should",
    "ought": "should",
    "must": "must",
    "will": "will",
    "shall": "will",
    "would": "",
}
_FIRST = frozenset("i me my mine myself we us our ours".split())  # noqa: SIM905
_SECOND = frozenset("you your yours yourself".split())  # noqa: SIM905
_MINE = re.compile(r"\b(?:my|mine|our|ours|myself|am i|i am|are we|we are)\b")
_YOURS = re.compile(r"\b(?:your|yours|yourself|are you|you are)\b")
_EMPTY = frozenset("a an the it its this that these those one there which and as 's some any so such".split())  # noqa: SIM905
_ROLES = {
    "to": "to",
    "into": "to",
    "onto": "in",
    "from": "from",
    "by": "by",
    "for": "for",
    "with": "with",
    "of": "of",
    "in": "in",
    "on": "in",
    "at": "in",
    "about": "of",
    "'s": "'s",
    "during": "in",
    "throughout": "in",
    "between": "between",
    "among": "between",
    "via": "with",
    "using": "with",
}
_PLACES = frozenset(
    """before after since until till despite over under above below against except than like per within behind
    through across around along off up down out away back inside outside beyond near while when if unless because
    although whether or vs versus instead without""".split()  # noqa: SIM905
)
"""Little words that say much: they count as content, and what follows stands under them."""
_NOT = frozenset("not no never none nothing nobody neither nor without non".split())  # noqa: SIM905
_ASKING = frozenset("what how why when where who whom whose which please".split())  # noqa: SIM905
_PARTICLES = frozenset("on off up down out in back away".split())  # noqa: SIM905


@dataclass(frozen=True, slots=True)
class Token:
    """A content word: the words it may be a form of, and what it stands under."""

    said: str
    lemmas: frozenset[str]
    role: str = ""
    negated: bool = False
    exact: bool = False
    linked: bool = False
    """Joined to the word before by "and", "or" or "vs"."""


@dataclass(frozen=True, slots=True)
class Question:
    """What is asked for (`ask`), of what (`tokens`), when (past, now, will or unknown), and of whom."""

    ask: str
    tokens: tuple[Token, ...]
    tense: str
    modals: frozenset[str]
    person: str
    negated: bool
    line: str
    known: bool
    """Whether enough of it is English that its little words may be skipped."""


def read(text: str, lexicon: Lexicon) -> Question:
    """The text as a question. Never raises; linear in the text."""
    written = plain(_unfronted(text))
    ask, rest = framed(written.line)
    words = _joined(rest.split(), lexicon)
    tokens, apart = _tokens(words, written, lexicon)
    asked = written.line.split()
    strange = sum(word.isalpha() and not _english(word, lexicon) for word in asked)
    return Question(
        ask=ask,
        tokens=tuple(tokens),
        tense=_tense(asked),
        modals=frozenset(_MODALS[word] for word in words if word in _MODALS) - {""},
        person=_person(written.line),
        negated=apart,
        line=written.line,
        known=strange <= max(2, 0.4 * len(asked)),
    )


_FRONTED = re.compile(
    r"\s*((?:in|on|at|for|with|using|when|if|after|before) [^,?.!:;]{1,40}), (.{4,})", re.IGNORECASE | re.DOTALL
)
_TOPIC = re.compile(r"\s*([\w+#.]{1,20}): (.{4,})", re.DOTALL)


def _unfronted(text: str) -> str:
    """The text with what is put before the question ("In Python, how …") after it."""
    if (found := _FRONTED.fullmatch(text)) is not None:
        return f"{found[2].rstrip(' ?.!')} {found[1]}"
    if (found := _TOPIC.fullmatch(text)) is not None:
        return f"{found[2].rstrip(' ?.!')} in {found[1]}"
    return text


def _english(word: str, lexicon: Lexicon) -> bool:
    little = word in _LITTLE or word in _ROLES or word in _PLACES or word in _NOT or word in _ASKING
    return little or (word.isascii() and not lexicon.known.isdisjoint(lexicon.lemmas(word)))


def _tense(words: list[str]) -> str:
    if not {"reason", "reasons", "cause", "causes"}.isdisjoint(words):
        words = [word for word in words if word not in ("is", "are")]
    if not {"take", "cost", "charge"}.isdisjoint(words):
        words = [word for word in words if word != "will"]
    if "will" in words or ("going" in words[1:] and "to" in words):
        return "will"
    if not _AUX_PAST.isdisjoint(words):
        return "past"
    return "now" if not _AUX_NOW.isdisjoint(words) else ""


def _person(line: str) -> str:
    """Whose the question is: "my" and "your" are two things, "I" and "you" for anybody are one."""
    mine, yours = _MINE.search(line), _YOURS.search(line)
    return "my" if mine and not yours else "your" if yours and not mine else ""


def _joined(words: list[str], lexicon: Lexicon) -> list[str]:
    """The words with each phrase of the lexicon made one, "turn it off" as well as "turn off it"."""
    out: list[str] = []
    words = list(words)
    at = 0
    while at < len(words):
        phrase = ""
        for first in sorted(lexicon.lemmas(words[at])):
            for parts in lexicon.phrases(first):
                end = at + len(parts)
                if end <= len(words) and all(
                    part in lexicon.lemmas(word) for part, word in zip(parts[1:], words[at + 1 : end], strict=True)
                ):
                    phrase = "_".join(parts)
                    break
            if phrase:
                at = end
                break
            for apart in range(at + 2, min(at + 7, len(words))):
                particle = words[apart]
                follows = words[apart + 1 : apart + 2]
                if (
                    particle in _PARTICLES
                    and lexicon.is_phrase(f"{first}_{particle}")
                    and (not follows or follows[0] in _ROLES)
                ):
                    phrase = f"{first}_{particle}"
                    del words[apart]
                    at += 1
                    break
            if phrase:
                break
        if phrase:
            out.append(phrase)
        else:
            out.append(words[at])
            at += 1
    return out


def _tokens(words: list[str], written: Plain, lexicon: Lexicon) -> tuple[list[Token], bool]:
    """The content words, and whether the whole is negated: "why does it not work" rather than "not in Rome"."""
    tokens: list[Token] = []
    role, negated, linked, apart, under = "", False, False, False, False
    for at, word in enumerate(words):
        following = words[at + 1] if at + 1 < len(words) else ""
        if word in _NOT and word != "without":
            if word == "never" or word in ("nothing", "nobody", "none"):
                tokens.append(Token("never" if word == "never" else "none", frozenset(("not",)), role))
            if not tokens and at <= 1 and word == "not":
                apart = True
            else:
                negated = True
            continue
        if word in _PLACES:
            role = word
            linked = linked or word in ("or", "vs", "versus")
            tokens.append(Token(word, lexicon.lemmas(word), ""))
            continue
        if word in _ROLES:
            infinitive = word == "to" and lexicon.verb(lexicon.lemmas(following))
            if word == "'s" and tokens:
                tokens[-1] = replace(tokens[-1], role="of")
            role, under = "" if infinitive or word == "'s" else _ROLES[word], False
            continue
        if word == "and":
            linked = True
            continue
        if word in ("do", "doing", "done") and at and (not following or words[at - 1] in _DOERS):
            tokens.append(Token(word, frozenset(("do",)), role, negated))
            negated = False
            continue
        if word in _LITTLE:
            if word in _AUX_NOW or word in _AUX_PAST or word in _MODALS or (under and word in _OPENING):
                role, under = "", False
            continue
        if word.startswith("\x01"):
            said = written.kept[int(word[1:])]
            token = Token(said, frozenset((said,)), role, negated, True, linked)
        else:
            token = Token(word, lexicon.lemmas(word), role, negated, False, linked)
        tokens.append(token)
        negated = linked = False
        under = bool(role)
    if (role in ("to", "from", "by") and not under) or words[-1:] in (["at"], ["for"], ["with"], ["about"]):
        tokens.append(Token(role, frozenset((f"{words[-1]}_what",))))
    if negated:
        tokens.append(Token("not", frozenset(("not",))))
    return tokens, apart


_DOERS = frozenset("to i you we they he she one".split())  # noqa: SIM905
"""Words after which "do" is what somebody does: "what do you do", "things to do"."""
_OPENING = frozenset("a an the my your our".split())  # noqa: SIM905
_LITTLE = _AUX_NOW | _AUX_PAST | frozenset(_MODALS) | _FIRST | _SECOND | _EMPTY
