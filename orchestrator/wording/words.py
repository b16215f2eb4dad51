"""A text as a line of plain words: contractions spelled out, numbers in digits, quoted things set aside. Knows no grammar."""

import re
from typing import NamedTuple

_PIECE = re.compile(
    r"""
      (?P<code>```[^`]{0,2000}```|`[^`\n]{1,200}`)
    | (?P<quote>"[^"\n]{1,200}"|“[^”\n]{1,200}”|«[^»\n]{1,200}»)
    | (?P<address>(?:https?://|www\.)[^\s<>"]+|[\w.+-]{1,64}@[\w-]{1,63}(?:\.[\w-]{1,63})+)
    | (?P<number>(?<![\w.])-?\d[\d,]*(?:[.:/-]\d+)*(?:st|nd|rd|th)?(?!\w)
        |\d+(?=(?:kg|km|cm|mm|mg|ml|gb|mb|kb|tb|lbs?|oz|mph|ft|min|hrs?|am|pm|[gmlckh])\b))
    | (?P<word>[^\W\d_](?:\w|['’](?=\w))*(?:\+\+|\#)?|\.net\b|\d\w*)
    | (?P<sign>[^\w\s.,;:!?'"‘’“”()\[\]{}\-…–—«»¿¡`])
    """,
    re.VERBOSE | re.IGNORECASE,
)

_PLURAL_CAPITALS = re.compile(r"(?!HTTPs)[A-Z]{2,}s")
"""APIs, PDFs."""
_SHORT = {
    "can't": "can not",
    "cannot": "can not",
    "won't": "will not",
    "shan't": "shall not",
    "ain't": "is not",
    "let's": "let us",
    "i'm": "i am",
    "gonna": "going to",
    "wanna": "want to",
    "gotta": "got to",
    "dont": "do not",
    "doesnt": "does not",
    "didnt": "did not",
    "cant": "can not",
    "isnt": "is not",
    "arent": "are not",
    "wont": "will not",
    "shouldnt": "should not",
    "couldnt": "could not",
    "im": "i am",
    "whats": "what is",
    "hows": "how is",
    "wheres": "where is",
    "whos": "who is",
    "ive": "i have",
    "pls": "please",
    "plz": "please",
    "u": "you",
    "ok": "okay",
}
_IS = frozenset("what who how where when why that there it he she which here".split())  # noqa: SIM905
_TAILS = (("'re", " are"), ("'ve", " have"), ("'ll", " will"), ("'d", " would"), ("'m", " am"))
_UNITS = "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen".split()  # noqa: SIM905
_UNITS += ["seventeen", "eighteen", "nineteen"]
_TENS = "twenty thirty forty fifty sixty seventy eighty ninety".split()  # noqa: SIM905
_SCALES = {"hundred": 100, "thousand": 1000, "million": 10**6, "billion": 10**9, "trillion": 10**12}
_VALUES = {word: n for n, word in enumerate(_UNITS)} | {word: 10 * n for n, word in enumerate(_TENS, 2)}
_ORDINALS = "first second third fourth fifth sixth seventh eighth ninth tenth".split()  # noqa: SIM905
_ENDS = {1: "1st", 2: "2nd", 3: "3rd"}
_ROMAN = {"ii": "2", "iii": "3", "iv": "4", "vi": "6", "vii": "7", "viii": "8"}
_PRONOUN_ONE = frozenset(
    "does do can could should would might must may if the which that this another any every".split()  # noqa: SIM905
)


class Plain(NamedTuple):
    """Words in lower case, one space between; `kept` holds what is set aside, at the place its \\x01 and number names."""

    line: str
    kept: tuple[str, ...]


def plain(text: str) -> Plain:
    """The words of a text. What stands in quotes or backquotes and addresses is kept as it is written."""
    words: list[str] = []
    kept: list[str] = []
    for piece in _PIECE.finditer(text.replace("\x01", " ")):
        kind, said = piece.lastgroup, piece.group()
        if kind in ("code", "address"):
            words.append(f"\x01{len(kept)}")
            kept.append(said.rstrip(".,;:!?") if kind == "address" else said.strip("`"))
        elif kind == "quote":
            words.append(f"\x01{len(kept)}")
            kept.append(" ".join(said[1:-1].lower().split()).rstrip(".,;:!?"))
        elif kind == "number":
            words.append(said.replace(",", "").lower())
        elif kind == "sign":
            words.append(said)
        else:
            words += _spelled(said)
    return Plain(" ".join(_numbered(words)), tuple(kept))


def _spelled(said: str) -> list[str]:
    if said in ("US", "USA"):
        return ["usa"]
    if said in ("IT", "WHO", "AM", "PM"):
        return [f"{said.lower()}_"]
    if _PLURAL_CAPITALS.fullmatch(said):
        return [said[:-1].lower()]
    word = said.lower().replace("’", "'")
    if word in _SHORT:
        return _SHORT[word].split()
    if word.endswith("n't"):
        return [word[:-3], "not"]
    for tail, full in _TAILS:
        if word.endswith(tail):
            return (word[: -len(tail)] + full).split()
    if word.endswith("'s"):
        return [word[:-2], "is" if word[:-2] in _IS else "'s"]
    return [word.replace("'", "")]


def _numbered(words: list[str]) -> list[str]:
    """The words with numbers in digits: "twenty five" is 25, "5 million" 5000000, "$ 5" 5 $, "first" 1st."""
    out: list[str] = []
    tens = -1  # where in `out` a bare "twenty" stands, which a unit may follow
    for at, word in enumerate(words):
        before = words[at - 1] if at else ""
        last = out[-1] if out else ""
        value = _VALUES.get(word)
        if value == 1 and (before in _PRONOUN_ONE or words[at + 1 : at + 2] == ["of"]):
            value = None
        if value is not None:
            if tens == len(out) - 1 and out and 0 < value < 10:
                out[-1] = str(int(last) + value)
            else:
                out.append(str(value))
                tens = len(out) - 1 if value >= 20 else -1
        elif word in _SCALES and (last.isdecimal() or before == "a") and last != "a":
            out[-1] = str(int(last) * _SCALES[word])
        elif word in _SCALES and last == "a":
            out[-1] = str(_SCALES[word])
        elif word in _ORDINALS and not (word == "second" and before in ("a", "per", "each", "every")):
            place = _ORDINALS.index(word) + 1
            out.append(_ENDS.get(place, f"{place}th"))
        elif word in _ROMAN and at:
            out.append(_ROMAN[word])
        elif word[0].isdigit() and last in ("$", "€", "£", "¥"):
            out[-1:] = [word, last]
        else:
            out.append(word)
    return out
