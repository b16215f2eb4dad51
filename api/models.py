"""`GET /v1/models` and `/v1/models/{id}`: policies, which are virtual models, and each expert directly."""

from typing import Any

from fastapi import APIRouter

from api.access import KeyOf, ServiceOf
from experts import registry
from experts.errors import NotFoundError
from orchestrator.caller import Key
from orchestrator.routing import STRATEGIES
from orchestrator.service import Service
from router.embed import DIMENSIONS, MAX_TOKENS, MODEL

router = APIRouter(tags=["models"])


@router.get("/v1/models")
async def list_models(service: ServiceOf, key: KeyOf) -> dict[str, Any]:
    """Every model this key may name: `auto` and the other policies first, then the experts, last the embedder."""
    return {"object": "list", "data": [entry for entry in entries(service) if key.may_use(entry["id"])]}


@router.get("/v1/models/{model:path}")
async def get_model(model: str, service: ServiceOf, key: KeyOf) -> dict[str, Any]:
    """One model."""
    return find(service, key, model)


def find(service: Service, key: Key, model: str) -> dict[str, Any]:
    """The entry of one model, also of one with a strategy behind it (`auto+self_moa`). Raises `NotFoundError`."""
    known = [entry for entry in entries(service) if key.may_use(entry["id"])]
    base, plus, strategy = model.partition("+")
    for entry in known:
        answers = entry["madrigal"]["kind"] != "embedder"
        if entry["id"] == base and (not plus or (answers and strategy in registry.known(STRATEGIES))):
            return {**entry, "id": model}
    raise NotFoundError(
        f"the model {model!r} does not exist",
        remedy=f"Known: {', '.join(entry['id'] for entry in known)}.",
        param="model",
        code="model_not_found",
    )


def entries(service: Service) -> list[dict[str, Any]]:
    """OpenAI's model objects, with what is particular to us under `madrigal`."""
    state = service.state
    told = []
    for name, spec in state.config.policies.items():
        about: dict[str, Any] = {
            "kind": "policy",
            "description": spec.description or None,
            "decisions": [decision.name for decision in spec.decisions],
        }
        told.append(_entry(name, state.created, "madrigal", about))
    status = {one.name: one for one in service.pool.status()}
    for name, expert in state.catalog.items():
        now = status.get(name)
        about = {
            "kind": "expert",
            "description": expert.spec.description or None,
            "backend": expert.spec.backend,
            "state": now.state if now is not None else "stopped",
            "revision": now.revision if now is not None else None,
            "features": sorted(expert.capabilities.features),
            "context_tokens": expert.capabilities.context_tokens,
            "local": expert.capabilities.local,
            "skills": list(expert.spec.skills),
            "price": expert.spec.price.model_dump(),
        }
        told.append(_entry(name, state.created, expert.spec.backend, about))
    about = {
        "kind": "embedder",
        "description": "Sentence embeddings: POST /v1/embeddings",
        "state": "ready" if service.embedder.loaded else "stopped",
        "dimensions": DIMENSIONS,
        "context_tokens": MAX_TOKENS,
        "local": True,
    }
    told.append(_entry(MODEL, state.created, "sentence-transformers", about))
    return told


def _entry(name: str, created: int, owner: str, about: dict[str, Any]) -> dict[str, Any]:
    return {"id": name, "object": "model", "created": created, "owned_by": owner, "madrigal": about}
