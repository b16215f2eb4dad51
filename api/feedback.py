"""`POST /v1/feedback`: how good an answer was, once, by the key that asked for it."""

from fastapi import APIRouter, Request

from api.access import KeyOf, ServiceOf, body_of
from api.schemas import FEEDBACK

router = APIRouter(tags=["feedback"])


@router.post("/v1/feedback")
async def give(request: Request, service: ServiceOf, key: KeyOf) -> dict[str, str]:
    """Judge the answer with the `x-request-id` in `request_id` by a score from 0 (bad) to 1 (good)."""
    body = await body_of(request, FEEDBACK)
    await service.recorder.feedback(body["request_id"], key, body["score"], body.get("comment"))
    return {"object": "feedback", "request_id": body["request_id"]}
