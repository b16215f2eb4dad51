"""The experts of a policy file by name, each with its backend and what it can do. Knows nothing of what runs."""

import hashlib
import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from typing import cast

from pydantic import BaseModel, ValidationError

from experts import registry
from experts.backends import Backend
from experts.errors import ConfigError, ConflictError, NotFoundError
from experts.spec import Capabilities, ExpertSpec

_ENGINE_KEYS = ("name", "backend", "source", "sha256", "model", "context_tokens")


@dataclass(frozen=True, slots=True)
class Expert:
    """One expert: `spec` with its options validated, its `backend`, and what follows from both.

    `concurrency` is the number of calls it takes at once. Two experts with the same `key` can share an engine that
    runs: what differs between them (price, tags, limits) is not the engine's business.
    """

    spec: ExpertSpec
    backend: Backend
    capabilities: Capabilities
    concurrency: int
    key: str


class Catalog(Mapping[str, Expert]):
    """Experts by name, in the order of the file. An unknown name raises `NotFoundError` that names close ones."""

    def __init__(self, experts: Mapping[str, Expert]) -> None:
        self._experts = dict(experts)

    @classmethod
    def of(cls, specs: Iterable[ExpertSpec], *, backends: Callable[[str], Backend] | None = None) -> "Catalog":
        """Experts from their specs. Imports the backends named, starts nothing.

        Raises `ConfigError` (`key`: `experts.NAME.url`) for options its backend refuses, `InputError` for an unknown
        backend, `ConflictError` for a name given twice.
        """
        find = backends or load_backend
        experts: dict[str, Expert] = {}
        for given in specs:
            if given.name in experts:
                raise ConflictError(f"two experts are called {given.name!r}; names must differ")
            backend = find(given.backend)
            spec = _with_params(given, backend)
            experts[spec.name] = Expert(
                spec=spec,
                backend=backend,
                capabilities=backend.capabilities(spec),
                concurrency=spec.max_concurrent or backend.concurrency(spec),
                key=_engine_key(spec),
            )
        return cls(experts)

    def __getitem__(self, name: str) -> Expert:
        try:
            return self._experts[name]
        except KeyError:
            raise self._unknown(name) from None

    def __contains__(self, name: object) -> bool:
        return name in self._experts

    def __iter__(self) -> Iterator[str]:
        return iter(self._experts)

    def __len__(self) -> int:
        return len(self._experts)

    def _unknown(self, name: str) -> NotFoundError:
        close = get_close_matches(name, self._experts, n=3, cutoff=0.5)
        known = f"did you mean {' or '.join(close)}?" if close else f"known: {', '.join(self._experts) or 'none'}"
        return NotFoundError(f"there is no expert {name!r}; {known}", param="model", code="model_not_found")


def load_backend(name: str) -> Backend:
    """The file of experts/backends/ called `name`; an unknown one raises `InputError` that lists the known ones."""
    return cast(Backend, registry.load("experts.backends", name))


def _with_params(spec: ExpertSpec, backend: Backend) -> ExpertSpec:
    if isinstance(spec.options, BaseModel):
        return spec
    try:
        return spec.model_copy(update={"options": backend.Params(**spec.options)})
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(("experts", spec.name, *(str(part) for part in first["loc"])))
        known = ", ".join(backend.Params.model_fields)
        raise ConfigError(first["msg"], key=key, remedy=f"Keys of backend {spec.backend}: {known}.") from error


def _engine_key(spec: ExpertSpec) -> str:
    said = spec.model_dump(mode="json", include=set(_ENGINE_KEYS))
    said["options"] = spec.options.model_dump(mode="json") if isinstance(spec.options, BaseModel) else {}
    return hashlib.sha256(json.dumps(said, sort_keys=True).encode()).hexdigest()[:12]
