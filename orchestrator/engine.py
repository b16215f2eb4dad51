"""The life of one request: admit, route, run the strategy, hand the answer on, write down what happened.

Knows nothing of HTTP; `orchestrator/service.py` makes, reloads and stops the parts it uses.
"""

import time
from collections.abc import AsyncIterator
from functools import partial
from typing import Any

import orjson
from opentelemetry.trace import Span

from experts.call import Answer, Call, Usage
from experts.errors import StreamCutError
from experts.stream import frame
from orchestrator.attempts import Attempts
from orchestrator.jobs import carried_out, job_of
from orchestrator.request import ChatRequest, Text
from orchestrator.routing import Parts, State, prompt_of, route
from orchestrator.shared import Admission
from orchestrator.store.records import CallRecord, RequestRecord
from orchestrator.strategies import Job
from orchestrator.telemetry import OPERATIONS, end_span
from router.policy import Route
from router.prompt import Prompt
from router.route import DIRECT
from router.session import Previous


async def answer(state: State, parts: Parts, request: ChatRequest) -> "Reply":
    """Answer one request: returns once the answer has begun, or raises an error of the tree. Either way it is
    recorded and counted; a reply when it is closed."""
    reply = Reply(state, parts, request)
    try:
        await reply.begin()
    except BaseException as error:
        await reply.close(error)
        raise
    return reply


