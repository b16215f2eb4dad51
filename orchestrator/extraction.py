"""What an answer answers, in one form, so that equal answers are equal strings: for votes. Pure; knows no strategy.

Looked for in this order: an answer that is JSON; `\\boxed{…}`; `#### …`; "the answer is …"; the letter of one of the
prompt's options; the last number, where the prompt asks for one; else the words, without case and punctuation. It reads
English forms and what mathematics and benchmarks agree on; what it cannot read is compared as words, and rarely agrees.
"""

import re
from collections.abc import Iterator
from fractions import Fraction
from typing import Any, Literal, TypeAlias

import orjson

Kind: TypeAlias = Literal["auto", "number", "choice", "json", "text"]
"""What is looked for: by the text and prompt, or only a number, an option's letter, JSON, or the words as they are."""

_NUMBER = re.compile(r"(?<![\w.])[-−]?(?:\d{1,3}(?:,\d{3})+(?![\d,])|\d+)(?:\.\d+)?(?:/\d+)?(?![\d/])")
_OPTION = re.compile(r"(?:^|[\s(])\(?([A-Z])[.):]\s", re.MULTILINE)
_MARKED = re.compile(r"^[ \t]*####(.+)$", re.MULTILINE)
_NAMED = re.compile(
    r"\b(?:answer|result|solution)\W{0,4}(?:\s+is\b|(?<=:)|(?<==))[^\w−{\\-]{0,4}(?=[\w−{\\-])", re.IGNORECASE
)
_LETTER = (
    re.compile(r"\b(?:option|choice)\s*\(?([A-Z])\b"),
    re.compile(r"^\W*([A-Z])(?:[.):*]|\s*$)"),
    re.compile(r"\(([A-Z])\)"),
)
_LEADING_LETTER = re.compile(r"\W*(?:option\s+)?\(?([A-Z])(?:[.):,*]|\s*$|\s*[-–])")
_ASKS_NUMBER = re.compile(
    r"\bhow (?:many|much|old|long|far|tall|often)\b|\b(?:calculate|compute|evaluate|solve)\b"
    r"|\b(?:sum|product|difference|quotient|remainder|percentage|average|total) of\b",
    re.IGNORECASE,
)
_LATEX = re.compile(r"\\(?:left|right|displaystyle|[,;!]|\s)|\\?\$|[`*]|\\(?:text|mathrm|mathbf)\b")
_FRACTION = re.compile(r"\\[dt]?frac\s*\{([^{}]*)\}\s*\{([^{}]*)\}")
_MOST_DIGITS = 60
"""Longer ones are compared as they are written: nobody computes with them."""


def answer_of(text: str, *, prompt: str = "", kind: Kind = "auto", cut: bool = False) -> str | None:
    """The answer in `text`, to what `prompt` asks; None where there is none of this kind. Of `auto` and `text` there
    always is one.

    But a text that was `cut` at its longest has an answer only where it announced one: its last number is on the way
    to it.
    """
    if cut and not any(map(_plain, _told(text))):
        return None
    if kind == "text":
        return _words(text)
    if kind == "json":
        return _json(text)
    options = set(_OPTION.findall(prompt))
    if kind == "choice":
        return _choice(text, options)
    if kind == "number":
        return next(filter(None, (_last_number(said) for said in (*_told(text), text))), None)
    if (found := _json(text)) is not None:
        return found
    if len(options) > 1 and (found := _choice(text, options)) is not None:
        return found
    numeric = asks_number(prompt)
    for said in _told(text):
        plain = _plain(said)
        if plain:
            return (_announced(plain) if numeric else None) or _number(plain) or _words(plain)
    return (_last_number(text) if numeric else None) or _number(_plain(text)) or _words(text)


def asks_number(prompt: str) -> bool:
    """Whether a prompt wants a number: it says so, or holds two numbers or more that something is to be made of."""
    return _ASKS_NUMBER.search(prompt) is not None or len(_NUMBER.findall(prompt)) > 1


def _told(text: str) -> Iterator[str]:
    """Where an answer is announced, the surest form first, the last of each."""
    if (boxed := _boxed(text)) is not None:
        yield boxed
    if found := _MARKED.findall(text):
        yield found[-1]
    if (begin := max((named.end() for named in _NAMED.finditer(text)), default=-1)) >= 0:
        yield text[begin:].partition("\n")[0].partition(". ")[0]


def _boxed(text: str) -> str | None:
    """What stands in the last `\\boxed{…}`, braces inside it balanced."""
    begin = text.rfind("\\boxed{")
    if begin < 0:
        return None
    depth, at = 1, begin + len("\\boxed{")
    for end in range(at, len(text)):
        depth += (text[end] == "{") - (text[end] == "}")
        if depth == 0:
            return text[at:end]
    return None


def _choice(text: str, options: set[str]) -> str | None:
    """The letter of an option; any letter where the options are not known."""
    for said in _told(text):
        found = _LEADING_LETTER.match(_plain(said))
        if found and (not options or found.group(1) in options):
            return found.group(1)
    for form in _LETTER:
        letters = [letter for letter in form.findall(text) if not options or letter in options]
        if letters:
            return str(letters[-1])
    return None


def _json(text: str) -> str | None:
    """A text that is a JSON object or array, or is fenced as one: keys sorted, numbers in one form."""
    text = text.strip()
    if text.startswith("```") and text.endswith("```"):
        text = text.strip("`").removeprefix("json").strip()
    if not text.startswith(("{", "[")):
        return None
    try:
        return orjson.dumps(_even(orjson.loads(text)), option=orjson.OPT_SORT_KEYS).decode()
    except (orjson.JSONDecodeError, orjson.JSONEncodeError, RecursionError):
        return None


def _even(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _even(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [_even(inner) for inner in value]
    return int(value) if isinstance(value, float) and value.is_integer() and abs(value) < 2**53 else value


def _plain(said: str) -> str:
    """Without LaTeX's and Markdown's dress, units of it kept; `\\frac{1}{2}` is `1/2`."""
    said = _FRACTION.sub(r"\1/\2", said)
    return _LATEX.sub(" ", said).strip(" \t\r\n.,:;\"'“”")


def _number(text: str) -> str | None:
    """A text that is one number and nothing else, as a number."""
    bare = text.strip().strip("{}$€£% ").replace(" ", "")
    return _written(bare) if _NUMBER.fullmatch(bare) else None


def _announced(text: str) -> str | None:
    """The number of `18 dollars, not 20`, of `x = 18` and of `about 18`."""
    found = list(_NUMBER.finditer(text))
    if not found:
        return None
    if "=" in text:
        return _written(found[-1].group())
    leads = found[0].start() <= 1 and re.match(r"\s*(?:[^\W\d]|[.,;:%€)]|$)", text[found[0].end() :])
    return _written(found[0].group()) if leads or len(found) == 1 else None


def _last_number(text: str) -> str | None:
    found = _NUMBER.findall(_plain(text))
    return _written(found[-1]) if found else None


def _written(number: str) -> str:
    """`1,250.0` → `1250`, `0.5` → `1/2`: one way of writing each."""
    plain = number.replace(",", "").replace("−", "-")
    if len(plain) > _MOST_DIGITS:
        return plain
    try:
        whole, _, part = plain.partition("/")
        return str(Fraction(whole) / Fraction(part)) if part else str(Fraction(whole))
    except ZeroDivisionError:
        return plain


def _words(text: str) -> str:
    """Lower-case words alone, without an article before them."""
    words = re.sub(r"[^\w\s]", " ", text.casefold()).split()
    return " ".join(words[1:] if len(words) > 1 and words[0] in ("a", "an", "the") else words)
