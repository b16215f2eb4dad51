"""The reference part of docs/policy.md, written from the models that read the policy file, so that it cannot drift.

Knows nothing of files: it makes the text, and `madrigal policy reference --update` writes it.
"""

import inspect
import json
from collections.abc import Collection, Iterator, Mapping
from typing import Any

from pydantic import BaseModel

from experts import registry
from orchestrator.cases import Case
from orchestrator.policy_file import BACKENDS, PLUGINS, SELECTORS, SIGNALS, STRATEGIES
from orchestrator.schema import json_schema

BEGIN = "<!-- from here on generated: madrigal policy reference --update docs -->"
END = "<!-- up to here generated -->"

_SECTIONS = ("server", "store", "pool", "fallback", "embeddings")
_FOLDERS = (
    (SIGNALS, "signal_type", "Signals", "`signals: {name: {type: …, …}}`. Every signal also has"),
    (SELECTORS, "selector", "Selectors", "`select: name` or `select: {type: name, …}`."),
    (STRATEGIES, "strategy", "Strategies", "`strategy: name` or `strategy: {type: name, …}`."),
    (PLUGINS, "plugin", "Plugins", "`plugins: [name, {type: name, …}]`."),
)


def reference() -> str:
    """Every key of the policy file, in Markdown."""
    return "\n".join(_reference(json_schema()))


def updated(page: str) -> str:
    """`page` with its generated part written anew. Raises `ValueError` where the marks are missing."""
    head, begin, rest = page.partition(BEGIN)
    _, end, tail = rest.partition(END)
    if not begin or not end:
        raise ValueError(f"the page must hold the lines {BEGIN} and {END}")
    return f"{head}{BEGIN}\n\n{reference()}\n{END}{tail}"


def parameters(model: type[BaseModel]) -> Iterator[str]:
    """The parameters of one file of a folder, as a Markdown table."""
    schema = model.model_json_schema()
    yield from _table(schema.get("properties", {}), schema.get("$defs", {}), schema.get("required", ()))


def rows(model: type[BaseModel]) -> Iterator[tuple[str, str, str, str]]:
    """The same for a terminal: name, kind of value, default, meaning."""
    schema = model.model_json_schema()
    definitions = schema.get("$defs", {})
    for name, value in schema.get("properties", {}).items():
        default = "required" if name in schema.get("required", ()) else _default(value)
        kind, default = _kind(value, definitions).replace("`", ""), default.replace("`", "")
        yield name, kind, default, str(value.get("description", ""))


def _reference(schema: Mapping[str, Any]) -> Iterator[str]:
    definitions = schema["$defs"]
    yield "## Every key\n\n### Top of the file\n"
    yield from _table(schema["properties"], definitions)
    yield "### A decision\n"
    yield from _model(definitions, "DecisionRow")
    yield "### A constraint\n"
    yield from _model(definitions, "ConstraintRow")
    yield "What `require` may demand:\n"
    yield from _model(definitions, "Requirement")
    yield f"### session\n\n{definitions['SessionSpec']['description']}\n"
    yield from _model(definitions, "SessionSpec")
    yield from _experts(schema)
    for package, prefix, title, said in _FOLDERS:
        yield f"### {title}\n\n{said}\n"
        if package == SIGNALS:
            on_error = definitions[f"{prefix}.{registry.known(package)[0]}"]["properties"]["on_error"]
            yield from _table({"on_error": on_error}, definitions)
        yield from _files(package, prefix, definitions, skip=("type", "on_error"))
    for section in _SECTIONS:
        model = schema["properties"][section]["$ref"].rpartition("/")[2]
        yield f"### {section}\n\n{definitions[model]['description']}\n"
        yield from _model(definitions, model)
        for nested in {"server": ("KeySpec", "Limits")}.get(section, ()):
            yield f"{definitions[nested]['description']}\n"
            yield from _model(definitions, nested)
    yield "### A case of `madrigal policy test`\n"
    case = Case.model_json_schema()
    yield from _table(case["properties"], case["$defs"], case["required"])


