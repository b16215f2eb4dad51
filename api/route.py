"""`POST /v1/route`: what would be decided for a request, and why; no model is called."""

from typing import Any

import orjson
from fastapi import APIRouter, Request
from starlette.responses import Response

from api.access import KeyOf, ServiceOf, body_of
from api.chat import check
from api.schemas import CHAT
from orchestrator.request import ChatRequest
from orchestrator.routing import prompt_of, route

router = APIRouter(tags=["routing"])


@router.post("/v1/route")
async def explain(request: Request, service: ServiceOf, key: KeyOf) -> Response:
    """The trace of the decision for a chat body. Needs the role `trace` where keys are in use."""
    if service.keys.required:
        key.demand("trace")
    body: dict[str, Any] = await body_of(request, CHAT)
    check(body)
    context = request.scope["madrigal"]
    asked = ChatRequest(
        id=context.request_id,
        path="chat/completions",
        body=body,
        model=body["model"],
        key=key,
        headers=context.headers,
    )
    chosen = await route(service.state, service.parts, asked, prompt_of(asked))
    return Response(orjson.dumps(chosen.trace(), default=str), media_type="application/json")
