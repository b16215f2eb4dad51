"""`/v1/memory`: what is remembered of the caller's user, who switches it on and off, reads it and deletes it.

Whose it is comes from the key alone; no role opens anybody else's.
"""

from fastapi import APIRouter, Request

from api.access import KeyOf, ServiceOf, body_of
from api.collections_schemas import MEMORY, Told
from orchestrator.caller import Key
from orchestrator.service import Service

router = APIRouter(tags=["memory"])


@router.get("/v1/memory")
async def get(service: ServiceOf, key: KeyOf) -> Told:
    """Whether it is on, and everything remembered, oldest first."""
    return await _told(service, key)


@router.put("/v1/memory")
async def switch(request: Request, service: ServiceOf, key: KeyOf) -> Told:
    """Switch it on or off. What is remembered stays until it is deleted."""
    body = await body_of(request, MEMORY)
    await service.memories.switch(key, body["on"])
    return await _told(service, key)


@router.delete("/v1/memory")
async def forget_all(service: ServiceOf, key: KeyOf) -> Told:
    """Delete everything remembered."""
    return {"object": "memory.deleted", "deleted": True, "count": await service.memories.forget(key)}


@router.delete("/v1/memory/{id}")
async def forget(id: str, service: ServiceOf, key: KeyOf) -> Told:
    """Delete one fact."""
    await service.memories.forget(key, id)
    return {"id": id, "object": "memory.deleted", "deleted": True, "count": 1}


async def _told(service: Service, key: Key) -> Told:
    data = [
        {"id": one.id, "object": "memory.fact", "text": one.text, "created_at": int(one.created_at.timestamp())}
        for one in await service.memories.all(key)
    ]
    return {"object": "memory", "on": await service.memories.is_on(key), "data": data}
