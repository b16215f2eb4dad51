"""`/health` (the process is alive), `/ready` (it can answer), `/metrics` (Prometheus). Open to all; they hold no text."""

import orjson
from fastapi import APIRouter
from prometheus_client import CONTENT_TYPE_LATEST
from starlette.responses import PlainTextResponse, Response

from api.access import ServiceOf

router = APIRouter(tags=["operations"])


@router.get("/health")
async def health() -> dict[str, str]:
    """Alive: the event loop turns."""
    return {"status": "ok"}


@router.get("/ready")
async def ready(service: ServiceOf) -> Response:
    """200 once the store answers and the local engines are up, else 503; which part is awaited is in the body."""
    good, told = await service.readiness()
    return Response(orjson.dumps(told), 200 if good else 503, media_type="application/json")


@router.get("/metrics", response_class=PlainTextResponse)
async def metrics(service: ServiceOf) -> Response:
    """Metrics in Prometheus' text format."""
    return Response(service.telemetry.exposition(), media_type=CONTENT_TYPE_LATEST)
