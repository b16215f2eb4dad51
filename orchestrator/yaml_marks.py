"""YAML to plain data that still knows the line and column of every key and value. Knows nothing of policies.

Values are resolved as YAML 1.2 does: only `true` and `false` are booleans, so `no`, `on` and `12:30` are the text they
look like. Keys are always text. One document, no tags, no duplicate keys; anchors, aliases and merge keys are allowed.
"""

import math
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, NoReturn, TypeAlias

import yaml

from experts.errors import ConfigError

Path: TypeAlias = tuple[str | int, ...]
"""Keys and list positions from the top of the file: `("decisions", 0, "when")`."""

MAX_CHARACTERS = 2_000_000
MAX_DEPTH = 48
MAX_NODES = 100_000

_LOADER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_INT = re.compile(r"[-+]?[0-9]+")
_BASED = re.compile(r"0o[0-7]+|0x[0-9a-fA-F]+")
_FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?")
_NOT_FINITE = re.compile(r"[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)")
_WORDS = {"": None, "~": None, "null": None, "Null": None, "NULL": None} | {
    word: value for value in (True, False) for word in (str(value), str(value).lower(), str(value).upper())
}
_ESCAPES = {"x": 2, "u": 4, "U": 8}
_CORE = "tag:yaml.org,2002:"


@dataclass(slots=True, eq=False)
class Node:
    """One value of the file. `line` and `column` count from 1; `start` and `end` are offsets into the text.

    `value` is a scalar's value, a list of nodes, or a dict from key to (key's node, value's node). `size` is the
    number of values it holds with every alias written out. `text` and `style` are a scalar's, as YAML read it.
    """

    value: Any
    line: int
    column: int
    start: int
    end: int
    size: int = 1
    text: str = ""
    style: str = ""


class Document:
    """A YAML file as read: `data` is plain Python (dict, list, str, int, float, bool, None)."""

    def __init__(self, text: str, file: str, root: Node) -> None:
        self.text, self.file, self.root = text, file, root
        self.data: Any = plain(root)

    def error(
        self,
        message: str,
        path: Path = (),
        *,
        at_key: bool = False,
        offset: int | None = None,
        remedy: str | None = None,
    ) -> ConfigError:
        """An error that points at the value at `path`, at its key, or at character `offset` inside its text."""
        line, column = self.place(path, at_key=at_key, offset=offset)
        return ConfigError(message, file=self.file, line=line, column=column, key=dotted(path) or None, remedy=remedy)

    def place(self, path: Path, *, at_key: bool = False, offset: int | None = None) -> tuple[int, int]:
        """Line and column, from 1, of what is at `path`, or of the nearest part of the path that exists."""
        node, key, found = self.root, None, True
        for part in path:
            step = _child(node, part)
            if step is None:
                found = False
                break
            key, node = step
        if at_key and found and key is not None:
            return key.line, key.column
        if offset is not None and found and isinstance(node.value, str):
            return self._inside(node, offset)
        return node.line, node.column

    def node(self, path: Path) -> Node | None:
        """The value at `path`, or None where the file has none."""
        node = self.root
        for part in path:
            step = _child(node, part)
            if step is None:
                return None
            node = step[1]
        return node

    def _inside(self, node: Node, offset: int) -> tuple[int, int]:
        """Line and column of character `offset` of a text, through quotes, escapes, blocks and folded lines.

        Only white space differs between the text and how it was written, so the n-th other character of one is
        the n-th of the other.
        """
        value = node.text
        nth = sum(not c.isspace() for c in value[: min(offset, len(value))])
        on_blank = offset >= len(value) or value[offset].isspace()
        source = list(_written(self.text, node))
        if not source:
            return node.line, node.column
        if on_blank:
            index = source[0][0] if nth == 0 else source[min(nth, len(source)) - 1][1]
        else:
            index = source[min(nth, len(source) - 1)][0]
        before = self.text.rfind("\n", 0, index)
        return self.text.count("\n", 0, index) + 1, index - before


