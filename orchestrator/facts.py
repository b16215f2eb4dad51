"""What users say of themselves, found by stated rules in their own turns. Pure; knows nothing of memory.

A sentence is a fact where it begins with one of the forms below: "remember that …", "my name is …", "I live in …", "I
prefer …" and the like, in English. Questions are none, nor is what stands in a quotation or in code: that was said by others.
"""

import re
from dataclasses import dataclass

MOST = 5
"""Facts taken from one turn, its first ones."""
LONGEST = 200
"""Characters; what is longer is a text, not a fact."""
_READ = 20_000
"""Characters of a turn that are looked at, from its start."""

FORMS: tuple[tuple[str, str], ...] = (
    ("name", r"my name(?:'s| is)|call me"),
    ("home", r"i live (?:in|at|near)|i(?:'m| am) from"),
    ("work", r"i work (?:at|as|for|in)"),
    ("birthday", r"my birthday is|i was born (?:on|in)"),
    ("favourite", r"my favou?rite [\w' -]{1,40} (?:is|are)"),
    ("taste", r"i(?:'d| would)? (?:always |usually )?prefer|i (?:do not|don't|never) (?:eat|drink|like|want)"),
    ("health", r"i(?:'m| am) allergic to"),
    ("speech", r"i speak"),
)
"""Kinds and how such sentences begin. Of `SINGLE` kinds a new fact takes the old one's place."""
SINGLE = frozenset({"name", "home", "birthday"})

_SAID = re.compile(r"(?:please,? )?(?:remember|note|keep in mind)(?: that\b|:)[ ,]*(?P<fact>.+)", re.IGNORECASE)
_FORMS = [(kind, re.compile(rf"(?:{form})\b", re.IGNORECASE)) for kind, form in FORMS]
_LEAD = re.compile(r"^(?:(?:hi|hello|hey|ok|okay|by the way|btw|and|also|so|please)[,!. ]+)+", re.IGNORECASE)
_CODE = re.compile(r"```.*?(?:```|\Z)|\"\"\".*?(?:\"\"\"|\Z)", re.DOTALL)
_QUOTED = re.compile(r"^[^\S\n]*[>|].*$", re.MULTILINE)
_QUOTATION = re.compile(r"[\"“„«][^\"“”„«»\n]{0,2000}[\"”“»]")
_SENTENCE = re.compile(r"(?<=[.!?;])\s+|\n+")


@dataclass(frozen=True, slots=True)
class Fact:
    """A sentence of the user's, and what it is about: a kind of `FORMS`, or "told"."""

    text: str
    kind: str


def facts(text: str) -> list[Fact]:
    """The facts of one turn, in their order, each once."""
    own = _QUOTATION.sub(" ", _QUOTED.sub("", _CODE.sub("\n", text[:_READ])))
    found: dict[str, Fact] = {}
    for sentence in _SENTENCE.split(own.replace("’", "'")):
        fact = _fact(" ".join(sentence.split()))
        if fact is not None:
            found.setdefault(fact.text.casefold(), fact)
        if len(found) == MOST:
            break
    return list(found.values())


def _fact(sentence: str) -> Fact | None:
    sentence = _LEAD.sub("", sentence)
    if sentence.endswith("?"):
        return None
    said = _SAID.match(sentence)
    core = (said["fact"] if said else sentence).strip().rstrip(".!;").strip()
    if not 4 <= len(core) <= LONGEST:
        return None
    kind = next((kind for kind, form in _FORMS if form.match(core)), "told" if said else None)
    return None if kind is None else Fact(core[0].upper() + core[1:], kind)