def _experts(schema: Mapping[str, Any]) -> Iterator[str]:
    definitions = schema["$defs"]
    backends = {name: definitions[f"backend.{name}"]["properties"] for name in registry.known(BACKENDS)}
    shared = set.intersection(*(set(properties) for properties in backends.values())) - {"backend"}
    own = {name: set(registry.load(BACKENDS, name).Params.model_json_schema()["properties"]) for name in backends}
    common = {key: value for key, value in next(iter(backends.values())).items() if key in shared}
    common = {key: value for key, value in common.items() if not all(key in keys for keys in own.values())}
    yield "### An expert\n"
    yield f"`backend` is one of {', '.join(f'`{name}`' for name in backends)}; default `llama_cpp`.\n"
    yield from _table(common, definitions)
    yield from _files(BACKENDS, "backend", definitions, skip=("backend", *common))


def _files(package: str, prefix: str, definitions: Mapping[str, Any], skip: tuple[str, ...]) -> Iterator[str]:
    if not registry.known(package):
        yield "None yet.\n"
    for name in registry.known(package):
        about = (inspect.getdoc(registry.load(package, name)) or "").partition("\n\n")[0].replace("\n", " ")
        yield f"#### `{name}`\n\n{about}\n"
        definition = definitions[f"{prefix}.{name}"]
        own = {key: value for key, value in definition.get("properties", {}).items() if key not in skip}
        yield from _table(own, definitions, definition.get("required", ()))


def _table(
    properties: Mapping[str, Any], definitions: Mapping[str, Any], required: Collection[str] = ()
) -> Iterator[str]:
    if not properties:
        yield "No keys of its own.\n"
        return
    yield "| key | value | default | meaning |\n|---|---|---|---|"
    for key, value in properties.items():
        meaning = " ".join(str(value.get("description", "")).split()).replace("|", "\\|")
        yield f"| `{key}` | {_kind(value, definitions)} | {'required' if key in required else _default(value)} | {meaning} |"
    yield ""


def _kind(value: Mapping[str, Any], definitions: Mapping[str, Any]) -> str:
    if "$ref" in value:
        name = value["$ref"].rpartition("/")[2]
        return "a mapping" if "properties" in definitions.get(name, {}) else f"a {name.replace('_', ' ')}"
    if "enum" in value:
        return ", ".join(f"`{word}`" for word in value["enum"])
    if "const" in value:
        return f"`{value['const']}`"
    if "anyOf" in value:
        return " or ".join(
            dict.fromkeys(_kind(one, definitions) for one in value["anyOf"] if one.get("type") != "null")
        )
    match value.get("type"):
        case "array":
            inner = value.get("items", {})
            return f"list of {_kind(inner, definitions)}" if inner else "list"
        case "object":
            return "a mapping"
        case "string":
            return "text"
        case "boolean":
            return "`true`, `false`"
        case "integer" | "number" as number:
            return ("whole number" if number == "integer" else "number") + _range(value)
    return "anything"


def _range(value: Mapping[str, Any]) -> str:
    bounds = (("minimum", "≥"), ("exclusiveMinimum", ">"), ("maximum", "≤"), ("exclusiveMaximum", "<"))
    told = [f"{sign} {value[key]:g}" for key, sign in bounds if key in value]
    return f" {', '.join(told)}" if told else ""


def _default(value: Mapping[str, Any]) -> str:
    default = value.get("default")
    if default is None or default == [] or default == "" or isinstance(default, dict):
        return ""
    return f"`{json.dumps(default, ensure_ascii=False)}`"


def _model(definitions: Mapping[str, Any], name: str) -> Iterator[str]:
    return _table(definitions[name]["properties"], definitions, definitions[name].get("required", ()))
