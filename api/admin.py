"""`GET /v1/usage`: what a key has used. Its own for everybody, anyone's for the role admin."""

from dataclasses import asdict
from datetime import date
from typing import Any, Literal

from fastapi import APIRouter

from api.access import KeyOf, ServiceOf
from experts.errors import NotFoundError
from orchestrator.store import queries

router = APIRouter(tags=["usage"])


@router.get("/v1/usage")
async def usage(
    service: ServiceOf,
    key: KeyOf,
    of: str | None = None,
    since: date | None = None,
    until: date | None = None,
    by: Literal["day", "expert", "decision", "key"] = "day",
) -> dict[str, Any]:
    """Requests, tokens and cost, grouped; days are UTC's, both ends included. `of` names another key (role admin);
    `of=*` counts all keys together."""
    key_id: str | None = key.id
    if of is not None and of not in (key.id, key.name):
        key.demand("admin")
        key_id = None if of == "*" else await _id_of(service, of)
    elif by == "key":
        key.demand("admin")
    await service.recorder.flush()
    rows = await queries.usage(service.store, key_id=key_id, since=since, until=until, by=by)
    return {"object": "list", "by": by, "data": [asdict(row) for row in rows]}


async def _id_of(service: ServiceOf, name_or_id: str) -> str:
    for key in await service.keys.list(revoked=True):
        if name_or_id in (key.id, key.name):
            return key.id
    raise NotFoundError(f"no key is named {name_or_id!r}", param="of")
