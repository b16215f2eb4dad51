"""`POST /v1/embeddings`: texts to vectors by the one sentence embedder, which loads at the first request.

Of a text the first 256 tokens are read, as by the reference model; `usage` counts what was read, and the answer lists
texts that were cut in `madrigal.truncated`. Knows nothing of the model.
"""

import base64
from typing import TYPE_CHECKING, Any

import orjson
from fastapi import APIRouter, Request
from starlette.responses import Response

from api.access import KeyOf, ServiceOf, body_of
from api.embeddings_schemas import EMBEDDINGS, refusal
from orchestrator.embeddings import EmbeddingRequest, embed
from router.embed import MODEL, Encoded

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

router = APIRouter(tags=["embeddings"])


@router.post("/v1/embeddings")
async def create(request: Request, service: ServiceOf, key: KeyOf) -> Response:
    """Vectors of unit length, in the order of `input`; float, or base64 of little-endian float32."""
    context = request.scope["madrigal"]
    body = await body_of(request, EMBEDDINGS, refusal)
    texts = [body["input"]] if isinstance(body["input"], str) else body["input"]
    with service.place() as state:
        asked = EmbeddingRequest(context.request_id, body["model"], texts, key, context.headers)
        encoded, headers = await embed(state, service.parts, service.embedder, asked)
    told = wire(encoded, as_base64=body.get("encoding_format") == "base64")
    payload = orjson.dumps(told, option=orjson.OPT_SERIALIZE_NUMPY)
    return Response(payload, headers=dict(headers), media_type="application/json")


def wire(encoded: Encoded, *, as_base64: bool) -> dict[str, Any]:
    """OpenAI's answer, with rows of `encoded` in it where not `as_base64`."""
    tokens = sum(encoded.tokens)
    told: dict[str, Any] = {
        "object": "list",
        "data": [
            {"object": "embedding", "index": index, "embedding": _base64(row) if as_base64 else row}
            for index, row in enumerate(encoded.vectors)
        ],
        "model": MODEL,
        "usage": {"prompt_tokens": tokens, "total_tokens": tokens},
    }
    if any(encoded.truncated):
        told["madrigal"] = {"truncated": [index for index, cut in enumerate(encoded.truncated) if cut]}
    return told


def _base64(row: "NDArray[np.float32]") -> str:
    return base64.b64encode(row.astype("<f4").tobytes()).decode()
