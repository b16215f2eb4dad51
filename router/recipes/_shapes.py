"""A small grammar for phrases: `(a|b|)` is one of its ways, `{thing}` one of a list; and how people type them.

Knows no head. The phrases themselves lie beside the recipes as YAML, one a line.
"""

import random
import re
from collections.abc import Iterator, Mapping, Sequence

from router.recipes import Row

_WAYS = re.compile(r"\(([^()]*\|[^()]*)\)")
_SLOT = re.compile(r"\{(\w+)\}")
_OPENINGS = ("hey, ", "hi! ", "please ", "ok so ", "um, ", "quick one: ", "hello, ", "so ")


def rows(
    shapes: str, label: str, slots: Mapping[str, Sequence[str]], most: int = 6, around: Sequence[str] = ()
) -> Iterator[Row]:
    """At most `most` different texts of every line of `shapes`, the shape as their group. Deterministic.

    One in six is typed in haste: a letter lost or swapped, no capitals, no full stop; one in ten begins with a word or two
    of talk. Two in five have a sentence of `around` before or after them: what people tell beside what they want, which
    has nothing to do with the label.
    """
    for shape in filter(None, map(str.strip, shapes.splitlines())):
        chance = random.Random(shape)
        made = dict.fromkeys(filled(shape, slots, chance) for _ in range(3 * most))
        for text in list(made)[:most]:
            if chance.random() < 0.1 and not text.startswith(_OPENINGS):
                text = chance.choice(_OPENINGS) + text[:1].lower() + text[1:]
            if around and chance.random() < 0.4:
                aside = filled(chance.choice(around), slots, chance)
                text = f"{aside} {text}" if chance.random() < 0.6 else f"{text.rstrip('.,')}. {aside}"
            if chance.random() < 1 / 6:
                text = hasty(text, chance)
            yield Row(text, label, group=shape)


def filled(shape: str, slots: Mapping[str, Sequence[str]], chance: random.Random) -> str:
    """One text of a shape: a way and a filling drawn for each place."""
    text = _WAYS.sub(lambda found: chance.choice(found[1].split("|")), shape)
    text = " ".join(_SLOT.sub(lambda found: chance.choice(slots[found[1]]), text).split())
    return re.sub(r" (?=[,.!?;:](\s|$))", "", text)


def hasty(text: str, chance: random.Random) -> str:
    """The text as typed in a hurry, with at most one slip for every forty letters."""
    text = text.lower().rstrip(".!")
    for _ in range(1 + len(text) // 40):
        place = chance.randrange(max(1, len(text) - 1))
        if text[place : place + 2].isalpha():
            pair = text[place : place + 2]
            text = text[:place] + (pair[1] + pair[0] if chance.random() < 0.5 else pair[0]) + text[place + 2 :]
    return text
