"""The published schema, the reference and the examples against the loader: none may drift from it."""

import copy
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from experts import registry
from experts.errors import ConfigError
from orchestrator.config import parse_config
from orchestrator.policy_file import BACKENDS, SELECTORS, SIGNALS, STRATEGIES
from orchestrator.reference import reference, updated
from orchestrator.schema import json_schema
from orchestrator.yaml_marks import read_yaml

ROOT = Path(__file__).parents[2]
SCHEMA = json_schema()
VALIDATOR = Draft202012Validator(SCHEMA)
EXAMPLES = {
    name: read_yaml((ROOT / name).read_text(), name).data for name in ("madrigal.yaml", "docs/examples/everything.yaml")
}
EVERYTHING = EXAMPLES["docs/examples/everything.yaml"]


def refusals(data: Any) -> list[str]:
    return [f"{error.json_path}: {error.message}" for error in VALIDATOR.iter_errors(data)]


def loads(data: Any) -> bool:
    try:
        parse_config(json.dumps(data), str(ROOT / "docs/examples/m.yaml"))  # JSON is YAML; paths are seen from there
    except ConfigError:
        return False
    return True


def test_the_schema_is_a_schema_and_every_key_is_described():
    Draft202012Validator.check_schema(SCHEMA)
    undescribed = [
        (place, name)
        for place, definition in {"": SCHEMA, **SCHEMA["$defs"]}.items()
        for name, value in definition.get("properties", {}).items()
        if not {"description", "const"} & set(value)
    ]
    assert undescribed == []


@pytest.mark.parametrize("name", EXAMPLES)
def test_the_schema_accepts_the_examples(name: str):
    assert refusals(EXAMPLES[name]) == []


def test_what_is_published_is_what_the_code_says():
    remedy = "run: madrigal policy reference --update docs"
    published = (ROOT / "docs/policy.schema.json").read_text(encoding="utf-8")
    assert json.loads(published) == json.loads(json.dumps(SCHEMA)), remedy
    page = (ROOT / "docs/policy.md").read_text(encoding="utf-8")
    assert updated(page) == page, remedy


def test_the_reference_has_every_file_of_every_folder():
    page = reference()
    for package in (BACKENDS, SIGNALS, SELECTORS, STRATEGIES):
        for name in registry.known(package):
            assert f"#### `{name}`" in page


def test_the_example_with_everything_has_every_key():
    missing = {
        "the top": set(SCHEMA["properties"]) - set(EVERYTHING),
        "a named policy": _keys("NamedPolicy") - set(EVERYTHING["policies"]["cheap"]),
        "a decision": _keys("DecisionRow") - _union(EVERYTHING["decisions"]),
        "a constraint": _keys("ConstraintRow") - _union(EVERYTHING["constraints"]),
        "require": _keys("Requirement") - set(EVERYTHING["constraints"][0]["require"]),
        "a key": _keys("KeySpec") - set(EVERYTHING["server"]["keys"][0]),
        "limits": _keys("Limits") - set(EVERYTHING["server"]["keys"][0]["limits"]),
        "server": _keys("Server") - set(EVERYTHING["server"]),
        "store": _keys("StoreSettings") - {"url_env"} - set(EVERYTHING["store"]),
        "pool": _keys("PoolSettings") - set(EVERYTHING["pool"]),
        "fallback": _keys("Fallback") - set(EVERYTHING["fallback"]),
        "embeddings": _keys("Embeddings") - set(EVERYTHING["embeddings"]),
    }
    experts, signals = EVERYTHING["experts"].values(), EVERYTHING["signals"].values()
    given_experts = _union(experts)
    for backend in registry.known(BACKENDS):
        missing[backend] = _keys(f"backend.{backend}") - given_experts
    for kind in registry.known(SIGNALS):
        some_scope = {"scope"} | ({"case_sensitive"} if kind == "structure" else set())
        used = _union(s for s in signals if s["type"] == kind) | {"on_error"} | some_scope
        missing[kind] = _keys(f"signal_type.{kind}") - used
    assert {place: keys for place, keys in missing.items() if keys} == {}


