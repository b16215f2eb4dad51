"""Telephone numbers, by the numbering plans of Google's libphonenumber. Knows nothing of who would answer.

A number with a country code speaks for itself. One without is looked up in the plans of the countries it could be of,
and counts if it is written as that country writes it, or if the words before it call it a telephone number.
"""

import re
from collections.abc import Iterator
from typing import Any

from router.pii import Recognize, Span
from router.pii.around import alone, before, compiled, matches

_CANDIDATE = compiled(
    r"(?:\+|\(\+?|00)?\d[\d\x{a0} ()./\x{2010}-\x{2013}-]{4,24}\d(?:\s?(?:ext\.?|x|extension|Durchwahl|#)\s?\d{1,6})?"
)
_PHONE_WORDS = re.compile(
    r"\b(?:phone|telephone|tel|mobile|mob|cell|call|calling|called|fax|text|sms|whatsapp|dial|ring|hotline|helpline|line"
    r"|voicemail|contact|contacts|reach|number is|handy|telefon|mobil|rufnummer|rufen|anrufen|ruf|erreichen|unter"
    r"|téléphone|portable|appelez|appeler|joindre|teléfono|móvil|llama|llámame|telefono|cellulare|telefone|celular|bel)\b"
    r"|电话|手机|電話|携帯"
)
_OTHER_WORDS = re.compile(
    r"\b(?:order|invoice|isbn|issn|ean|tracking|serial|reference|ref|case|id|sku|timestamp|version|build|population|pages?"
    r"|vol|volume|ssn|card|account|iban|licen[cs]e|ticket|code|zip|postcode|section|size|sequence|sum"
    r"|total|price|score|port|coordinates|epoch|years?|md5|sha1|sha256|commit)\b\W*(?:no|nr|number|id)?\W*$"
)
_GUESSES = ("US", "GB", "DE", "FR", "ES", "IT", "NL", "AT", "CH", "BE", "PL", "IN", "AU", "BR", "JP", "CN", "ZA", "IE")
# As people write numbers of their own country, without its code.
_US = re.compile(r"(?:1[ .-]?)?(?:\(\d{3}\) ?|\d{3}[ .-])\d{3}[ .-]\d{4}(?:\s?(?:ext\.?|x|extension|#)\s?\d{1,6})?")
_FR = re.compile(r"0\d(?:[ .-]\d\d){4}")
_TRUNK = re.compile(r"\(?0\d{1,5}\)?[ /-]\d[\d -]{3,12}\d")
_DATE = re.compile(r"(?:\d{4}[-./]\d{1,2}[-./]\d{1,2}|\d{1,2}[-./]\d{1,2}[-./]\d{2,4})(?![-./ ]?\d)")


def phones() -> Recognize:
    """The recognizer of telephone numbers, with the plans it looks most numbers up in loaded."""
    for region in _GUESSES:
        _valid("0", region)
        _plans().example_number(region)
    return _phones


def _phones(text: str) -> Iterator[Span]:
    """Telephone numbers, an extension included."""
    for start, end, found in matches(_CANDIDATE, text):
        start, end = _trim(text, start, end)
        found = text[start:end]
        main = re.split(r"(?i)\s?(?:ext|x|#|durchwahl)", found)[0]
        count = sum(c.isdigit() for c in main)
        if not 7 <= count <= 17 or not alone(text, start, end, ".-/:,") or _DATE.match(found):
            continue
        if (score := _score(text, start, found, main, count)) > 0:
            yield Span("phone", start, end, score)


def _trim(text: str, start: int, end: int) -> tuple[int, int]:
    """Without a bracket that the span does not close, and what was only reached across a wide gap."""
    found = text[start:end]
    gap = re.search(r"  +|(?<!ext)\.\s| - |(?<=\d) ?\(", found)
    if gap is not None and sum(c.isdigit() for c in found[: gap.start()]) >= 7:
        end = start + gap.start()
        found = text[start:end]
    while found and found.count("(") != found.count(")"):
        if found[0] == "(" and found.count("(") > found.count(")"):
            start += 1
        elif found[-1] in "()":
            end -= 1
        else:
            break
        found = text[start:end]
    if start and text[start - 1] == "(" and found[:4].rstrip(")") != found[:4]:
        start -= 1
    if start and text[start - 1] == "+":
        start -= 1
    return start, end


def _score(text: str, start: int, found: str, main: str, count: int) -> float:
    words = before(text, start)
    if main.startswith(("+", "(+")) or (main.startswith("00") and count >= 11):
        if _valid(re.sub(r"^\(?(?:00|\+)", "+", main), None):
            return 0.95
        return 0.55 if _PHONE_WORDS.search(words) and count >= 9 else 0.0
    if _OTHER_WORDS.search(words):
        return 0.0
    if _PHONE_WORDS.search(words):
        if any(_valid(main, region) for region in _GUESSES):
            return 0.9
        return 0.55 if count >= 9 and re.search(r"\d[ /.-]\d", main) else 0.0
    if _US.fullmatch(found) and _valid(main, "US"):
        return 0.8
    if _FR.fullmatch(found) and _valid(main, "FR"):
        return 0.8
    if _TRUNK.fullmatch(main) and any(_valid(main, region) for region in ("GB", "DE", "AT", "CH", "NL", "IT", "AU")):
        return 0.65
    return 0.0


def _valid(number: str, region: str | None) -> bool:
    plans = _plans()
    try:
        return bool(plans.is_valid_number(plans.parse(number, region)))
    except plans.NumberParseException:
        return False


def _plans() -> Any:
    import phonenumbers

    return phonenumbers
