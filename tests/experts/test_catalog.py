"""Experts by name: options checked by their backend, unknown names answered with close ones."""

import pytest

from experts.catalog import Catalog
from experts.errors import ConfigError, ConflictError, InputError, NotFoundError
from experts.spec import ExpertSpec


def remote(name: str, **options: object) -> ExpertSpec:
    return ExpertSpec(name=name, backend="openai", options={"url": "https://api.example.com/v1", **options})


def test_experts_come_with_backend_capabilities_and_places() -> None:
    catalog = Catalog.of([remote("frontier"), ExpertSpec(name="general", source="pypi:x==1", max_concurrent=2)])
    assert list(catalog) == ["frontier", "general"]
    assert not catalog["frontier"].capabilities.local
    assert catalog["general"].capabilities.local
    assert catalog["general"].concurrency == 2
    assert {"tools", "json_schema", "n"} <= catalog["general"].capabilities.features


def test_an_unknown_name_is_answered_with_close_ones() -> None:
    catalog = Catalog.of([remote("arithmetic"), remote("coder")])
    with pytest.raises(NotFoundError, match="did you mean arithmetic") as caught:
        catalog["aritmetic"]
    assert (caught.value.code, caught.value.param) == ("model_not_found", "model")
    with pytest.raises(NotFoundError, match="known: arithmetic, coder"):
        catalog["zzz"]


def test_options_are_the_backends_to_judge() -> None:
    with pytest.raises(ConfigError) as caught:
        Catalog.of([remote("frontier", urls=1)])
    assert caught.value.key == "experts.frontier.urls"
    assert "url, api_key_env" in str(caught.value)
    with pytest.raises(InputError, match=r"unknown backend 'gpt'; known: .*llama_cpp"):
        Catalog.of([ExpertSpec(name="x", backend="gpt")])
    with pytest.raises(ConflictError):
        Catalog.of([remote("twice"), remote("twice")])


def test_only_what_the_engine_needs_is_its_key() -> None:
    plain = Catalog.of([remote("a")])["a"]
    dearer = Catalog.of([remote("a").model_copy(update={"price": {"input": 1}, "tags": ("eu",), "timeout_s": 9.0})])[
        "a"
    ]
    elsewhere = Catalog.of([remote("a", extra_body={"top_k": 1})])["a"]
    assert plain.key == dearer.key != elsewhere.key