@pytest.mark.parametrize(
    "bad",
    [
        {"expert": {}},
        {"experts": {}},
        {"experts": {"a": {"source": 5}}},
        {"experts": {"a": {"backend": "openai"}}},
        {"experts": {"a": {"backend": "vlm", "source": "file:x"}}},
        {"experts": {"a": {"source": "file:x", "url": "http://x/v1"}}},
        {"signals": {"s": {"any": ["x"]}}},
        {"signals": {"s": {"type": "keyword", "any": "x"}}},
        {"signals": {"s": {"type": "context", "any": ["x"]}}},
        {"signals": {"s": {"type": "keyword", "any": ["x"], "on_error": "ignore"}}},
        {"decisions": []},
        {"decisions": [{"when": "x"}]},
        {"decisions": [{"use": "general", "select": "weighted"}]},
        {"decisions": [{"use": "general", "select": {"type": "static", "x": 1}}]},
        {"decisions": [{"use": "general", "strategy": "doble"}]},
        {"decisions": [{"use": "general", "plugins": [{"type": "reply"}]}]},
        {"constraints": [{"require": {"local": True}}]},
        {"policies": {"p": {}}},
        {"order": "random"},
        {"server": {"port": "8080"}},
        {"server": {"prot": 8080}},
        {"server": {"keys": [{"name": "a"}]}},
        {"store": {"keep": "all"}},
        {"store": {"retention_days": 0}},
        ["a"],
    ],
)
def test_both_refuse(bad: Any):
    assert refusals(bad) != []
    assert not loads(bad)


JUNK = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-3, 10**6),
    st.floats(-2, 2, allow_nan=False),
    st.sampled_from(["", "x", "static", "general", "fail", "a b", "`", "not", "8080"]),
    st.builds(list),
    st.builds(dict),
    st.builds(lambda: {"type": "keyword", "any": ["x"]}),
    st.builds(lambda: [{"use": "small"}]),
)
KEYS = st.sampled_from(
    ["x", "type", "any", "in", "use", "when", "backend", "url", "source", "name", "port", "select", ""]
)


@st.composite
def mutants(draw: st.DrawFn) -> Any:
    """An example with one to three values removed, replaced, renamed or added, anywhere."""
    data = copy.deepcopy(EXAMPLES[draw(st.sampled_from(sorted(EXAMPLES)))])
    for _ in range(draw(st.integers(1, 3))):
        holders = list(_holders(data))
        holder = holders[draw(st.integers(0, len(holders) - 1))]
        keys = list(holder) if isinstance(holder, dict) else list(range(len(holder)))
        match draw(st.sampled_from(["remove", "replace", "rename", "add"])):
            case "remove" if keys:
                del holder[draw(st.sampled_from(keys))]
            case "replace" if keys:
                holder[draw(st.sampled_from(keys))] = draw(JUNK)
            case "rename" if keys and isinstance(holder, dict):
                holder[draw(KEYS)] = holder.pop(draw(st.sampled_from(keys)))
            case _ if isinstance(holder, dict):
                holder[draw(KEYS)] = draw(JUNK)
            case _:
                holder.append(draw(JUNK))
    return data


@settings(max_examples=400, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(mutants())
def test_what_the_schema_refuses_the_loader_refuses(data: Any):
    accepted = loads(data)  # and nothing but ConfigError is ever raised
    assert not accepted or refusals(data) == []


@settings(max_examples=200, deadline=None)
@given(st.data())
def test_damaged_files_are_refused_or_read_and_never_crash(data: st.DataObject):
    text = (ROOT / data.draw(st.sampled_from(sorted(EXAMPLES)))).read_text()
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, len(text)))
        cut = data.draw(st.integers(0, 12))
        text = (
            text[:at]
            + data.draw(st.text(st.sampled_from("{}[]:,-?|>'\"&*!#%@ \n\tax0é"), max_size=4))
            + text[at + cut :]
        )
    try:
        parse_config(text, "m.yaml")
    except ConfigError as error:
        assert error.line is None or 1 <= error.line <= text.count("\n") + 2


def _holders(value: Any) -> Iterator[Any]:
    if isinstance(value, dict | list):
        yield value
        for inner in value.values() if isinstance(value, dict) else value:
            yield from _holders(inner)


def _keys(definition: str) -> set[str]:
    return set(SCHEMA["$defs"][definition]["properties"])


def _union(rows: Any) -> set[str]:
    return set().union(*rows)
