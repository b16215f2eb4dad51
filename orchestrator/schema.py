"""The JSON schema of the policy file, composed from the file's shape and the `Params` of every folder's files.

Knows nothing of YAML. What only code can tell (expressions, names that must exist, patterns) is left to the loader.
"""

from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel

from experts import registry
from experts.spec import ExpertSpec
from orchestrator.policy_file import BACKENDS, PLUGINS, SELECTORS, SIGNALS, STRATEGIES, PolicyFile, kind_of
from orchestrator.policy_reader import COMMON

ON_ERROR = {
    "enum": ["match", "no_match", "fail"],
    "description": "what a failure to compute it means; default: fail for guards and what a constraint reads, else no_match",
}

WHEN = {"type": "string", "description": "an expression over signals; where it is false the plugin takes no part"}


def json_schema() -> dict[str, Any]:
    """The schema (draft 2020-12) of madrigal.yaml, for editors and for checks before a deployment.

    Whatever it refuses, the loader refuses.
    """
    definitions: dict[str, Any] = {}
    schema = _adopt(PolicyFile.model_json_schema(), definitions)
    common = _adopt(ExpertSpec.model_json_schema(), definitions)["properties"]
    expert = {key: common[key] for key in common if key in COMMON and key != "backend"}
    definitions[_ref(BACKENDS)] = _branches(BACKENDS, "backend", expert, definitions, default="llama_cpp")
    definitions[_ref(SIGNALS)] = _branches(SIGNALS, "type", {"on_error": ON_ERROR}, definitions)
    for package in (SELECTORS, STRATEGIES):
        full = _branches(package, "type", {}, definitions)
        definitions[_ref(package)] = {"anyOf": [{"enum": _without_needs(package)}, full]}
    full = _branches(PLUGINS, "type", {"when": WHEN}, definitions)
    full["properties"]["type"] = {"type": "string", "description": "a plugin's file, or one of your own"}
    definitions[_ref(PLUGINS)] = {"anyOf": [{"type": "string"}, full]}
    top = {key: schema[key] for key in ("description", "type", "properties", "additionalProperties")}
    used = _used(top, definitions)
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Madrigal policy file",
        **top,
        "$defs": {name: definitions[name] for name in sorted(used)},
    }


def _branches(
    package: str, key: str, shared: Mapping[str, Any], definitions: dict[str, Any], default: str | None = None
) -> dict[str, Any]:
    """A mapping whose other keys depend on what `key` names: one branch for every file of `package`.

    Written as if/then, so that an editor's complaint is about the branch that was meant.
    """
    known = registry.known(package)
    choice: dict[str, Any] = {"enum": list(known), "description": f"{kind_of(package)}: one of the folder's files"}
    if default:
        choice["default"] = default
    branches = []
    for name in known:
        model: type[BaseModel] = registry.load(package, name).Params
        own = _adopt(model.model_json_schema(), definitions)
        own["properties"] = {key: {"const": name}, **shared, **own.get("properties", {})}
        own["title"] = f"{kind_of(package)} {name}"
        definitions[f"{_ref(package)}.{name}"] = own
        chosen: dict[str, Any] = {"properties": {key: {"const": name}}}
        if name != default:
            chosen["required"] = [key]
        branches.append({"if": chosen, "then": {"$ref": f"#/$defs/{_ref(package)}.{name}"}})
    made: dict[str, Any] = {"type": "object", "properties": {key: choice}, "allOf": branches}
    if not default:
        made["required"] = [key]
    if not branches:
        del made["allOf"]
    return made


def _without_needs(package: str) -> list[str]:
    """Files of `package` whose parameters all have defaults: their name alone is enough."""

    def needs(model: type[BaseModel]) -> bool:
        return any(field.is_required() for field in model.model_fields.values())

    return [name for name in registry.known(package) if not needs(registry.load(package, name).Params)]


def _adopt(schema: dict[str, Any], definitions: dict[str, Any]) -> dict[str, Any]:
    """Move a pydantic schema's own definitions into `definitions`, and point its folder marks at theirs."""
    for name, definition in schema.pop("$defs", {}).items():
        pointed = _pointed(definition)
        assert definitions.setdefault(name, pointed) == pointed, f"two models of Params are named {name}"
    adopted: dict[str, Any] = _pointed(schema)
    return adopted


def _pointed(value: Any) -> Any:
    if isinstance(value, dict):
        if isinstance(folder := value.get("folder"), str):
            rest = {key: _pointed(inner) for key, inner in value.items() if key not in ("folder", "title")}
            return {"$ref": f"#/$defs/{_ref(folder)}", **rest}
        return {key: _pointed(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [_pointed(inner) for inner in value]
    return value


def _used(value: Any, definitions: Mapping[str, Any]) -> set[str]:
    """Names of the definitions that `value` leads to."""
    found: set[str] = set()
    waiting = [value]
    while waiting:
        one = waiting.pop()
        if isinstance(one, dict):
            name = str(one.get("$ref", "")).rpartition("/")[2]
            if name in definitions and name not in found:
                found.add(name)
                waiting.append(definitions[name])
            waiting += one.values()
        elif isinstance(one, list):
            waiting += one
    return found


def _ref(package: str) -> str:
    return kind_of(package).replace(" ", "_")
