"""Numbers that check themselves: payment cards, IBANs, US social security numbers. Knows nothing of whose they are."""

import re
from collections.abc import Iterator

from router.pii import Span
from router.pii.around import alone, before, compiled, matches

_CARD = compiled(r"\d(?:[ -]?\d){11,18}")
_CARD_WORDS = re.compile(
    r"\b(?:card|visa|master ?card|amex|american express|discover|diners|jcb|cc|credit|debit|payment|pay|paid|pan|kredit"
    r"karte|karte|carte|tarjeta|carta|charge|charged|luhn)\b"
)
_OTHER_WORDS = re.compile(
    r"\b(?:imei|order|tracking|track|serial|isbn|ean|upc|sku|invoice|reference|ref|timestamp|time|account|iban|uuid|id"
    r"|licen[cs]e|key|ticket|case|barcode|shipment|parcel|number of|rows)\b\W*(?:id|no|nr|number|key)?\W*$"
)
_GROUPS = frozenset(
    {(12,), (4, 4, 4, 4), (4, 6, 5), (4, 6, 4), (4, 4, 4, 4, 3), (4, 4, 5), (13,), (14,), (15,), (16,), (19,)}
)

_IBAN = compiled(r"[A-Za-z]{2}[0-9]{2}")
# Lengths: SWIFT IBAN registry, release 99.
_IBAN_LENGTHS = {
    pair[:2]: int(pair[3:])
    for pair in """
    AD:24 AE:23 AL:28 AT:20 AZ:28 BA:20 BE:16 BG:22 BH:22 BI:27 BR:29 BY:28 CH:21 CR:22 CY:28 CZ:24 DE:22 DJ:27
    DK:18 DO:28 EE:20 EG:29 ES:24 FI:18 FK:18 FO:18 FR:27 GB:22 GE:22 GI:23 GL:18 GR:27 GT:28 HN:28 HR:21 HU:28
    IE:22 IL:23 IQ:23 IS:26 IT:27 JO:30 KW:30 KZ:20 LB:28 LC:32 LI:21 LT:20 LU:20 LV:21 LY:25 MC:27 MD:24 ME:22
    MK:19 MN:20 MR:27 MT:31 MU:30 NI:28 NL:18 NO:15 OM:23 PK:24 PL:28 PS:29 PT:25 QA:29 RO:24 RS:22 RU:33 SA:24
    SC:31 SD:18 SE:24 SI:19 SK:24 SM:27 SO:23 ST:25 SV:28 TL:23 TN:24 TR:26 UA:29 VA:22 VG:24 XK:20 YE:30
    """.split()  # noqa: SIM905
}

_SSN = compiled(r"\d{3}-\d{2}-\d{4}|\d{3} \d{2} \d{4}|\d{9}")
_SSN_WORDS = re.compile(r"\b(?:ssn|ssns|social security|soc\.? sec|taxpayer id|itin)\b|\bssn")
_NOT_SSN_WORDS = re.compile(
    r"\b(?:part|ticket|order|version|ref|reference|serial|case|model|cas|routing|phone|fax|tel|zip|ein|sku|invoice)\b"
)


def cards(text: str) -> Iterator[Span]:
    """Payment cards: an issuer's prefix and length, grouped as cards are, Luhn's check digit."""
    for start, end, found in matches(_CARD, text):
        number = re.sub(r"[ -]", "", found)
        groups = tuple(len(group) for group in re.split(r"[ -]", found))
        if groups not in _GROUPS or len(set(re.sub(r"\d", "", found))) > 1:
            continue
        if not alone(text, start, end, ".-:/,") or not luhn(number):
            continue
        words = before(text, start)
        if _CARD_WORDS.search(words):
            yield Span("card", start, end, 1.0 if issued(number) else 0.75)
        elif issued(number) and not _OTHER_WORDS.search(words):
            yield Span("card", start, end, 0.85 if len(groups) > 1 else 0.7)


def issued(number: str) -> bool:
    """Whether an issuer uses this prefix with this length: Visa, Mastercard, Amex, Discover, Diners, JCB, UnionPay,
    Maestro (ISO/IEC 7812 ranges as the schemes publish them)."""
    n, two, four = len(number), int(number[:2]), int(number[:4])
    if number[0] == "4":
        return n in (13, 16, 19)
    if 51 <= two <= 55 or 2221 <= four <= 2720:
        return n == 16
    if two in (34, 37):
        return n == 15
    if four == 6011 or two == 65 or 644 <= int(number[:3]) <= 649 or two == 62:
        return n in (16, 19)
    if two in (36, 38, 39) or 300 <= int(number[:3]) <= 305:
        return n in (14, 16)
    if 3528 <= four <= 3589:
        return n in (16, 19)
    return four in (5018, 5020, 5038, 6304, 6759, 6761, 6763) and n in (16, 19)


def luhn(number: str) -> bool:
    """Whether the last digit checks (ISO/IEC 7812-1, annex B); a row of equal digits does not count."""
    doubled = (0, 2, 4, 6, 8, 1, 3, 5, 7, 9)
    values = [int(c) for c in reversed(number)]
    total = sum(doubled[v] if i % 2 else v for i, v in enumerate(values))
    return total % 10 == 0 and len(set(number)) > 1


def ibans(text: str) -> Iterator[Span]:
    """Bank account numbers: a country's length and mod 97 (ISO 13616)."""
    for start, _, found in matches(_IBAN, text):
        length = _IBAN_LENGTHS.get(found[:2].upper(), 0)
        stop, compact = _take(text, start, length)
        if len(compact) == length and length and alone(text, start, stop, "-") and mod97(compact.upper()) == 1:
            yield Span("iban", start, stop, 1.0)
        elif "iban" in before(text, start, 16):  # of a length that no country gives out, but called one, and it checks
            word = text[start : start + 34].split(" ", 1)[0].rstrip(".,;")
            if len(word) >= 15 and word.isascii() and word.isalnum() and mod97(word.upper()) == 1:
                yield Span("iban", start, start + len(word), 0.7)


def _take(text: str, start: int, length: int) -> tuple[int, str]:
    """So many letters and digits from a place on, single blanks between them left out, and where they end."""
    at, taken = start, ""
    while at < len(text) and len(taken) < length:
        c = text[at]
        if c.isascii() and c.isalnum():
            taken += c
        elif c != " " or text[at - 1] == " ":
            break
        at += 1
    return at, taken


def mod97(iban: str) -> int:
    """The remainder that is 1 for a right IBAN."""
    return int("".join(str(int(c, 36)) for c in iban[4:] + iban[:4])) % 97


def ssns(text: str) -> Iterator[Span]:
    """US social security numbers: areas, groups and serials that are given out; without hyphens only if so called."""
    for start, end, found in matches(_SSN, text):
        number = re.sub(r"[ -]", "", found)
        if number[:3] in ("000", "666") or number[0] == "9" or number[3:5] == "00" or number[5:] == "0000":
            continue
        if not alone(text, start, end, "-.,/") or len(set(number)) == 1:
            continue
        other = _NOT_SSN_WORDS.search(before(text, start, 16))
        if not other and _SSN_WORDS.search(text[max(0, start - 80) : start].casefold()):
            yield Span("ssn", start, end, 0.95)
        elif "-" in found and not other:
            yield Span("ssn", start, end, 0.7)