def read_yaml(text: str, file: str) -> Document:
    """Parse `text`; `file` is only shown in errors. Raises `ConfigError`, and nothing else, for whatever is wrong."""
    text = text.removeprefix("\ufeff").replace("\r\n", "\n").replace("\r", "\n")
    if len(text) > MAX_CHARACTERS:
        raise ConfigError(f"the file has {len(text):,} characters; at most {MAX_CHARACTERS:,} are read", file=file)
    try:
        text.encode()
    except UnicodeEncodeError as error:
        line = text.count("\n", 0, error.start) + 1
        raise ConfigError("the file holds half of a surrogate pair: save it as UTF-8", file=file, line=line) from None
    try:
        root = _Composer(text, file).compose()
    except yaml.MarkedYAMLError as error:
        raise _syntax_error(error, text, file) from None
    except yaml.YAMLError as error:  # the reader's: a character YAML does not allow
        position = min(getattr(error, "position", 0), len(text))
        line, column = text.count("\n", 0, position) + 1, position - text.rfind("\n", 0, position)
        why = getattr(error, "reason", "a character that YAML does not allow")
        raise ConfigError(f"not YAML: {why}", file=file, line=line, column=column) from None
    return Document(text, file, root)


def plain(node: Node) -> Any:
    """The node as plain Python data; what an alias names is copied."""
    if isinstance(node.value, dict):
        return {key: plain(value) for key, (_, value) in node.value.items()}
    if isinstance(node.value, list):
        return [plain(item) for item in node.value]
    return node.value


def dotted(path: Path) -> str:
    """`("decisions", 0, "when")` as people write it: `decisions[0].when`."""
    text = ""
    for part in path:
        text += f"[{part}]" if isinstance(part, int) else f".{part}" if text else part
    return text


def _child(node: Node, part: str | int) -> tuple[Node | None, Node] | None:
    if isinstance(node.value, dict):
        found: tuple[Node, Node] | None = node.value.get(str(part))
        return found
    if isinstance(node.value, list) and isinstance(part, int) and 0 <= part < len(node.value):
        return None, node.value[part]
    return None


def _syntax_error(error: yaml.MarkedYAMLError, text: str, file: str) -> ConfigError:
    mark = error.problem_mark or error.context_mark
    line, column = (mark.line + 1, mark.column + 1) if mark else (1, 1)
    lines = text.split("\n")
    here = lines[line - 1] if line <= len(lines) else ""
    what = ", ".join(part for part in (error.context, error.problem) if part)
    remedy = None
    if "\t" in here[: len(here) - len(here.lstrip())] or here[column - 1 : column] == "\t":
        what, remedy = "a tab cannot indent YAML", "Use spaces."
    elif here[column - 1 : column] in ("@", "`", "%"):
        remedy = f"Text that starts with {here[column - 1]} must be quoted."
    elif "mapping values are not allowed" in what:
        remedy = "Text that holds ': ' must be quoted; or a line above is not finished or indented differently."
    elif error.context_mark and error.context_mark.line + 1 != line:
        what += f" (it began on line {error.context_mark.line + 1})"
    return ConfigError(f"not YAML: {what}", file=file, line=line, column=column, remedy=remedy)


