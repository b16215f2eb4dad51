"""Calls to experts for one request: places in the pool, fallback, backoff, and what each attempt cost.

Every strategy calls experts through `Attempts`. Knows nothing of how experts were chosen nor of HTTP to the client.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Protocol

from opentelemetry.trace import Span

from experts.adapted import Adapted, Wrapped
from experts.breaker import outcome_of
from experts.call import Answer, Call, Usage
from experts.client import Client
from experts.errors import (
    ContextLengthError,
    EngineBusyError,
    ExpertError,
    InputError,
    MadrigalError,
    UnavailableError,
    UnsupportedError,
)
from experts.failures import is_retryable
from experts.pool import Lease, Pool
from experts.spec import ExpertSpec
from orchestrator.request import Attempt
from orchestrator.telemetry import OPERATIONS, Telemetry, end_span, trace_headers


class FallbackRules(Protocol):
    """What of the configuration's `fallback:` is read here."""

    @property
    def attempts(self) -> int:
        """Calls for one request at most, over all experts."""

    @property
    def backoff_s(self) -> float:
        """Wait before the second round, doubled each round."""

    @property
    def max_backoff_s(self) -> float:
        """Longest such wait."""

    @property
    def max_retry_after_s(self) -> float:
        """Longest wish of an expert to be asked again that is still waited for."""


class Around(Protocol):
    """What is put around every single call of a request: masking what one expert must not read, for example."""

    def out(self, expert: str, call: Call) -> Call:
        """The call as this expert shall get it."""

    def back(self, expert: str, answer: Answer) -> Answer:
        """The expert's answer as everybody else shall get it."""


class Attempts:
    """The calls made for one request. `made` lists them in the order they were begun; each goes through `around`."""

    def __init__(
        self,
        pool: Pool,
        client: Client,
        rules: FallbackRules,
        telemetry: Telemetry,
        *,
        lease_wait_s: float,
        cost_usd: Callable[[str, Usage], float],
        random: Callable[[], float],
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        span: Span | None = None,
    ) -> None:
        self.made: list[Attempt] = []
        self.around: list[Around] = []
        self._pool = pool
        self._client = client
        self._rules = rules
        self._telemetry = telemetry
        self._lease_wait_s = lease_wait_s
        self._cost_usd = cost_usd
        self._random = random
        self._sleep = sleep
        self._span = span

    def spent(self) -> Usage:
        """Tokens of all calls so far."""
        return sum((made.answer.usage for made in self.made if made.answer is not None), Usage())

    async def first(
        self, experts: Sequence[str], call: Call, *, ask_usage: bool = False, role: str = "answer"
    ) -> Answer:
        """The answer of the first of `experts` that begins one, in their order, then round again after a backoff.

        Before the first byte only: what has begun is never started again elsewhere. Raises the expert's own error
        where there is only one, else `UnavailableError` that tells each one's reason; an `InputError` at once.
        """
        failed: dict[str, MadrigalError] = {}
        try:
            return await self._in_turn(list(experts), call, failed, ask_usage=ask_usage, role=role)
        finally:
            failed.clear()  # an error's traceback holds this frame: kept here, it would hold itself and the request

    async def _in_turn(
        self, left: list[str], call: Call, failed: dict[str, MadrigalError], *, ask_usage: bool, role: str
    ) -> Answer:
        """One expert of `left` after the other, in rounds; what went wrong with each goes into `failed`."""
        round_number = tried = 0
        while left:
            for name in list(left):
                if tried >= self._rules.attempts:
                    raise _all_failed(failed)
                tried += 1
                try:
                    return await self.one(name, call, ask_usage=ask_usage, role=role)
                except (ContextLengthError, UnsupportedError) as error:  # never this one; another one may
                    failed[name] = error
                    left.remove(name)
                except ExpertError as error:
                    if not is_retryable(error):
                        raise
                    failed[name] = error
            if not left or tried >= self._rules.attempts:
                break
            wait_s = self._backoff_s(round_number, [failed[name] for name in left])
            if wait_s is None:
                break
            await self._sleep(wait_s)
            round_number += 1
        raise _all_failed(failed)

    def _backoff_s(self, round_number: int, errors: Sequence[MadrigalError]) -> float | None:
        """Seconds before the next round: the soonest that an expert asked for, or exponential with jitter; None to
        give up, because every expert wants longer than the rules allow."""
        rules = self._rules
        usual = min(rules.backoff_s * 2**round_number, rules.max_backoff_s) * (0.5 + self._random() / 2)
        wishes = [float(getattr(error, "retry_after_s", None) or 0.0) for error in errors]
        soonest = min(wishes, default=0.0)
        return None if soonest > rules.max_retry_after_s else max(usual, soonest)

    async def one(self, name: str, call: Call, *, ask_usage: bool = False, role: str = "answer") -> Answer:
        """One call to one expert, no retry. Its place is held until the answer is closed.

        Raises an `ExpertError`, or the `InputError` of a call that this expert cannot do.
        """
        started = time.perf_counter()
        attempt = Attempt(expert=name, revision="", number=len(self.made) + 1, started=started, role=role)
        self.made.append(attempt)
        span = self._telemetry.start_span(
            f"{OPERATIONS[call.path]} {name}",
            {
                "gen_ai.operation.name": OPERATIONS[call.path],
                "gen_ai.request.model": name,
                "madrigal.attempt": attempt.number,
            },
            parent=self._span,
        )
        lease: Lease | None = None
        try:
            lease = await self._pool.lease(name, wait_s=self._lease_wait_s)
            attempt.waited_s = time.perf_counter() - started
            endpoint = lease.endpoint
            attempt.revision = endpoint.revision
            call = _tuned(call, lease.expert.spec)
            for one in self.around:
                call = one.out(name, call)
            bodies = lease.backend.bodies(call, endpoint)
            answer = await self._client.open(
                endpoint,
                call,
                bodies,
                ask_usage=ask_usage,
                headers={**call.headers, **trace_headers(span)} if span else call.headers,
            )
            adapt = lease.backend.adapt(call)
            attempt.answer = answer if adapt is None else Adapted(answer, adapt)
            held: Answer = _Held(attempt.answer, partial(self._end, attempt, span, lease))
            for one in reversed(self.around):
                held = one.back(name, held)
            return held
        except BaseException as error:
            self._end(attempt, span, lease, error)
            raise

    def _end(self, attempt: Attempt, span: Span | None, lease: Lease | None, error: BaseException | None) -> None:
        """Write down how an attempt ended and give its place back."""
        attempt.total_s = time.perf_counter() - attempt.started
        outcome = outcome_of(error)
        attempt.outcome = outcome.kind
        attempt.error = getattr(error, "code", None) or (type(error).__name__ if outcome.kind != "ok" else None)
        if lease is not None:
            lease.close(outcome)
        usage = attempt.answer.usage if attempt.answer is not None else Usage()
        cost_usd = self._cost_usd(attempt.expert, usage)
        self._telemetry.called(attempt.expert, attempt.outcome, usage.prompt_tokens, usage.completion_tokens, cost_usd)
        end_span(
            span,
            {
                "gen_ai.provider.name": lease.endpoint.backend if lease is not None else None,
                "gen_ai.response.model": attempt.answer.model if attempt.answer is not None else None,
                "gen_ai.usage.input_tokens": usage.prompt_tokens,
                "gen_ai.usage.output_tokens": usage.completion_tokens,
            },
            attempt.error,
        )


