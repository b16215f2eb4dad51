"""Any server that speaks OpenAI's API: nothing to start, requests pass through as they are.

Knows nothing of what the server runs; `without` and `features` in the policy file say what it cannot do.
"""

import asyncio
import hashlib
import json
import os
from collections.abc import Mapping, Sequence
from typing import Any, get_args
from urllib.parse import urlsplit, urlunsplit

from pydantic import Field, field_validator

from experts.backends import Site
from experts.backends._secret import Secret
from experts.call import Call, Endpoint
from experts.errors import ConfigError, UnsupportedError
from experts.spec import Capabilities, ExpertSpec, Feature, Frozen

_ALL: frozenset[Feature] = frozenset(get_args(Feature))
_ASSUMED = _ALL - {"images", "audio", "web_search", "echo", "suffix", "best_of", "logits"}


class Params(Frozen):
    """Where the server is and what it wants to hear."""

    url: str = Field(description="base URL of the API, up to and including /v1")
    api_key_env: str | None = Field(
        None, description="environment variable that holds the API key; none: no key is sent"
    )
    headers: Mapping[str, str] = Field(default_factory=dict, repr=False, description="sent with every call")
    stream_usage: bool = Field(True, description="false for servers that refuse stream_options")
    extra_body: Mapping[str, Any] = Field(default_factory=dict, description="added to every request")
    features: tuple[Feature, ...] | None = Field(
        None, description="what it can do; default: all but images, audio, web_search, echo, suffix, best_of and logits"
    )
    concurrency: int = Field(64, ge=1, description="calls sent to it at once")

    @field_validator("url")
    @classmethod
    def _base_url(cls, url: str) -> str:
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise ValueError(f"must be an http or https URL such as https://api.example.com/v1, not {url!r}")
        if parts.username or parts.password:
            raise ValueError("must hold no user or password: name the variable that holds the key in api_key_env")
        if parts.query or parts.fragment:
            raise ValueError(f"must be a base URL without ? and #, not {url!r}")
        return urlunsplit((parts.scheme, parts.netloc, parts.path.rstrip("/"), "", ""))


def capabilities(spec: ExpertSpec) -> Capabilities:
    """Local only where the host is this machine, unless the policy file says otherwise."""
    params = _params(spec)
    features = _ASSUMED if params.features is None else frozenset(params.features)
    local = _is_loopback(params.url) if spec.local is None else spec.local
    return Capabilities(features=features - set(spec.without), context_tokens=spec.context_tokens, local=local)


def concurrency(spec: ExpertSpec) -> int:
    return _params(spec).concurrency


def engine(spec: ExpertSpec, site: Site) -> "Remote":
    return Remote(spec)


def bodies(call: Call, endpoint: Endpoint) -> Sequence[dict[str, Any]]:
    """The client's body as it is. A feature the server is said to lack raises `UnsupportedError`."""
    for feature, param in call.needs.items():
        if feature in endpoint.lacks:
            raise UnsupportedError(f"expert {endpoint.expert} cannot do {param} ({feature})", param=param)
    return [dict(call.body)]


def adapt(call: Call) -> None:
    """The server speaks OpenAI's words already."""
    return


class Remote:
    """A server that somebody else runs."""

    pid: int | None = None

    def __init__(self, spec: ExpertSpec) -> None:
        self._spec = spec

    async def start(self) -> Endpoint:
        """Where it is. Does not call it. Raises `ConfigError` where the key's variable is not set."""
        spec, params = self._spec, _params(self._spec)
        headers = dict(params.headers)
        if params.api_key_env is not None:
            headers["Authorization"] = f"Bearer {_key(spec.name, params.api_key_env)}"
        model = spec.model or spec.name
        return Endpoint(
            expert=spec.name,
            backend=spec.backend,
            url=params.url,
            model=model,
            headers=Secret(headers),
            timeout_s=spec.timeout_s,
            first_token_timeout_s=spec.first_token_timeout_s,
            context_tokens=spec.context_tokens,
            stream_usage=params.stream_usage,
            extra_body=params.extra_body,
            revision=_revision(params.url, model, params.extra_body),
            lacks=_ALL - capabilities(spec).features,
        )

    async def stop(self, grace_s: float = 5.0) -> None:
        """Nothing to stop."""

    async def exited(self) -> str:
        """Never returns: whether it can be reached is for its calls to find out."""
        await asyncio.Event().wait()
        raise AssertionError("nobody sets this event")


def _key(name: str, variable: str) -> str:
    key = os.environ.get(variable, "").strip()
    if not key:
        raise ConfigError(
            f"the environment variable {variable} must hold the API key, and it is not set",
            key=f"experts.{name}.api_key_env",
            remedy=f"Run `export {variable}=…` before starting the server, or leave api_key_env out.",
        )
    return key


def _params(spec: ExpertSpec) -> Params:
    return spec.options if isinstance(spec.options, Params) else Params.model_validate(spec.options)


def _is_loopback(url: str) -> bool:
    host = urlsplit(url).hostname or ""
    return host in ("localhost", "::1") or host.startswith("127.")


def _revision(url: str, model: str, extra_body: Mapping[str, Any]) -> str:
    said = json.dumps([url, model, extra_body], sort_keys=True, default=str)
    return hashlib.sha256(said.encode()).hexdigest()[:12]