class _Composer:
    """Builds nodes from the parser's events, so that depth, size, tags and duplicates are checked on the way."""

    def __init__(self, text: str, file: str) -> None:
        self.file = file
        self.events: Iterator[Any] = yaml.parse(text, Loader=_LOADER)
        self.anchors: dict[str, Node] = {}

    def compose(self) -> Node:
        root: Node | None = None
        for event in self.events:
            if isinstance(event, yaml.DocumentStartEvent):
                if root is not None:
                    self.refuse("one file is one document: remove this '---'", event)
                root = self.node(next(self.events), 0)
        return root or Node({}, 1, 1, 0, 0)

    def refuse(self, message: str, event: Any, remedy: str | None = None) -> NoReturn:
        mark = event.start_mark
        raise ConfigError(message, file=self.file, line=mark.line + 1, column=mark.column + 1, remedy=remedy)

    def node(self, event: Any, depth: int) -> Node:
        if isinstance(event, yaml.AliasEvent):
            if event.anchor not in self.anchors:
                self.refuse(f"alias *{event.anchor} names nothing that is complete above it", event)
            return self.anchors[event.anchor]
        if depth > MAX_DEPTH:
            self.refuse(f"nested deeper than {MAX_DEPTH} levels", event)
        start = event.start_mark
        node = Node(None, start.line + 1, start.column + 1, start.index, event.end_mark.index)
        if isinstance(event, yaml.ScalarEvent):
            self.scalar(node, event)
        elif isinstance(event, yaml.SequenceStartEvent):
            self.sequence(node, event, depth)
        else:
            self.mapping(node, event, depth)
        if node.size > MAX_NODES:
            self.refuse(f"more than {MAX_NODES:,} values once its aliases are written out", event)
        if event.anchor:
            self.anchors[event.anchor] = node
        return node

    def scalar(self, node: Node, event: yaml.ScalarEvent) -> None:
        node.text, node.style = event.value, event.style or ""
        tag = (event.tag or "").removeprefix(_CORE)
        if tag not in ("", "str", "!"):
            self.refuse(f"tag {event.tag!r} is not allowed: write plain values", event)
        node.value = event.value
        if event.tag is None and not node.style:
            node.value = self.resolved(event)

    def resolved(self, event: yaml.ScalarEvent) -> Any:
        text = event.value
        if text in _WORDS:
            return _WORDS[text]
        if _INT.fullmatch(text) or _BASED.fullmatch(text):
            if len(text) > 30:
                self.refuse("a number of more than 30 digits: put it in quotes if it is text", event)
            return int(text, 0) if _BASED.fullmatch(text) else int(text)
        if _FLOAT.fullmatch(text):
            if not math.isfinite(number := float(text)):
                self.refuse(f"{text[:40]} is larger than any number that can be kept", event)
            return number
        if _NOT_FINITE.fullmatch(text):
            self.refuse(f"{text} is no finite number; leave the key out for 'no limit', or put it in quotes", event)
        return text

    def sequence(self, node: Node, event: yaml.SequenceStartEvent, depth: int) -> None:
        self.no_tag(event, "seq")
        node.value = []
        while not isinstance(inner := next(self.events), yaml.SequenceEndEvent):
            item = self.node(inner, depth + 1)
            node.value.append(item)
            node.size += item.size
        node.end = _end(inner)

    def mapping(self, node: Node, event: yaml.MappingStartEvent, depth: int) -> None:
        self.no_tag(event, "map")
        node.value, merged = {}, []
        while not isinstance(inner := next(self.events), yaml.MappingEndEvent):
            key = self.node(inner, depth + 1)
            if not isinstance(inner, yaml.ScalarEvent | yaml.AliasEvent) or isinstance(key.value, list | dict):
                self.refuse("a key must be plain text", inner)
            if not key.text:
                self.refuse("a key is missing before ':'", inner)
            value = self.node(after := next(self.events), depth + 1)
            node.size += value.size
            if key.text == "<<" and not key.style:
                merged += self.merge(value, after)
            elif key.text in node.value:
                first = node.value[key.text][0]
                self.refuse(f"key {key.text!r} is here twice; the first is on line {first.line}", inner)
            else:
                node.value[key.text] = key, value
        for source in merged:  # what is written out wins over what is merged, the first merged over the next
            for name, pair in source.value.items():
                if name not in node.value:
                    node.value[name] = pair
                    node.size += pair[1].size
        node.end = _end(inner)

    def merge(self, value: Node, event: Any) -> list[Node]:
        sources: Sequence[Node] = value.value if isinstance(value.value, list) else [value]
        if not all(isinstance(source.value, dict) for source in sources):
            self.refuse("'<<' merges a mapping or a list of mappings", event)
        return list(sources)

    def no_tag(self, event: Any, core: str) -> None:
        if event.tag not in (None, "!", _CORE + core):
            self.refuse(f"tag {event.tag!r} is not allowed: write plain values", event)


def _end(event: Any) -> int:
    return int(event.end_mark.index)


def _written(text: str, node: Node) -> Iterator[tuple[int, int]]:
    """Start and end offset in the file of every character of a scalar that is not white space, in order."""
    index, end = node.start, node.end
    while text[index : index + 1] in ("&", "!"):  # an anchor or a tag before the value
        while index < end and not text[index].isspace():
            index += 1
        while index < end and text[index].isspace():
            index += 1
    if node.style in ("|", ">"):
        index = text.find("\n", index, end) + 1 or end
    elif node.style:
        index, end = index + 1, end - 1
    while index < end:
        width, blank = 1, text[index].isspace()
        if node.style == "'" and text[index : index + 2] == "''":
            width = 2
        elif node.style == '"' and text[index] == "\\":
            letter = text[index + 1 : index + 2]
            digits = _ESCAPES.get(letter, 0)
            width = 2 + digits
            char = chr(int(text[index + 2 : index + width], 16)) if digits else letter
            blank = char.isspace() or letter in "tnvfrNLP_"
        if not blank:
            yield index, index + width
        index += width
