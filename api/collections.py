"""`/v1/collections`: documents that answers may rest on, by the caller's tenant. Knows nothing of how they are found.

Where keys are in use all of it needs the role collections.
"""

from typing import Annotated

from fastapi import APIRouter, Query, Request

from api.access import KeyOf, ServiceOf, body_of
from api.collections_schemas import COLLECTION, DOCUMENTS, SEARCH, Told
from orchestrator.collections import Given
from orchestrator.store.collection_table import Collection, Document

ROLE = "collections"

router = APIRouter(tags=["collections"])


@router.post("/v1/collections")
async def create(request: Request, service: ServiceOf, key: KeyOf) -> Told:
    """Make an empty collection."""
    key.demand(ROLE)
    body = await body_of(request, COLLECTION)
    return _collection(await service.collections.create(key.tenant, body["name"], body.get("description")))


@router.get("/v1/collections")
async def list_all(service: ServiceOf, key: KeyOf) -> Told:
    """Every collection of the tenant, by name."""
    key.demand(ROLE)
    return {"object": "list", "data": [_collection(one) for one in await service.collections.all(key.tenant)]}


@router.get("/v1/collections/{name}")
async def get(name: str, service: ServiceOf, key: KeyOf) -> Told:
    """One collection, with how many documents and passages it has."""
    key.demand(ROLE)
    return _collection(await service.collections.get(key.tenant, name))


@router.delete("/v1/collections/{name}")
async def delete(name: str, service: ServiceOf, key: KeyOf) -> Told:
    """Delete a collection with all its documents."""
    key.demand(ROLE)
    await service.collections.delete(key.tenant, name)
    return {"id": name, "object": "collection.deleted", "deleted": True}


@router.post("/v1/collections/{name}/documents")
async def put_documents(name: str, request: Request, service: ServiceOf, key: KeyOf) -> Told:
    """Put documents into a collection, all or none; those whose `id` is there already are replaced. Answers once they can
    be found."""
    key.demand(ROLE)
    await service.collections.get(key.tenant, name)
    body = await body_of(request, DOCUMENTS)
    given = [
        Given(one["text"], one.get("id"), one.get("title"), one.get("url"), one.get("metadata") or {})
        for one in body["documents"]
    ]
    return {
        "object": "list",
        "data": [_document(one) for one in await service.collections.put(key.tenant, name, given)],
    }


@router.get("/v1/collections/{name}/documents")
async def list_documents(
    name: str,
    service: ServiceOf,
    key: KeyOf,
    after: Annotated[str, Query(max_length=128)] = "",
    limit: Annotated[int, Query(ge=1, le=1000)] = 100,
) -> Told:
    """Documents by id, without their texts; `after` is the last id of the page before."""
    key.demand(ROLE)
    found = await service.collections.documents(key.tenant, name, after, limit + 1)
    data = [_document(one) for one in found[:limit]]
    return {"object": "list", "data": data, "has_more": len(found) > limit, "last_id": data[-1]["id"] if data else None}


@router.get("/v1/collections/{name}/documents/{id}")
async def get_document(name: str, id: str, service: ServiceOf, key: KeyOf) -> Told:
    """One document with its text."""
    key.demand(ROLE)
    found = await service.collections.document(key.tenant, name, id)
    return {**_document(found), "text": found.text}


@router.delete("/v1/collections/{name}/documents/{id}")
async def delete_document(name: str, id: str, service: ServiceOf, key: KeyOf) -> Told:
    """Delete one document."""
    key.demand(ROLE)
    await service.collections.delete_document(key.tenant, name, id)
    return {"id": id, "object": "collection.document.deleted", "deleted": True}


@router.post("/v1/collections/{name}/search")
async def search(name: str, request: Request, service: ServiceOf, key: KeyOf) -> Told:
    """The passages nearest to `query`, as the plugin rag would find them."""
    key.demand(ROLE)
    await service.collections.get(key.tenant, name)
    body = await body_of(request, SEARCH)
    hits = await service.collections.search(
        key.tenant, name, body["query"], body.get("limit", 5), body.get("by", "hybrid")
    )
    data = [
        {
            "document": hit.passage.document,
            "passage": hit.passage.seq,
            "title": hit.passage.title,
            "url": hit.passage.url,
            "text": hit.passage.text,
            "score": round(hit.score, 6),
            "similarity": round(hit.similarity, 4),
        }
        for hit in hits
    ]
    return {"object": "list", "data": data}


def _collection(one: Collection) -> Told:
    return {
        "id": one.name,
        "object": "collection",
        "name": one.name,
        "description": one.description,
        "created_at": int(one.created_at.timestamp()),
        "documents": one.documents,
        "passages": one.passages,
    }


def _document(one: Document) -> Told:
    return {
        "id": one.id,
        "object": "collection.document",
        "title": one.title,
        "url": one.url,
        "metadata": dict(one.metadata),
        "created_at": int(one.created_at.timestamp()),
        "passages": one.count,
    }
