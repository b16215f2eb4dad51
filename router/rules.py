"""The `when:` expression: from text to the tree of `router.tree`. Knows nothing of what signals are worth.

    or    = and {"or" and}
    and   = not {"and" not}
    not   = "not" not | atom
    atom  = "(" or ")" | field [("==" | "!=" | "<" | "<=" | ">" | ">=") literal | ["not"] "in" list]
    field = name ["." ("matched" | "value" | "label" | "confidence" | "count")]
    list  = "[" literal {"," literal} "]"
    literal = 'text' | "text" | number | true | false

A name is letters, digits and `_ - / @`, or anything in backticks. Keywords are written small or in capitals.
"""

import difflib
import math
import re
from collections.abc import Collection, Iterator
from typing import NamedTuple, NoReturn, cast, get_args

from experts.errors import ConfigError
from router.tree import NAME, NUMBER, And, Compare, Constant, Field, In, Matched, Not, Or, Rule, keyword, literal

MAX_DEPTH = 50
MAX_LENGTH = 20_000
"""Characters of one expression."""

_FIELDS: tuple[str, ...] = get_args(Field)
_TOKEN = re.compile(
    rf"""(?P<blank>\s+)
      | (?P<number>{NUMBER})
      | (?P<name>{NAME})
      | `(?P<quoted>[^`]+)`
      | (?P<text>'(?:[^'\\]|\\.)*'|"(?:[^"\\]|\\.)*")
      | (?P<operator>==|!=|<=|>=|<|>)
      | (?P<mark>[()\[\],.])""",
    re.VERBOSE | re.DOTALL,
)
_ESCAPES = {"\\": "\\", "'": "'", '"': '"', "n": "\n", "t": "\t"}
_HINTS = {
    "=": "Write == to compare.",
    "&": "Write 'and'.",
    "|": "Write 'or'.",
    "!": "Write 'not', or != to compare.",
    "'": "A text begins here and has no closing quote.",
    '"': "A text begins here and has no closing quote.",
    "`": "A name in backticks begins here and has no closing backtick.",
}


class RuleError(ConfigError):
    """A `when:` expression is wrong at `offset` (characters from its start, from 0); the message points at it."""

    def __init__(
        self, message: str, *, rule: str, offset: int, key: str | None = None, remedy: str | None = None
    ) -> None:
        self.rule, self.offset, self.summary = rule, offset, message
        super().__init__(f"{message}\n{_pointer(rule, offset)}", key=key, remedy=remedy)


def parse(text: str, known: Collection[str] | None = None, *, key: str | None = None) -> Rule:
    """The tree of an expression. Raises `RuleError` for bad syntax and, where `known` is given, for other names.

    `key` is the dotted path of the expression in the configuration, for the message. `parse(str(rule)) == rule`.
    """
    return _Parser(text, known, key).parse()


class _Token(NamedTuple):
    kind: str
    text: str
    offset: int

    def says(self, *words: str) -> bool:
        """Whether it is one of these keywords or marks."""
        return (self.kind == "name" and keyword(self.text) in words) or (self.kind == "mark" and self.text in words)


