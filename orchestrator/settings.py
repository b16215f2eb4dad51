"""The sections of the policy file that are not about routing: server, store, pool, fallback. Knows nothing of YAML.

Every field has a default and a description; both appear in the JSON schema and in docs/policy.md.
"""

import os
import re
from collections.abc import Mapping
from typing import Literal

from pydantic import Field, field_validator, model_validator

from experts.errors import ConfigError
from experts.spec import Frozen

_LOOPBACK = ("127.0.0.1", "::1", "localhost")


class Limits(Frozen):
    """What one key may use. A limit left out is none."""

    requests_per_minute: int | None = Field(None, ge=1, description="requests it may start in any minute")
    tokens_per_minute: int | None = Field(None, ge=1, description="prompt and completion tokens in any minute")
    budget_usd: float | None = Field(None, ge=0, description="what it may spend in `budget_period`, in US dollars")
    budget_period: Literal["total", "day", "month"] = Field(
        "month", description="when the budget starts anew: day and month are UTC's; total: never"
    )


class KeySpec(Frozen):
    """A key that comes from the environment. Others are made while running: `madrigal keys`."""

    name: str = Field(min_length=1, description="shown in usage and logs; unique")
    key_env: str = Field(min_length=1, description="environment variable that holds the secret")
    tenant: str = Field("default", min_length=1, description="whose requests these are")
    user: str | None = Field(None, description="who the caller is, for signals and the log; default: unknown")
    roles: tuple[str, ...] = Field((), description="admin and trace open parts of the API; others are for policies")
    models: tuple[str, ...] = Field((), description="model names it may call, prefix/* allowed; none: all")
    limits: Limits = Field(Limits(), description="requests, tokens and dollars")

    @field_validator("key_env")
    @classmethod
    def _variable(cls, name: str) -> str:
        if not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", name):
            raise ValueError("must be the name of an environment variable, not the secret itself")
        return name


class Server(Frozen):
    """Where and how the API listens."""

    host: str = Field("127.0.0.1", min_length=1, description="address to listen on; beyond loopback only with keys")
    port: int = Field(8080, ge=0, le=65535, description="TCP port; 0: any free one")
    workers: int = Field(1, ge=1, le=64, description="processes that answer requests")
    keys: tuple[KeySpec, ...] = Field((), description="keys whose secrets are in the environment")
    hosts: tuple[str, ...] = Field(
        (), description="further names in Host headers that are answered to, as chat.example.org; * for any"
    )
    origins: tuple[str, ...] = Field((), description="web pages that may call, as https://chat.example.org; * for any")
    drain_s: float = Field(30.0, ge=0, le=3600, description="on SIGTERM, seconds that running answers get to finish")
    max_body_mb: float = Field(32.0, gt=0, le=1024, description="largest request body, in MB; larger: 413")
    max_in_flight: int = Field(1024, ge=1, description="requests at once in each worker; more: 429 with retry-after")
    log_level: Literal["debug", "info", "warning", "error"] = Field("info", description="what the log on stderr shows")

    @property
    def loopback(self) -> bool:
        """Whether only this machine can reach it."""
        return self.host in _LOOPBACK or self.host.startswith("127.")

    @field_validator("keys")
    @classmethod
    def _unique(cls, keys: tuple[KeySpec, ...]) -> tuple[KeySpec, ...]:
        names = [key.name for key in keys]
        if twice := sorted({name for name in names if names.count(name) > 1}):
            raise ValueError(f"two keys are named {twice[0]!r}")
        return keys

    @field_validator("origins")
    @classmethod
    def _origins(cls, origins: tuple[str, ...]) -> tuple[str, ...]:
        for origin in origins:
            if origin != "*" and not re.fullmatch(r"https?://[^/\s]+", origin):
                raise ValueError(f"{origin!r} is no origin: write scheme and host, e.g. https://chat.example.org")
        return origins


class StoreSettings(Frozen):
    """Where requests, outcomes, feedback and keys are kept."""

    url: str | None = Field(
        None,
        description="sqlite:///file.db or postgresql://host/name; default: a SQLite file in the user's data folder",
    )
    url_env: str | None = Field(None, description="environment variable that holds the URL, where it has a password")
    keep: Literal["none", "features", "text"] = Field(
        "features", description="what is kept of a request: nothing, its signals and outcome, or its text too"
    )
    retention_days: float | None = Field(30.0, gt=0, description="requests older than this are deleted; null: never")

    def address(self, environ: Mapping[str, str] = os.environ) -> str | None:
        """The database's URL, None for the default file. Raises `ConfigError` where `url_env` names no variable."""
        if self.url_env is None:
            return self.url
        if not environ.get(self.url_env):
            raise ConfigError(
                f"the environment variable {self.url_env} is not set",
                key="store.url_env",
                remedy=f"Set it: export {self.url_env}=…",
            )
        return environ[self.url_env]

    @model_validator(mode="after")
    def _once(self) -> "StoreSettings":
        if self.url and self.url_env:
            raise ValueError("the URL is written down or in the environment, not both")
        return self


class PoolSettings(Frozen):
    """How local engines are kept running."""

    cache: str | None = Field(
        None, min_length=1, description="folder of pulled models; default: the user's cache folder"
    )
    logs: str | None = Field(None, min_length=1, description="folder of the engines' output; default: beside the cache")
    max_wait_s: float = Field(30.0, gt=0, le=3600, description="longest wait for a place on an expert; longer: 429")


class Fallback(Frozen):
    """What happens when an expert fails before the first byte."""

    attempts: int = Field(3, ge=1, le=20, description="calls for one answer at most, over all its experts")
    backoff_s: float = Field(
        0.25, ge=0, le=60, description="wait before the same expert is tried again; doubles each time"
    )
    max_backoff_s: float = Field(8.0, ge=0, le=300, description="longest such wait")
    max_retry_after_s: float = Field(
        10.0, ge=0, le=300, description="longest retry-after of an expert that is waited for; longer: the next expert"
    )


class Embeddings(Frozen):
    """The sentence embedder behind /v1/embeddings and the signals that need it."""

    max_inputs: int = Field(2048, ge=1, description="texts in one request to /v1/embeddings")


class PluginFiles(Frozen):
    """A user's own plugins."""

    folder: str | None = Field(
        None, min_length=1, description="folder of own plugins, a Python file each, seen from the policy file's folder"
    )
