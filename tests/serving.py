"""Runs the real application under a real uvicorn on a free port, in the test's own event loop."""

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import uvicorn

from api.app import build
from orchestrator.config import parse_config
from orchestrator.service import Service
from tests.fakes import until


@dataclass
class Served:
    """A running server: `url` without /v1, an HTTP client whose base it is, and the service inside."""

    url: str
    http: httpx.AsyncClient
    service: Service
    server: uvicorn.Server

    async def chat(self, text: str = "hello", **more: Any) -> httpx.Response:
        """One chat completion by `auto`."""
        body = {"model": "auto", "messages": [{"role": "user", "content": text}], **more}
        return await self.http.post("/v1/chat/completions", json=body)

    async def until_ready(self, seconds: float = 60.0) -> None:
        """Wait until /ready says so."""

        async def ready() -> bool:
            return (await self.http.get("/ready")).status_code == 200

        await until(ready, seconds)

    async def counted(self, label: str) -> bool:
        """Whether the metrics hold a series with this label."""
        return label in (await self.http.get("/metrics")).text


@asynccontextmanager
async def serving(
    text: str, folder: Path, *, watch: bool = False, key: str | None = None, stop_s: int = 5
) -> AsyncIterator[Served]:
    """Serve by the configuration `text`; its store is a file in `folder` unless it names one."""
    if "\nstore:" not in f"\n{text}":
        text += f'\nstore: {{url: "sqlite:///{folder}/test.db"}}\n'
    file = folder / "madrigal.yaml"
    file.write_text(text)
    app = build(parse_config(text, str(file)), watch=watch)
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        config = uvicorn.Config(
            app, log_level="warning", access_log=False, lifespan="on", timeout_graceful_shutdown=stop_s, ws="none"
        )
        server = uvicorn.Server(config)
        task = asyncio.ensure_future(server._serve([sock]))
        try:
            while not server.started:
                if task.done():
                    await task
                await asyncio.sleep(0.005)
            url = f"http://127.0.0.1:{sock.getsockname()[1]}"
            headers = {"authorization": f"Bearer {key}"} if key else {}
            async with httpx.AsyncClient(base_url=url, headers=headers, timeout=60, trust_env=False) as http:
                inner: Any = app
                yield Served(url, http, inner._app.state.service, server)
        finally:
            server.should_exit = True
            await task
