"""What llama.cpp can hold an answer to, asked before it is asked: the engine itself ignores what it cannot express.

Two compilers sit in the engine. Answers (`response_format`) go through llguidance, whose Python package holds the very
same compiler: it says what it refuses. Tool arguments go through llama.cpp's own grammar, which knows little of JSON
Schema and says nothing: there, only what is known to be enforced passes. Knows nothing of HTTP.
"""

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any

from experts.errors import InputError, UnsupportedError

_NOTES = frozenset(
    [
        "$schema",
        "$id",
        "$comment",
        "$defs",
        "definitions",
        "title",
        "description",
        "default",
        "examples",
        "deprecated",
        "readOnly",
        "writeOnly",
    ]
)
_TOOL_KEYS = _NOTES | frozenset(
    [
        "$ref",
        "type",
        "properties",
        "required",
        "additionalProperties",
        "items",
        "enum",
        "const",
        "anyOf",
        "minItems",
        "maxItems",
        "minLength",
        "maxLength",
        "minimum",
        "maximum",
        "exclusiveMinimum",
        "exclusiveMaximum",
        "format",
    ]
)
_TOOL_FORMATS = frozenset(("date", "time", "date-time", "uuid"))
_DEEPEST = 100  # both compilers give up a little deeper
_BOUNDS = ("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum")
_IGNORED = ("additionalItems", "x-guidance", "contentSchema")
"""Keys that llguidance takes for notes, or that would loosen what it enforces."""
_SPACING = {"whitespace_flexible": False, "item_separator": ", ", "key_separator": ": "}
"""One line, spaced as most JSON is. Free to, small models fill it with blank lines: of 27 answers of SmolLM2 (three
schemas, 100 tokens at most) 21 were complete, at 47 tokens each; so 27, at 19."""


def answer_grammar(schema: Any, *, param: str = "response_format") -> str:
    """The grammar that holds an answer to this JSON Schema, in the form the engine's `grammar` takes.

    Raises `UnsupportedError` naming keyword and place for what the engine would not enforce, `InputError` for what is
    no schema. Takes about a millisecond.
    """
    from llguidance import LLMatcher  # 8 MB that only requests with a schema need

    if not isinstance(schema, Mapping):
        raise InputError(f"the schema must be a JSON object, not {json.dumps(schema)[:50]}", param=param)
    for place, part in _parts(schema):
        for key in _IGNORED:
            if key in part:
                raise _refused(param, f"{place}/{key}", f"the keyword {key}")
        for key in ("exclusiveMinimum", "exclusiveMaximum"):
            if isinstance(part.get(key), bool):
                raise _refused(param, f"{place}/{key}", f"a boolean {key} (draft 4)", "Give it the number itself.")
    grammar = f"%llguidance {{}}\nstart: %json {json.dumps({**schema, 'x-guidance': _SPACING})}"
    fault = LLMatcher.validate_grammar(grammar)
    if fault:
        said = fault.partition("failed to compile JSON schema: ")[2] or fault
        lines = [line.strip() for line in said.splitlines() if not re.match(r" *(\d+ \||\^+$)", line)]
        raise _refused(param, _place_of(schema, " ".join(lines)), "; ".join(line.rstrip(":") for line in lines if line))
    return grammar


def check_arguments(schema: Any, *, param: str, at: str) -> None:
    """Raise `UnsupportedError` where a strict function's parameters say more than the engine enforces in tool calls."""
    if not isinstance(schema, Mapping):
        raise InputError(f"{at} must be a JSON object", param=param)
    for place, part in _parts(schema, at):
        for key in part:
            if key not in _TOOL_KEYS:
                raise _refused(param, f"{place}/{key}", f"the keyword {key}")
        if "$ref" in part and not str(part["$ref"]).startswith("#/"):
            raise _refused(param, f"{place}/$ref", f"the reference {part['$ref']!r}", "Refer to #/$defs/….")
        alone = [key for key in ("$ref", "anyOf") if key in part]
        if alone and (more := [key for key in part if key not in _NOTES and key not in alone[:1]]):
            raise _refused(param, f"{place}/{more[0]}", f"{more[0]} beside {alone[0]}")
        if any(key in part for key in _BOUNDS) and part.get("type") != "integer":
            raise _refused(param, place, "a range of a number that is no integer")
        if "format" in part and (part["format"] not in _TOOL_FORMATS or "minLength" in part or "maxLength" in part):
            raise _refused(param, f"{place}/format", f"the format {part['format']!r}")
        if missing := set(part.get("required", ())) - set(part.get("properties", ())):
            raise _refused(param, f"{place}/required", f"a required property without a schema ({min(missing)})")


def _refused(param: str, place: str, what: str, remedy: str | None = None) -> UnsupportedError:
    return UnsupportedError(
        f"llama.cpp cannot hold an answer to this schema: {what}, at {place}",
        param=param,
        remedy=remedy or "Leave it out of the schema and check it in your code, or use an expert of another backend.",
    )


def _parts(schema: Any, place: str = "#", depth: int = 0) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Every subschema with its JSON pointer; the values of const, enum, default and examples are data, not schemas."""
    if depth > _DEEPEST:
        raise InputError(f"the schema is nested deeper than {_DEEPEST} levels, at {place[:100]}…")
    if not isinstance(schema, Mapping):
        return
    yield place, schema
    for key, value in schema.items():
        here = f"{place}/{key}"
        if key in ("properties", "patternProperties", "$defs", "definitions", "dependentSchemas"):
            if isinstance(value, Mapping):
                for name, inner in value.items():
                    yield from _parts(inner, f"{here}/{name}", depth + 1)
        elif key in ("anyOf", "oneOf", "allOf", "prefixItems", "items") and isinstance(value, list):
            for number, inner in enumerate(value):
                yield from _parts(inner, f"{here}/{number}", depth + 1)
        elif key not in ("const", "enum", "default", "examples"):
            yield from _parts(value, here, depth + 1)


def _place_of(schema: Mapping[str, Any], reason: str) -> str:
    """Pointer to the first keyword or value that the compiler's words name, or to the whole schema."""
    for place, part in _parts(schema):
        for key, value in part.items():
            named = f'"{key}"' in reason or (key == "oneOf" and "oneOf" in reason)
            if named or (isinstance(value, str) and len(value) > 2 and key not in _NOTES and value in reason):
                return f"{place}/{key}"
    return "#"
