"""Which decision a request gets: from a model's name to a policy, from a policy to a route. Knows no strategy's inside.

`State` is what the configuration says, `Parts` what acts; a request is given both.
"""

import random
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace

from experts.catalog import Catalog
from experts.client import Client
from experts.errors import NotFoundError
from experts.pool import Pool
from experts.registry import known, load
from orchestrator.chain import Chain
from orchestrator.config import Config
from orchestrator.durable import Durable
from orchestrator.request import ChatRequest
from orchestrator.sessions import Sessions
from orchestrator.shared import Limits
from orchestrator.store.records import RequestRecord
from orchestrator.telemetry import Telemetry
from router.policy import Policy, Route
from router.prompt import Prompt
from router.spec import Choice

STRATEGIES = "orchestrator.strategies"


@dataclass(frozen=True, slots=True)
class State:
    """Everything a reload replaces at once. A request keeps the state it began with."""

    config: Config
    policies: Mapping[str, Policy]
    catalog: Catalog
    policy_hash: str
    created: int
    chains: Mapping[tuple[str, str], Chain] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Parts:
    """What outlives reloads: the effects a request needs. `put` records; `status_of` is the API's error map; `sessions`
    remembers who answered each conversation; `durable` keeps the steps of a run by its name, where texts are kept."""

    pool: Pool
    client: Client
    limits: Limits
    telemetry: Telemetry
    put: Callable[[RequestRecord], None]
    status_of: Callable[[BaseException], int]
    keep_text: Callable[[], bool] = lambda: False
    random: Callable[[], float] = random.random
    wall: Callable[[], float] = time.time
    sessions: Sessions = field(default_factory=Sessions)
    durable: Callable[[str], Durable | None] = lambda thread: None


def resolve(state: State, model: str) -> tuple[str, str | None, str | None]:
    """(policy, expert named directly or None, strategy asked for by name or None) of a model name: `auto`, `coder`,
    `auto+self_moa`. Raises `NotFoundError`, code `model_not_found`."""
    base, plus, strategy = model.partition("+")
    if plus and strategy not in known(STRATEGIES):
        raise _no_model(f"there is no strategy {strategy!r} (model {model!r})", known(STRATEGIES))
    if base in state.policies:
        return base, None, strategy or None
    if base in state.catalog:
        return "auto", base, strategy or None
    raise _no_model(f"the model {base!r} does not exist", [*state.policies, *state.catalog])


def _no_model(message: str, names: Iterable[str]) -> NotFoundError:
    return NotFoundError(message, remedy=f"Known: {', '.join(names)}.", param="model", code="model_not_found")


def prompt_of(request: ChatRequest) -> Prompt:
    """What the router may see of a request; identity comes from the key alone."""
    key = request.key
    return Prompt.from_chat(
        request.body, headers=request.headers, user=key.user or key.name, tenant=key.tenant, roles=tuple(key.roles)
    )


async def route(state: State, parts: Parts, request: ChatRequest, prompt: Prompt) -> Route:
    """The decision for a request, no model called. Raises what no expert can mend: `NotFoundError`, `InputError`s,
    `ForbiddenError`, `UnavailableError`."""
    policy_name, expert, strategy = resolve(state, request.model)
    request.key.demand_model(request.model.partition("+")[0])
    chosen = await state.policies[policy_name].route(
        prompt,
        healthy=parts.pool.why_not,
        random=parts.random,
        clock=time.perf_counter,
        only=expert,
        previous=parts.sessions.recall(prompt, policy_name) if expert is None else None,
    )
    if strategy is None or strategy == chosen.strategy.type:
        return chosen  # a decision's own parameters stand
    return replace(chosen, strategy=Choice(type=strategy, params=load(STRATEGIES, strategy).Params()))
