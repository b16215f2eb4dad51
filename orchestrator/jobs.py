"""A route carried out: the job that its strategy works on, by way of the decision's plugins. Knows nothing of records.

Nothing here holds the reply, so that a finished request is freed at once.
"""

import time
from collections.abc import Callable, Container, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

from experts.call import Answer, Call
from experts.errors import UnavailableError
from experts.pool import Pool
from experts.registry import load
from orchestrator.attempts import Attempts
from orchestrator.chain import Chain
from orchestrator.plugins import Turn
from orchestrator.request import ChatRequest, Summed
from orchestrator.routing import STRATEGIES, Parts, State, prompt_of, route
from orchestrator.strategies import Job
from router.policy import Policy, Route
from router.prompt import Message, Prompt
from router.spec import Choice


def job_of(
    state: State, parts: Parts, request: ChatRequest, prompt: Prompt, chosen: Route, attempts: Attempts, created: int
) -> Job:
    """What the route's strategy works on."""
    policy = state.policies[chosen.policy]
    return Job(
        Call(request.path, _without_model(request.body), request.stream, prompt.needs, request.id),
        [score.expert for score in chosen.experts],
        attempts,
        request.ask_usage,
        scores={score.expert: score.score for score in chosen.experts},
        permits=chosen.permits,
        judge=partial(_judge, policy, chosen, prompt),
        holds=partial(_holds, policy, prompt),
        context_tokens=partial(_context_tokens, parts.pool),
        reroute=partial(_reroute, state, parts, request),
        created=created,
        random=parts.random,
        durable=parts.durable(f"{request.thread}/{chosen.strategy.type}") if request.thread is not None else None,
    )


async def carried_out(
    state: State, request: ChatRequest, prompt: Prompt, chosen: Route, job: Job, headers: dict[str, str]
) -> Answer:
    """The answer, once it has begun: by way of the decision's plugins, where it has any; they may add `headers`."""
    chain = state.chains.get((chosen.policy, chosen.decision))
    if chain is None:
        return await _run(job, chosen.strategy)
    return await _through(chain, state.policies[chosen.policy], request, prompt, chosen, job, headers)


async def _through(
    chain: Chain,
    policy: Policy,
    request: ChatRequest,
    prompt: Prompt,
    chosen: Route,
    job: Job,
    headers: dict[str, str],
) -> Answer:
    turn = Turn(
        call=job.call,
        experts=list(job.experts),
        route=chosen,
        prompt=prompt,
        key=request.key,
        model=request.model,
        created=job.created,
        ask_usage=job.ask_usage,
        judge=job.judge,
        again=partial(_again, job, chosen.strategy),
        around=job.attempts.around,
        headers=headers,
        notes=job.notes,
    )
    return await chain.run(turn, await policy.open_plugins(chosen), partial(_ask, turn, job, chosen.strategy))


async def _run(job: Job, strategy: Choice) -> Answer:
    return await load(STRATEGIES, strategy.type).run(job, strategy.params)  # type: ignore[no-any-return]


async def _ask(turn: Turn, job: Job, strategy: Choice) -> Answer:
    """Ask the experts that the plugins left, what they made of the request."""
    return await _run(_left(job, turn.call, turn.experts), strategy)


async def _again(job: Job, strategy: Choice, call: Call, experts: Sequence[str]) -> Answer:
    """Ask once more; the usage is that of all calls so far."""
    once = replace(_left(job, call, experts), ask_usage=False, durable=None)
    return Summed(await _run(once, strategy), job.attempts.spent, ask_usage=job.ask_usage)


def _left(job: Job, call: Call, experts: Sequence[str]) -> Job:
    """The job with what plugins made of the request. An expert that they took out is asked for nothing, not even where
    a parameter names it. Raises `UnavailableError` where they left nobody."""
    if not experts:
        raise UnavailableError("the plugins of this decision left no expert to ask")
    gone = set(job.experts).difference(experts)
    permits = partial(_permitted, job.permits, gone) if gone else job.permits
    return replace(job, call=call, experts=list(experts), permits=permits)


def _permitted(permits: Callable[[str], str | None], gone: Container[str], expert: str) -> str | None:
    return "a plugin took it out" if expert in gone else permits(expert)


async def _judge(policy: Policy, route: Route, prompt: Prompt, text: str) -> Callable[[str], str | None]:
    """Whom the constraints keep from a text that is not the user's, as if the same user had sent it."""
    if not policy.spec.constraints:
        return lambda expert: None
    bounds = await policy.bounds(_beside(prompt, text), clock=time.perf_counter)
    if bounds.refusal is not None:
        name = bounds.refusal.name
        return lambda expert: f"the constraint {name!r} refuses it"
    return lambda expert: route.permits(expert, bounds.demands)


async def _holds(policy: Policy, prompt: Prompt, rule: str, text: str) -> bool:
    """Whether an expression over the policy's signals is true of a text that is not the user's."""
    return await policy.holds(rule, _beside(prompt, text), clock=time.perf_counter)


def _beside(prompt: Prompt, text: str) -> Prompt:
    return replace(prompt, messages=(Message("user", text),), token_counts=(), _memo={})


def _context_tokens(pool: Pool, expert: str) -> int | None:
    return pool.capabilities(expert).context_tokens


async def _reroute(state: State, parts: Parts, request: ChatRequest, messages: Sequence[Mapping[str, Any]]) -> Route:
    """The decision for a sub-task: the request's policy asked about other messages."""
    body = {"model": request.model, "messages": list(messages)}
    return await route(state, parts, request, prompt_of(replace(request, body=body)))


def _without_model(body: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in body.items() if key not in ("model", "stream", "madrigal")}
