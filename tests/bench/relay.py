"""The floor: the least a Python gateway can do. A key is compared, a model looked up, bytes are passed on.

uvicorn --app-dir tests/bench relay:app; UPSTREAM names the engine's URL ending in /v1, KEY the key.
"""

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import aiohttp
import orjson
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route

UPSTREAM = os.environ.get("UPSTREAM", "")
KEY = f"Bearer {os.environ.get('KEY', '')}"


async def chat(request: Request) -> Response:
    """Relay one chat completion."""
    if request.headers.get("authorization") != KEY:
        return Response(b'{"error":{"message":"wrong key"}}', 401)
    raw = await request.body()
    body = orjson.loads(raw)
    answer = await request.app.state.session.post(
        f"{UPSTREAM}/chat/completions", data=raw, headers={"content-type": "application/json"}
    )
    if not body.get("stream"):
        whole = await answer.read()
        answer.release()
        orjson.loads(whole)
        return Response(whole, answer.status, media_type="application/json")

    async def pieces() -> AsyncIterator[bytes]:
        try:
            async for piece in answer.content.iter_any():
                yield piece
        finally:
            answer.release()

    return StreamingResponse(pieces(), media_type="text/event-stream")


@asynccontextmanager
async def lifespan(app: Starlette) -> AsyncIterator[None]:
    """One HTTP client for the life of the process."""
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as session:
        app.state.session = session
        yield


app = Starlette(routes=[Route("/v1/chat/completions", chat, methods=["POST"])], lifespan=lifespan)