class _Held(Wrapped):
    """An answer together with the place its expert keeps for it: `end` gives it back when the answer is closed."""

    def __init__(self, answer: Answer, end: Callable[[BaseException | None], None]) -> None:
        super().__init__(answer)
        self._end = end
        self._error: BaseException | None = None
        self._complete = False
        self._closed = False

    async def read(self) -> bytes:
        body = await self._answer.read()
        self._complete = True
        return body

    async def __aiter__(self) -> AsyncIterator[bytes]:
        try:
            async for block in self._answer:
                yield block
            self._complete = True
        except ExpertError as error:
            self._error = error
            raise

    async def aclose(self) -> None:
        if self._closed:
            return
        self._closed = True
        error, self._error = self._error, None  # kept, it would keep this object: its traceback holds it
        if error is None and not self._complete:
            error = asyncio.CancelledError()
        self._end(error)
        await self._answer.aclose()


def _tuned(call: Call, spec: ExpertSpec) -> Call:
    """The call with the expert's own defaults, and its system prompt where it is a chat without one."""
    if not spec.defaults and spec.system_prompt is None:
        return call
    body = {**spec.defaults, **{name: value for name, value in call.body.items() if value is not None}}
    messages = body.get("messages")
    if (
        spec.system_prompt is not None
        and messages is not None
        and not any(message.get("role") in ("system", "developer") for message in messages)
    ):
        body["messages"] = [{"role": "system", "content": spec.system_prompt}, *messages]
    return replace(call, body=body)


def _all_failed(failed: Mapping[str, MadrigalError]) -> MadrigalError:
    """What to tell the client: the one expert's own error, or all reasons together."""
    errors = list(failed.values())
    if len(errors) == 1 or all(isinstance(error, InputError) for error in errors):
        return errors[0]
    waits = [error.retry_after_s for error in errors if isinstance(error, ExpertError) and error.retry_after_s]
    reasons = "; ".join(f"{name}: {error.message}" for name, error in failed.items())
    if all(isinstance(error, EngineBusyError) for error in errors):
        return EngineBusyError(f"every expert is busy ({reasons})", retry_after_s=min(waits, default=None))
    return UnavailableError(f"no expert could answer ({reasons})", retry_after_s=min(waits, default=None))
