"""The published OpenAPI: adds what the plain ASGI routes cannot tell FastAPI about themselves."""

from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from pydantic import TypeAdapter

from api.collections_schemas import COLLECTION, DOCUMENTS, MEMORY, SEARCH
from api.embeddings_schemas import EMBEDDINGS
from api.responses_schemas import RESPONSE
from api.schemas import CHAT, COMPLETION, FEEDBACK

_REF = "#/components/schemas/{model}"
_ERROR = {
    "type": "object",
    "required": ["error"],
    "properties": {
        "error": {
            "type": "object",
            "required": ["message", "type", "param", "code"],
            "properties": {
                "message": {"type": "string"},
                "type": {"type": "string"},
                "param": {"type": ["string", "null"]},
                "code": {"type": ["string", "null"]},
            },
        }
    },
}
_BODIES: dict[str, tuple[TypeAdapter[Any], str, str]] = {
    "/v1/collections": (COLLECTION, "Make an empty collection", "collections"),
    "/v1/collections/{name}/documents": (DOCUMENTS, "Put documents into a collection", "collections"),
    "/v1/collections/{name}/search": (SEARCH, "Find passages", "collections"),
    "/v1/memory": (MEMORY, "Switch memory on or off", "memory"),
    "/v1/chat/completions": (CHAT, "Answer a chat by the policy or expert named in `model`", "chat"),
    "/v1/completions": (COMPLETION, "Continue a text", "chat"),
    "/v1/responses": (RESPONSE, "Answer by OpenAI's Responses API; nothing is kept", "chat"),
    "/v1/embeddings": (EMBEDDINGS, "Turn texts into vectors", "embeddings"),
    "/v1/route": (CHAT, "Explain the decision for a chat, calling no model", "routing"),
    "/v1/feedback": (FEEDBACK, "Judge an answer", "feedback"),
}
_PUT = ("/v1/memory",)
_STREAMED = ("/v1/chat/completions", "/v1/completions", "/v1/responses")


def publish(app: FastAPI) -> None:
    """Make `app.openapi()` tell the whole API. Computed once, when first asked."""

    def document() -> dict[str, Any]:
        if app.openapi_schema is None:
            app.openapi_schema = describe(app)
        return app.openapi_schema

    app.openapi = document  # type: ignore[method-assign]


def describe(app: FastAPI) -> dict[str, Any]:
    """The OpenAPI document of `app`."""
    document = get_openapi(title=app.title, version=app.version, description=app.description, routes=app.routes)
    schemas = document.setdefault("components", {}).setdefault("schemas", {})
    schemas["Error"] = _ERROR
    bodies, shared = TypeAdapter.json_schemas(  # together, so that types of one name in two files keep apart
        [(path, "validation", adapter) for path, (adapter, _, _) in _BODIES.items()], ref_template=_REF
    )
    schemas.update(shared.get("$defs", {}))
    for path, (_, summary, tag) in _BODIES.items():
        operation = (
            document["paths"]
            .setdefault(path, {})
            .setdefault("put" if path in _PUT else "post", {"responses": {"200": {}}})
        )
        operation.setdefault("summary", summary)
        operation.setdefault("tags", [tag])
        body = {"schema": bodies[path, "validation"]}
        operation["requestBody"] = {"required": True, "content": {"application/json": body}}
        operation["responses"]["200"] = {"description": "Done", "content": {"application/json": {}}}
        if path in _STREAMED:
            operation["responses"]["200"]["content"]["text/event-stream"] = {}
    wrong = {
        "description": "What was wrong",
        "content": {"application/json": {"schema": {"$ref": _REF.format(model="Error")}}},
    }
    for operations in document["paths"].values():
        for operation in operations.values():
            operation["responses"].pop("422", None)
            operation["responses"]["4XX"] = wrong
            operation["responses"]["5XX"] = wrong
    document["components"]["securitySchemes"] = {"key": {"type": "http", "scheme": "bearer"}}
    document["security"] = [{"key": []}, {}]
    return document
