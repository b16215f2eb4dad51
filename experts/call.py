"""One call to one expert and what it cost. Knows nothing of HTTP frameworks, policies or strategies."""

from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol


@dataclass(frozen=True, slots=True)
class Usage:
    """Tokens of one call. `estimated` is true where the engine gave no count and deltas were counted instead."""

    prompt_tokens: int = 0
    completion_tokens: int = 0
    cached_tokens: int = 0
    estimated: bool = False

    def __add__(self, other: "Usage") -> "Usage":
        return Usage(
            self.prompt_tokens + other.prompt_tokens,
            self.completion_tokens + other.completion_tokens,
            self.cached_tokens + other.cached_tokens,
            self.estimated or other.estimated,
        )

    def wire(self) -> dict[str, Any]:
        """As OpenAI writes it; the three keys clients pop unconditionally are always there."""
        return {
            "prompt_tokens": self.prompt_tokens,
            "completion_tokens": self.completion_tokens,
            "total_tokens": self.prompt_tokens + self.completion_tokens,
            "prompt_tokens_details": {"cached_tokens": self.cached_tokens},
        }


@dataclass(frozen=True, slots=True)
class Call:
    """One request to one expert, in OpenAI's wire form.

    `body` is the client's body without `model`; `needs` are the features it uses, each with the parameter that asks
    for it (`{"json_schema": "response_format"}`). `headers` are sent besides the endpoint's own.
    """

    path: Literal["chat/completions", "completions"]
    body: Mapping[str, Any]
    stream: bool = False
    needs: Mapping[str, str] = field(default_factory=dict)
    request_id: str = ""
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Where an engine that is up can be called: everything a worker needs, nothing of its process.

    `url` ends in `/v1`; `model` is the name to send; `stream_usage` is false for servers that refuse
    `stream_options`. `lacks` are features its model turned out not to have, beyond what the backend said beforehand.
    An engine with `stream_only` notices that its caller left only while it streams: it is asked for a stream also where
    one JSON answer is wanted. Frames that hold `skip` are for us alone (a prompt's progress) and are not passed on.
    """

    expert: str
    backend: str
    url: str
    model: str
    headers: Mapping[str, str] = field(default_factory=dict)
    timeout_s: float = 600.0
    first_token_timeout_s: float = 120.0
    context_tokens: int | None = None
    stream_usage: bool = True
    extra_body: Mapping[str, Any] = field(default_factory=dict)
    revision: str = ""
    lacks: frozenset[str] = frozenset()
    stream_only: bool = False
    skip: bytes = b""


class Answer(Protocol):
    """One call's answer while it is received. Iterate (a stream) or `read` (a whole body), then `aclose`."""

    @property
    def expert(self) -> str:
        """Alias of the expert that answers."""

    @property
    def model(self) -> str:
        """What the engine calls itself."""

    @property
    def usage(self) -> Usage:
        """Tokens so far: deltas counted (`estimated`) until the engine has told."""

    @property
    def finish(self) -> Mapping[int, str]:
        """Finish reason by choice, as far as known."""

    @property
    def first_token_s(self) -> float | None:
        """Seconds from sending the call to the first byte of its answer."""

    async def read(self) -> bytes:
        """The whole JSON body of an answer that is no stream."""

    def __aiter__(self) -> AsyncIterator[bytes]:
        """Blocks of whole SSE frames, the last ending in `[DONE]`. Raises `StreamCutError` if the engine broke off."""

    async def aclose(self) -> None:
        """Let go of the engine; one that is still generating stops."""
