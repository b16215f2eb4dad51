"""Personal data in a text: what kind, where, how sure. Knows nothing of prompts, signals or policies.

`find` asks one recognizer a kind. Everything runs in time linear in the text: RE2 for patterns, checks (Luhn, mod 97,
numbering plans) on what they find. The more a kind looks like other numbers, the more the words around it count.
"""

from collections.abc import Callable, Iterator, Sequence
from functools import cache
from typing import Literal, NamedTuple, TypeAlias, get_args

Kind: TypeAlias = Literal[
    "email", "phone", "card", "iban", "ssn", "ip", "mac", "secret", "name", "organization", "domain"
]
KINDS: tuple[Kind, ...] = get_args(Kind)

MAX_CHARACTERS = 200_000
"""Read of one text; what comes after is not looked at, and `find` says nothing of it."""


class Span(NamedTuple):
    """Something personal: characters `start` to `end` of the text, and how sure that is, in 0..1."""

    kind: Kind
    start: int
    end: int
    score: float


Recognize: TypeAlias = Callable[[str], Iterator[Span]]


def find(text: str, kinds: Sequence[Kind] = KINDS, *, min_score: float = 0.5) -> list[Span]:
    """Every span of these kinds that is sure enough, from left to right; none overlaps another: the surer one stays, of
    equals the longer. The first call loads lists and numbering plans (a tenth of a second)."""
    read = text[:MAX_CHARACTERS]
    found = [span for kind in kinds for span in recognizer(kind)(read) if span.score >= min_score]
    found.sort(key=lambda span: (-span.score, span.start - span.end, span.start))
    taken = bytearray(len(read))
    kept = []
    for span in found:
        if not any(taken[span.start : span.end]):
            taken[span.start : span.end] = b"\x01" * (span.end - span.start)
            kept.append(span)
    return sorted(kept, key=lambda span: span.start)


@cache
def recognizer(kind: Kind) -> Recognize:
    """The recognizer of a kind, its lists loaded."""
    from router.pii import addresses, numbers, people, phones, secrets

    made: dict[Kind, Callable[[], Recognize]] = {
        "email": lambda: addresses.emails,
        "ip": lambda: addresses.ips,
        "mac": lambda: addresses.macs,
        "domain": lambda: addresses.domains,
        "card": lambda: numbers.cards,
        "iban": lambda: numbers.ibans,
        "ssn": lambda: numbers.ssns,
        "phone": phones.phones,
        "secret": lambda: secrets.secrets,
        "name": people.names,
        "organization": lambda: people.organizations,
    }
    return made[kind]()