class Reply:
    """An answer on its way to the client. `headers` say who answered; `read` or iterate, then `close` it, always."""

    def __init__(self, state: State, parts: Parts, request: ChatRequest) -> None:
        self.headers: dict[str, str] = {}
        self._state = state
        self._parts = parts
        self._request = request
        self._started = time.perf_counter()
        self._created_at = parts.wall()
        self._first_byte_s: float | None = None
        self._admission: Admission | None = None
        self._prompt: Prompt | None = None
        self._route: Route | None = None
        self._attempts: Attempts | None = None
        self._job: Job | None = None
        self._answer: Answer | None = None
        self._error: BaseException | None = None
        self._said: list[bytes] = []
        self._complete = False
        self._closed = False
        self._span: Span | None = parts.telemetry.start_span(
            f"{OPERATIONS[request.path]} {request.model[:64]}",
            {
                "gen_ai.operation.name": OPERATIONS[request.path],
                "gen_ai.provider.name": "madrigal",
                "gen_ai.request.model": request.model,
                "madrigal.request.id": request.id,
            },
            headers=request.headers,
        )
        parts.telemetry.in_flight.inc()

    async def begin(self) -> None:
        """Admit, route and run the strategy until the first byte is there."""
        state, parts, request = self._state, self._parts, self._request
        prompt = self._prompt = prompt_of(request)
        self._admission = await parts.limits.admit(request.key, prompt.tokens + (prompt.max_tokens or 0))
        self.headers.update(self._admission.headers)
        before = time.perf_counter()
        chosen = self._route = await route(state, parts, request, prompt)
        parts.telemetry.routed(chosen.policy, time.perf_counter() - before)
        self.headers["x-madrigal-decision"] = chosen.decision
        if chosen.refuse is not None:
            call = Call(request.path, {}, request.stream, request_id=request.id)
            self._answer = Text(
                chosen.refuse,
                call=call,
                model=request.model,
                created=int(self._created_at),
                ask_usage=request.ask_usage,
                finish="content_filter",
            )
            self.headers.update({"x-madrigal-strategy": "refuse", "x-madrigal-attempts": "0"})
            return
        self._attempts = Attempts(
            parts.pool,
            parts.client,
            state.config.fallback,
            parts.telemetry,
            lease_wait_s=state.config.pool.max_wait_s,
            cost_usd=partial(_cost_usd, state),  # of this object it would make a cycle
            random=parts.random,
            span=self._span,
        )
        job = self._job = job_of(state, parts, request, prompt, chosen, self._attempts, int(self._created_at))
        try:
            self._answer = await carried_out(state, request, prompt, chosen, job, self.headers)
        finally:
            self.headers["x-madrigal-attempts"] = str(len(self._attempts.made))
            self.headers["x-madrigal-strategy"] = chosen.strategy.type
        self.headers["x-madrigal-expert"] = self._answer.expert
        self._first_byte_s = time.perf_counter() - self._started
        if chosen.decision != DIRECT:
            spec = state.policies[chosen.policy].spec.session
            parts.sessions.remember(prompt, chosen.policy, Previous(self._answer.expert, chosen.decision), spec)

    @property
    def stream(self) -> bool:
        """Whether to iterate over it (or else to read it)."""
        return self._request.stream

    async def read(self) -> bytes:
        """The whole JSON body, with the trace under `madrigal` where it was asked for."""
        assert self._answer is not None
        body = await self._answer.read()
        self._complete = True
        self._keep(body)
        if self._request.wants_trace:
            return orjson.dumps({**orjson.loads(body), "madrigal": self.trace()}, default=str)
        return body

    async def __aiter__(self) -> AsyncIterator[bytes]:
        """Blocks of whole SSE frames. Raises `StreamCutError` where the expert broke off."""
        assert self._answer is not None
        keep = self._parts.keep_text()
        async for block in self._answer:
            if keep:
                self._keep(block)
            if self._request.wants_trace and block.endswith(b"data: [DONE]\n\n"):
                head, _, _ = block.rpartition(b"data: [DONE]\n\n")
                last = {"object": "chat.completion.chunk", "choices": [], "madrigal": self.trace()}
                block = head + frame(last) + b"data: [DONE]\n\n"
            yield block
        self._complete = True

    def trace(self) -> dict[str, Any]:
        """Why this answer: the decision's trace, every attempt, times."""
        made = self._attempts.made if self._attempts is not None else []
        return {
            "request_id": self._request.id,
            "trace": self._route.trace() if self._route is not None else None,
            "attempts": [attempt.wire() for attempt in made],
            "notes": list(self._job.notes) if self._job is not None else [],
            "first_byte_ms": round(self._first_byte_s * 1e3, 3) if self._first_byte_s is not None else None,
            "ms": round((time.perf_counter() - self._started) * 1e3, 3),
        }

    def fail(self, error: BaseException) -> None:
        """Note an error that came after the first byte and was told to the client in the stream."""
        self._error = error

    async def close(self, error: BaseException | None = None) -> None:
        """Let go of the experts, count and record. `error` is what ended the request, if anything did. Once."""
        if self._closed:
            return
        self._closed = True
        error, self._error = error or self._error, None  # kept, it would keep this object: its traceback holds it
        try:
            if self._answer is not None:
                await self._answer.aclose()
        finally:
            await self._settle(error)

    async def _settle(self, error: BaseException | None) -> None:
        parts, request, route = self._parts, self._request, self._route
        parts.telemetry.in_flight.dec()
        total_s = time.perf_counter() - self._started
        calls = self._calls()
        tokens = sum(call.prompt_tokens + call.completion_tokens for call in calls)
        cost_usd = sum(call.cost_usd for call in calls)
        if self._admission is not None:
            await parts.limits.settle(self._admission, tokens, cost_usd)
        outcome, status, code = self._outcome(error)
        decision = route.decision if route is not None else "none"
        expert = self._answer.expert if self._answer is not None else None
        parts.telemetry.answered(
            OPERATIONS[request.path], decision, expert or "none", outcome, total_s, self._first_byte_s
        )
        if error is not None and not calls:
            parts.telemetry.refused(code or "unknown")
        if self._span is not None:
            told = {
                "madrigal.decision": decision,
                "madrigal.expert": expert,
                "gen_ai.response.model": self._answer.model if self._answer is not None else None,
                "gen_ai.usage.input_tokens": sum(call.prompt_tokens for call in calls),
                "gen_ai.usage.output_tokens": sum(call.completion_tokens for call in calls),
            }
            end_span(self._span, told, code, at_fault=status >= 500 or outcome == "cut")
        parts.put(
            RequestRecord(
                id=request.id,
                created_at=self._created_at,
                path=request.via or request.path,
                key_id=request.key.id,
                tenant=request.key.tenant,
                user=request.key.user,
                policy=route.policy if route is not None else None,
                policy_hash=self._state.policy_hash,
                decision=route.decision if route is not None else None,
                strategy=route.strategy.type if route is not None and route.refuse is None else None,
                propensity=route.propensity if route is not None else None,
                model=request.model[:200],
                expert=expert,
                stream=request.stream,
                status=status,
                outcome=outcome,
                error=code,
                prompt_tokens=sum(call.prompt_tokens for call in calls),
                completion_tokens=sum(call.completion_tokens for call in calls),
                cached_tokens=sum(call.cached_tokens for call in calls),
                cost_usd=cost_usd,
                first_token_s=self._first_byte_s,
                total_s=total_s,
                features=route.features() if route is not None else None,
                embedding=route.embedding() if route is not None else None,
                text=self._asked() if parts.keep_text() else None,
                reply=b"".join(self._said).decode("utf-8", "replace") if self._said else None,
                calls=calls,
            )
        )

    def _outcome(self, error: BaseException | None) -> tuple[str, int, str | None]:
        """(outcome, HTTP status, error code) of the whole request."""
        if error is None and (self._complete or (self._route is not None and self._route.refuse is not None)):
            return ("refused" if self._route is not None and self._route.refuse is not None else "ok"), 200, None
        if isinstance(error, StreamCutError):
            return "cut", 200, error.code
        if isinstance(error, Exception):
            code = getattr(error, "code", None) or type(error).__name__
            return "error", self._parts.status_of(error), code
        return "cancelled", 499, "client_closed_request"

    def _calls(self) -> tuple[CallRecord, ...]:
        if self._attempts is None:
            return ()
        records = []
        for made in self._attempts.made:
            usage = made.answer.usage if made.answer is not None else Usage()
            prompt_tokens = usage.prompt_tokens
            if usage.estimated and not prompt_tokens and self._prompt is not None:
                prompt_tokens = self._prompt.tokens
            records.append(
                CallRecord(
                    expert=made.expert,
                    revision=made.revision,
                    attempt=made.number,
                    prompt_tokens=prompt_tokens,
                    completion_tokens=usage.completion_tokens,
                    cached_tokens=usage.cached_tokens,
                    estimated=usage.estimated,
                    first_token_s=made.answer.first_token_s if made.answer is not None else None,
                    total_s=made.total_s,
                    cost_usd=_cost_usd(self._state, made.expert, usage),
                    outcome=made.outcome,
                    error=made.error,
                )
            )
        return tuple(records)

    def _keep(self, block: bytes) -> None:
        if self._parts.keep_text() and sum(map(len, self._said)) < 1 << 18:
            self._said.append(block)

    def _asked(self) -> str:
        asked = self._request.body.get("messages") or self._request.body.get("prompt")
        return orjson.dumps(asked).decode()


def _cost_usd(state: State, expert: str, usage: Usage) -> float:
    return state.catalog[expert].spec.price.cost_usd(usage.prompt_tokens, usage.completion_tokens)