class _Parser:
    def __init__(self, text: str, known: Collection[str] | None, key: str | None) -> None:
        self.text, self.known, self.key = text, known, key
        self.depth = 0
        if len(text) > MAX_LENGTH:
            self.fail(f"an expression has at most {MAX_LENGTH:,} characters, this one {len(text):,}", 0)
        self.tokens = list(self.scan())
        self.at = 0

    def fail(self, message: str, offset: int, remedy: str | None = None) -> NoReturn:
        raise RuleError(message, rule=self.text, offset=offset, key=self.key, remedy=remedy)

    def scan(self) -> Iterator[_Token]:
        at = 0
        while at < len(self.text):
            found = _TOKEN.match(self.text, at)
            if found is None:
                character = self.text[at]
                self.fail(f"unexpected {character!r}", at, _HINTS.get(character))
            kind = found.lastgroup or ""
            if kind != "blank":
                yield _Token(kind, found.group(kind), at)
            at = found.end()
        yield _Token("end", "", len(self.text))

    @property
    def token(self) -> _Token:
        return self.tokens[self.at]

    def take(self) -> _Token:
        token = self.tokens[self.at]
        if token.kind != "end":
            self.at += 1
        return token

    def parse(self) -> Rule:
        if self.token.kind == "end":
            self.fail("an expression is expected, this one is empty", 0, "Leave `when` out to match always.")
        rule = self.any_of()
        if self.token.kind != "end":
            self.unexpected("'and', 'or' or the end")
        return rule

    def unexpected(self, wanted: str) -> NoReturn:
        token = self.token
        given = "the end" if token.kind == "end" else repr(token.text)
        self.fail(f"{wanted} is expected, {given} found", token.offset)

    def any_of(self) -> Rule:
        children = [self.all_of()]
        while self.token.says("or"):
            self.take()
            children.append(self.all_of())
        return children[0] if len(children) == 1 else Or(tuple(children))

    def all_of(self) -> Rule:
        children = [self.negation()]
        while self.token.says("and"):
            self.take()
            children.append(self.negation())
        return children[0] if len(children) == 1 else And(tuple(children))

    def negation(self) -> Rule:
        if self.token.says("not", "("):
            opened = self.take()
            self.depth += 1
            if self.depth > MAX_DEPTH:
                self.fail(f"'not' and parentheses may be nested {MAX_DEPTH} deep", opened.offset)
            if opened.text == "(":
                rule = self.any_of()
                if not self.token.says(")"):
                    self.unexpected("')'")
                self.take()
            else:
                rule = Not(self.negation())
            self.depth -= 1
            return rule
        return self.atom()

    def atom(self) -> Rule:
        token = self.token
        if token.kind in ("text", "number") or token.says("true", "false"):
            self.fail(
                f"a signal's name is expected, {token.text} found",
                token.offset,
                "Write the signal first: name == 'text'.",
            )
        if token.kind not in ("name", "quoted") or (token.kind == "name" and keyword(token.text)):
            self.unexpected("a signal's name")
        name = self.take().text
        if self.known is not None and name not in self.known:
            self.fail(f"unknown signal {name!r}", token.offset, _suggest(name, self.known, "signals"))
        field = self.field()
        following = self.token
        if following.kind == "operator":
            return self.comparison(name, field)
        if following.says("in") or (following.says("not") and self.tokens[self.at + 1].says("in")):
            negated = self.take().says("not")
            if negated:
                self.take()
            return In(name, field, negated, self.items())
        if field not in (None, "matched"):
            self.unexpected(f"a comparison of {name}.{field}, as in {name}.{field} > 0.5,")
        return Matched(name)

    def field(self) -> Field | None:
        if not self.token.says("."):
            return None
        self.take()
        token = self.token
        if token.kind != "name" or token.text not in _FIELDS:
            self.fail(f"a signal has no field {token.text!r}", token.offset, _suggest(token.text, _FIELDS, "fields"))
        self.take()
        return cast(Field, token.text)

    def comparison(self, name: str, field: Field | None) -> Rule:
        token = self.take()
        at = self.token.offset
        constant = self.literal()
        if token.text not in ("==", "!=") and (isinstance(constant, bool) or not isinstance(constant, int | float)):
            self.fail(
                f"{token.text} compares numbers, {literal(constant)} found", at, "Texts compare with ==, != and in."
            )
        if self.token.kind == "operator":
            self.fail("comparisons cannot be chained", self.token.offset, "Write x > 1 and x < 2.")
        return Compare(name, field, token.text, constant)  # type: ignore[arg-type]

    def items(self) -> tuple[Constant, ...]:
        if not self.token.says("["):
            self.unexpected("a list, as in ['a', 'b'],")
        self.take()
        items = [self.literal()]
        while self.token.says(","):
            self.take()
            items.append(self.literal())
        if not self.token.says("]"):
            self.unexpected("',' or ']'")
        self.take()
        return tuple(items)

    def literal(self) -> Constant:
        token = self.token
        if token.kind == "text":
            constant: Constant = self.unquote(token)
        elif token.kind == "number":
            constant = self.number(token)
        elif token.says("true", "false"):
            constant = keyword(token.text) == "true"
        elif token.kind in ("name", "quoted"):
            self.fail(
                "a text, number, true or false is expected", token.offset, f"Is a text meant? Quote it: {token.text!r}."
            )
        else:
            self.unexpected("a text, number, true or false")
        self.take()
        return constant

    def number(self, token: _Token) -> int | float:
        if len(token.text) > 30 or not math.isfinite(float(token.text)):
            self.fail("this number is too long", token.offset, "At most 30 characters, and within a float's range.")
        return float(token.text) if set(token.text) & set(".eE") else int(token.text)

    def unquote(self, token: _Token) -> str:
        def unescape(found: re.Match[str]) -> str:
            if found[1] not in _ESCAPES:
                at = token.offset + 1 + found.start()
                self.fail(f"unknown escape \\{found[1]}", at, r"Known: \\ \' \" \n \t.")
            return _ESCAPES[found[1]]

        return re.sub(r"\\(.)", unescape, token.text[1:-1], flags=re.DOTALL)


def _suggest(given: str, known: Collection[str], what: str) -> str:
    close = difflib.get_close_matches(given, known, n=3, cutoff=0.6)
    listed = ", ".join(sorted(known)[:20]) + (" …" if len(known) > 20 else "")
    hint = f"Did you mean {' or '.join(close)}? " if close else ""
    return f"{hint}Known {what}: {listed or 'none'}."


def _pointer(rule: str, offset: int) -> str:
    """The line of the expression that holds `offset`, cut to a screen's width, and a caret under it."""
    start = rule.rfind("\n", 0, offset) + 1
    end = rule.find("\n", offset)
    line = rule[start : end if end >= 0 else None]
    column = offset - start
    cut = max(0, column - 60)
    shown = "".join(c if c.isprintable() else " " for c in line[cut : cut + 100])
    return f"    {shown}\n    {' ' * (column - cut)}^"
