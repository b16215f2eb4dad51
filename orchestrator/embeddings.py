"""The life of one embedding request: admit, encode, write down what happened. Knows nothing of HTTP or of the model."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from experts.errors import InputError, NotFoundError
from orchestrator.caller import Key
from orchestrator.routing import Parts, State
from orchestrator.shared import Admission
from orchestrator.store.records import RequestRecord
from orchestrator.telemetry import end_span
from router.embed import MAX_TOKENS, MODEL, Embedder, Encoded
from router.prompt import estimate

_OPERATION = "embeddings"


@dataclass(frozen=True, slots=True)
class EmbeddingRequest:
    """What a client asked, valid in form; `headers` are lower-case and hold no credentials."""

    id: str
    model: str
    texts: Sequence[str]
    key: Key
    headers: Mapping[str, str] = field(default_factory=dict)


async def embed(
    state: State, parts: Parts, embedder: Embedder, request: EmbeddingRequest
) -> tuple[Encoded, Mapping[str, str]]:
    """The texts as vectors, and headers that tell the key's limits. Recorded and counted, however it ends.

    Raises `NotFoundError` for another model, `ForbiddenError`, `InputError` for too many texts, `LimitError`, and what
    the embedder raises.
    """
    started, created_at = time.perf_counter(), parts.wall()
    span = parts.telemetry.start_span(
        f"{_OPERATION} {MODEL}",
        {
            "gen_ai.operation.name": _OPERATION,
            "gen_ai.provider.name": "madrigal",
            "gen_ai.request.model": request.model,
            "madrigal.request.id": request.id,
        },
        headers=request.headers,
    )
    parts.telemetry.in_flight.inc()
    admission: Admission | None = None
    encoded: Encoded | None = None
    error: BaseException | None = None
    try:
        _check(request, state.config.embeddings.max_inputs)
        asked = sum(min(MAX_TOKENS, int(estimate(text)) + 2) for text in request.texts)
        admission = await parts.limits.admit(request.key, asked)
        encoded = await embedder.encode(request.texts)
        return encoded, admission.headers
    except BaseException as raised:
        error = raised
        raise
    finally:
        tokens = sum(encoded.tokens) if encoded is not None else 0
        if admission is not None:
            await parts.limits.settle(admission, tokens, 0.0)
        total_s = time.perf_counter() - started
        outcome, status, code = _outcome(parts, error)
        expert = MODEL if encoded is not None else None
        parts.telemetry.in_flight.dec()
        parts.telemetry.answered(_OPERATION, "none", expert or "none", outcome, total_s, None)
        if error is not None:
            parts.telemetry.refused(code or "unknown")
        end_span(span, {"gen_ai.usage.input_tokens": tokens}, code, at_fault=status >= 500)
        parts.put(
            RequestRecord(
                id=request.id,
                created_at=created_at,
                path=_OPERATION,
                key_id=request.key.id,
                tenant=request.key.tenant,
                user=request.key.user,
                policy_hash=state.policy_hash,
                model=request.model[:200],
                expert=expert,
                status=status,
                outcome=outcome,
                error=code,
                prompt_tokens=tokens,
                total_s=total_s,
            )
        )


def _check(request: EmbeddingRequest, max_inputs: int) -> None:
    if request.model != MODEL:
        raise NotFoundError(
            f"the model {request.model!r} does not exist, or makes no embeddings",
            remedy=f"Known: {MODEL}.",
            param="model",
            code="model_not_found",
        )
    request.key.demand_model(MODEL)
    if len(request.texts) > max_inputs:
        raise InputError(
            f"input holds {len(request.texts)} texts; at most {max_inputs} are taken in one request",
            remedy="Send them in several; the limit is embeddings.max_inputs in the configuration.",
            param="input",
            code="invalid_value",
        )


def _outcome(parts: Parts, error: BaseException | None) -> tuple[str, int, str | None]:
    """(outcome, HTTP status, error code), as for a chat."""
    if error is None:
        return "ok", 200, None
    if isinstance(error, Exception):
        return "error", parts.status_of(error), getattr(error, "code", None) or type(error).__name__
    return "cancelled", 499, "client_closed_request"
