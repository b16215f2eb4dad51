"""What the engine hands over for the log, once per request. Knows nothing of databases."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

Keep: TypeAlias = Literal["none", "features", "text"]
"""What the log keeps. `none`: only totals per key and day; `features`: everything but text; `text`: text too."""


@dataclass(frozen=True, slots=True)
class CallRecord:
    """One call to one expert. `attempt` counts from 1; `error` is a code, never text of the request.

    `estimated` is true where the engine gave no token count and ours stands in.
    """

    expert: str
    revision: str = ""
    attempt: int = 1
    prompt_tokens: int = 0
    completion_tokens: int = 0
    cached_tokens: int = 0
    estimated: bool = False
    first_token_s: float | None = None
    total_s: float | None = None
    cost_usd: float = 0.0
    outcome: str = "ok"
    error: str | None = None


@dataclass(frozen=True, slots=True)
class RequestRecord:
    """One request, as answered.

    `id` is our x-request-id; `created_at` its start in seconds since the epoch; `key_id` whose it was. `model` is what
    the client asked for, `expert` who answered, `propensity` the probability with which that expert was chosen (0..1).
    `features` are the decision's signals: JSON-able and without the user's text, which belongs into `text` and `reply`
    alone (they are kept only where the configuration says so). `embedding` is float32, little-endian. `calls` are in
    the order they were made; where there are any, their tokens and cost are what the key has used.
    """

    id: str
    created_at: float
    path: str
    key_id: str
    tenant: str = "default"
    user: str | None = None
    policy: str | None = None
    policy_hash: str | None = None
    decision: str | None = None
    strategy: str | None = None
    propensity: float | None = None
    model: str | None = None
    expert: str | None = None
    stream: bool = False
    status: int = 200
    outcome: str = "ok"
    error: str | None = None
    prompt_tokens: int = 0
    completion_tokens: int = 0
    cached_tokens: int = 0
    cost_usd: float = 0.0
    first_token_s: float | None = None
    total_s: float | None = None
    features: Mapping[str, Any] | None = None
    embedding: bytes | None = None
    text: str | None = None
    reply: str | None = None
    calls: tuple[CallRecord, ...] = ()


@dataclass(frozen=True, slots=True)
class UsageRow:
    """Totals of one group: a day (`2026-01-31`, UTC), an expert, a decision or a key id; `""` where there was none.

    `requests` counts answers given, by the expert that gave them; `calls` counts calls made to experts. Tokens and
    `cost_usd` (US dollars) are those of the calls.
    """

    group: str
    requests: int
    calls: int
    prompt_tokens: int
    completion_tokens: int
    cached_tokens: int
    cost_usd: float
