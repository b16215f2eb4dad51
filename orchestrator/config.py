"""The one YAML file as frozen models: read, checked against every folder's `Params`, compiled once to prove it.

Knows nothing of what signals, selectors, strategies or backends do; starts and fetches nothing.
"""

import hashlib
import json
import os
from collections.abc import Mapping, Set
from functools import cached_property
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ValidationError

from experts import registry
from experts.errors import ConfigError
from experts.sources import anchored
from experts.spec import ExpertSpec, Frozen
from orchestrator.policy_file import BACKENDS, PolicyFile
from orchestrator.policy_reader import DEFAULT_POLICY, Reader
from orchestrator.problems import Problems
from orchestrator.problems import given as given_value
from orchestrator.settings import Embeddings, Fallback, PluginFiles, PoolSettings, Server, StoreSettings
from orchestrator.yaml_marks import read_yaml
from router.embed import Embedder
from router.policy import Card, Tools, card_of
from router.spec import PolicySpec

__all__ = ["DEFAULT_POLICY", "Config", "cards", "load_config", "parse_config", "read_text", "served_config"]


class Config(Frozen):
    """Everything the file says, complete with defaults.

    `policies` holds `auto` first, then each named policy; each carries the shared signals and constraints and is
    complete in itself. `digest` is the SHA-256 of the text it was read from, in hex.
    """

    file: str
    digest: str
    experts: Mapping[str, ExpertSpec]
    policies: Mapping[str, PolicySpec]
    server: Server
    store: StoreSettings
    pool: PoolSettings
    fallback: Fallback
    embeddings: Embeddings
    plugins: PluginFiles = PluginFiles()

    @property
    def folder(self) -> Path:
        """Where relative paths of the file start."""
        return Path(self.file).absolute().parent

    @property
    def own_plugins(self) -> Path | None:
        """The folder of the user's own plugins."""
        return self.folder / Path(self.plugins.folder).expanduser() if self.plugins.folder else None

    @cached_property
    def policy_hash(self) -> str:
        """16 hex digits of what routing depends on: experts and policies, however they are written down."""
        told = json.dumps(_canonical([self.experts, self.policies]), sort_keys=True)
        return hashlib.sha256(told.encode()).hexdigest()[:16]


def load_config(path: Path, *, tools: Tools | None = None) -> Config:
    """Read and check the file at `path`. Blocks on the disk. Raises `ConfigError`, and nothing else."""
    return parse_config(read_text(path), str(path), tools=tools)


def served_config(environ: Mapping[str, str] = os.environ) -> Config:
    """The configuration `madrigal serve` runs: the file that MADRIGAL_CONFIG names, listening where MADRIGAL_HOST and
    MADRIGAL_PORT say if they are set (`--host`, `--port`). Raises `ConfigError`."""
    config = load_config(Path(environ.get("MADRIGAL_CONFIG", "madrigal.yaml")))
    given = {
        key: environ[name] for key, name in (("host", "MADRIGAL_HOST"), ("port", "MADRIGAL_PORT")) if environ.get(name)
    }
    if not given:
        return config
    try:
        server = Server.model_validate({**config.server.model_dump(), **given})
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        name = f"MADRIGAL_{str(first['loc'][0]).upper()}"
        raise ConfigError(f"{first['msg']}; {given_value(first['input'])} was given", key=name) from None
    return config.model_copy(update={"server": server})


def read_text(path: Path) -> str:
    """The file's text. Raises `ConfigError` where it is missing, unreadable or not UTF-8."""
    try:
        return path.read_bytes().decode()
    except FileNotFoundError:
        raise ConfigError(
            "there is no such file",
            file=str(path),
            remedy="Name another with --config, or copy the example madrigal.yaml.",
        ) from None
    except UnicodeDecodeError as error:
        raise ConfigError(f"not UTF-8 at byte {error.start}", file=str(path), remedy="Save it as UTF-8.") from None
    except (OSError, ValueError) as error:
        raise ConfigError(f"cannot be read: {getattr(error, 'strerror', None) or error}", file=str(path)) from None


def parse_config(text: str, file: str, *, tools: Tools | None = None) -> Config:
    """Check the text of a policy file; `file` is shown in errors. Raises `ConfigError`, and nothing else.

    A `file:` source is a path as seen from the file's folder.

    `tools` is what signals and selectors will be given; every policy is compiled with it once, to prove that it runs.
    """
    doc = read_yaml(text, file)
    data = {} if doc.data is None else doc.data
    problems = Problems(doc)
    written = problems.validate(PolicyFile, data, ())
    if not isinstance(data, dict):
        problems.check()
    folder = Path(file).absolute().parent
    reader = Reader(data, problems, folder)
    experts = {
        name: spec.model_copy(update={"source": anchored(spec.source, folder)}) if spec.source else spec
        for name, spec in reader.experts().items()
    }
    policies = reader.policies(experts)
    problems.check()
    assert written is not None, "what is no PolicyFile has problems"
    known = cards(experts)
    for policy in policies.values():
        reader.compile(policy, known, tools or Tools(embedding=Embedder(), folder=folder))  # loads no model
    problems.check()
    return Config(
        file=file,
        digest=hashlib.sha256(text.encode()).hexdigest(),
        experts=experts,
        policies=policies,
        server=written.server,
        store=written.store,
        pool=written.pool,
        fallback=written.fallback,
        embeddings=written.embeddings,
        plugins=written.plugins,
    )


def cards(experts: Mapping[str, ExpertSpec]) -> dict[str, Card]:
    """What the router must know of each expert; none is started."""
    return {
        name: card_of(spec, registry.load(BACKENDS, spec.backend).capabilities(spec)) for name, spec in experts.items()
    }


def _canonical(value: Any) -> Any:
    """`value` as JSON that is the same in every process: sets sorted, models by their fields."""
    if isinstance(value, BaseModel):
        return {name: _canonical(getattr(value, name)) for name in type(value).model_fields}
    if isinstance(value, Mapping):
        return {str(key): _canonical(inner) for key, inner in value.items()}
    if isinstance(value, Set):
        return sorted((_canonical(item) for item in value), key=str)
    if isinstance(value, list | tuple):
        return [_canonical(item) for item in value]
    return value if isinstance(value, str | int | float | bool | None) else str(value)
