"""Which schemas llama.cpp can hold an answer or a tool call to, and that the engine itself is of the same mind."""

import json
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from experts.backends import Site, llama_cpp
from experts.backends._json_schema import answer_grammar, check_arguments
from experts.errors import InputError, UnsupportedError
from experts.process import log_file
from experts.spec import ExpertSpec
from tests.fakes import until

A = {"type": "object", "properties": {"a": {"type": "string"}}, "required": ["a"]}

HELD: list[dict[str, Any]] = [
    A,
    {},
    {**A, "additionalProperties": False},
    {"type": "string", "pattern": "^[a-z]{2,3}$"},
    {"type": "string", "pattern": "^\\d+$", "minLength": 2},
    {"type": "number", "minimum": 0.5, "maximum": 1},
    {"type": "integer", "exclusiveMinimum": 3, "multipleOf": 5},
    {"type": "string", "format": "date-time"},
    {"type": "array", "items": {"type": "integer"}, "minItems": 2, "maxItems": 3},
    {"type": "array", "prefixItems": [{"type": "integer"}], "items": False},
    {"enum": [{"a": 1}, None, 1.5]},
    {"const": 'a"b\\\né'},
    {"allOf": [A, {"type": "object", "properties": {"b": {"type": "integer"}}, "required": ["b"]}]},
    {"oneOf": [{"type": "integer"}, {"type": "string"}]},
    {"type": "object", "minProperties": 2, "patternProperties": {"^x": {"type": "integer"}}},
    {"$defs": {"n": {"type": "object", "properties": {"next": {"$ref": "#/$defs/n"}}}}, "$ref": "#/$defs/n"},
    {"title": "M", "type": ["string", "null"], "default": None, "description": "not to be read as a keyword"},
    {"properties": {"not": {"type": "string"}, "if": {"type": "integer"}}, "type": "object"},
]

NOT_HELD: list[tuple[dict[str, Any], str]] = [
    ({"type": "object", "properties": {"a": {"not": {"type": "string"}}}}, "#/properties/a/not"),
    ({**A, "if": {"required": ["a"]}, "then": {"required": ["b"]}}, "#/if"),
    ({"type": "array", "uniqueItems": True}, "#/uniqueItems"),
    ({"type": "array", "contains": {"const": 1}}, "#/contains"),
    ({"type": "object", "properties": {"a": {"type": "string", "pattern": "^(?=a)b$"}}}, "#/properties/a/pattern"),
    ({"type": "string", "pattern": "^(a)\\1$"}, "#/pattern"),
    ({"type": "string", "format": "colour"}, "#/format"),
    ({"$ref": "#/nope"}, "#"),
    ({"$ref": "https://x.test/s.json"}, "#/$ref"),
    ({"type": "object", "propertyNames": {"pattern": "^a"}}, "#/propertyNames"),
    ({**A, "dependentRequired": {"a": ["b"]}}, "#/dependentRequired"),
    ({"oneOf": [{"type": "integer"}, {"type": "number"}]}, "#/oneOf"),
    ({"type": "integer", "minimum": 5, "maximum": 3}, "#"),
    ({"type": "foo"}, "#"),
]

OURS_ALONE: list[tuple[dict[str, Any], str]] = [
    ({"type": "string", "x-guidance": {"lenient": True}}, "#/x-guidance"),
    ({"type": "integer", "minimum": 2, "exclusiveMinimum": True}, "#/exclusiveMinimum"),
    ({"type": "array", "items": [{"type": "integer"}], "additionalItems": False}, "#/additionalItems"),
]
"""The engine takes these and does not do what they say."""


@pytest.mark.parametrize("schema", HELD, ids=json.dumps)
def test_held(schema: dict[str, Any]) -> None:
    assert json.dumps(schema).removesuffix("}") in answer_grammar(schema)


@pytest.mark.parametrize(("schema", "place"), NOT_HELD + OURS_ALONE, ids=lambda x: json.dumps(x)[:60])
def test_not_held_says_where(schema: dict[str, Any], place: str) -> None:
    with pytest.raises(UnsupportedError) as caught:
        answer_grammar(schema)
    assert caught.value.param == "response_format"
    assert f"at {place}" in caught.value.message


def test_what_is_no_schema_is_the_clients_mistake() -> None:
    with pytest.raises(InputError, match="must be a JSON object"):
        answer_grammar([1])
    deep: dict[str, Any] = {}
    for _ in range(5000):
        deep = {"items": deep}
    with pytest.raises(InputError, match="nested deeper than 100"):
        answer_grammar(deep)


@pytest.mark.parametrize(
    ("schema", "place"),
    [
        ({"type": "number", "minimum": 0}, "#"),
        ({"type": "string", "pattern": "^a$"}, "#/pattern"),
        ({"oneOf": [A, A]}, "#/oneOf"),
        ({"anyOf": [A, A], "required": ["a"]}, "#/required"),
        ({"type": "string", "format": "email"}, "#/format"),
        ({"type": "object", "properties": {}, "required": ["a"]}, "#/required"),
        ({"$ref": "other.json"}, "#/$ref"),
    ],
    ids=json.dumps,
)
def test_strict_tools_may_ask_less(schema: dict[str, Any], place: str) -> None:
    with pytest.raises(UnsupportedError) as caught:
        check_arguments(schema, param="tools", at="#")
    assert f"at {place}" in caught.value.message


def test_what_openai_calls_strict_passes() -> None:
    check_arguments({**A, "additionalProperties": False, "$defs": {"s": {"enum": ["a"]}}}, param="tools", at="#")
    check_arguments(
        {"type": "object", "properties": {"n": {"anyOf": [{"type": "integer", "minimum": 1}, {"type": "null"}]}}},
        param="tools",
        at="#",
    )


@pytest.mark.model
async def test_the_engine_is_of_the_same_mind(smollm2: Path, tmp_path: Path) -> None:
    """It says what it cannot compile in its log alone, and then answers as it likes."""
    spec = ExpertSpec(
        name="general", source=f"file:{smollm2}", options=llama_cpp.Params(slots=1, context=256, threads=1)
    )
    engine = llama_cpp.engine(spec, Site(tmp_path, tmp_path))
    endpoint = await engine.start()
    log = log_file(tmp_path, "general")

    def refusals() -> int:
        return log.read_text().count("llg error")

    async with aiohttp.ClientSession(headers=endpoint.headers) as http:

        async def ask(schema: dict[str, Any]) -> None:
            grammar = f"%llguidance {{}}\nstart: %json {json.dumps(schema)}"
            body = {"messages": [{"role": "user", "content": "JSON"}], "max_tokens": 1, "grammar": grammar}
            async with http.post(f"{endpoint.url}/chat/completions", json=body) as answer:
                assert answer.status == 200, await answer.text()

        for schema in HELD:
            await ask(schema)
        for number, (schema, _) in enumerate(NOT_HELD, 1):
            await ask(schema)
            await until(lambda number=number: refusals() >= number)  # its log is written a moment later
    await engine.stop()
    assert refusals() == len(NOT_HELD), "one that we call held was refused"
