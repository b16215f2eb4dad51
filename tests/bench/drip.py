"""An OpenAI-compatible engine that answers slowly, or for ever, and notes who left: what a soak test stands on.

The text of a request's last message is its name; a name that ends in `!` is answered without end. Runs in the caller's
event loop, so that the caller sees each request arrive and each of its callers leave.
"""

import asyncio
import json
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from tests.bench.upstream import chunk

_HEAD = {"id": "chatcmpl-drip", "created": 1700000000, "model": "drip"}
_SSE = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"
_JSON = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n%b"


@dataclass
class Drip:
    """The engine. `chunks` deltas, one every `gap_s` seconds; an answer that is no stream takes as long.

    `arrived` and `left` hold `time.monotonic()` by request name: when it came, and when its caller was found gone
    before the answer was complete. `answered` counts complete answers, `active` requests being answered now,
    `connections` those open now.
    """

    chunks: int = 10
    gap_s: float = 0.01
    url: str = ""
    arrived: dict[str, float] = field(default_factory=dict)
    left: dict[str, float] = field(default_factory=dict)
    answered: int = 0
    active: int = 0
    connections: int = 0

    @asynccontextmanager
    async def running(self) -> AsyncIterator["Drip"]:
        """Serve while the block runs; `url` ends in /v1."""
        server = await asyncio.get_running_loop().create_server(lambda: _Connection(self), "127.0.0.1", 0, backlog=1024)
        self.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/v1"
        try:
            yield self
        finally:
            server.close()


class _Connection(asyncio.Protocol):
    """One connection, one request after the other. Unlike a stream reader it is told at once when the caller leaves."""

    def __init__(self, drip: Drip) -> None:
        self._drip = drip
        self._buffer = b""
        self._answering: asyncio.Task[None] | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.WriteTransport)
        self._transport = transport
        self._drip.connections += 1

    def connection_lost(self, error: Exception | None) -> None:
        self._drip.connections -= 1
        if self._answering is not None:
            self._answering.cancel()

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        head, found, rest = self._buffer.partition(b"\r\n\r\n")
        at = head.lower().find(b"content-length:")
        if found and len(rest) >= (size := int(head[at + 15 :].split(b"\r\n", 1)[0])):
            self._buffer = rest[size:]
            self._answering = asyncio.ensure_future(self._answer(json.loads(rest[:size])))

    async def _answer(self, body: dict[str, Any]) -> None:
        drip, name = self._drip, str(body["messages"][-1]["content"])
        drip.arrived[name] = time.monotonic()
        drip.active += 1
        try:
            await (self._stream if body.get("stream") else self._whole)(endless=name.endswith("!"))
            drip.answered += 1
        except asyncio.CancelledError:
            drip.left[name] = time.monotonic()
        finally:
            drip.active -= 1
            self._answering = None

    async def _stream(self, *, endless: bool) -> None:
        self._transport.write(_SSE + _frame({"role": "assistant", "content": ""}))
        sent = 0
        while endless or sent < self._drip.chunks:
            await asyncio.sleep(self._drip.gap_s)
            self._transport.write(_frame({"content": f" tok{sent}"}))
            sent += 1
        usage = {"prompt_tokens": 9, "completion_tokens": sent, "total_tokens": 9 + sent}
        tail = {**_HEAD, "object": "chat.completion.chunk", "choices": [], "usage": usage}
        frames = _frame({}, "stop") + chunk(b"data: " + json.dumps(tail).encode() + b"\n\n")
        self._transport.write(frames + chunk(b"data: [DONE]\n\n") + b"0\r\n\r\n")

    async def _whole(self, *, endless: bool) -> None:
        chunks = self._drip.chunks
        await asyncio.sleep(1e9 if endless else chunks * self._drip.gap_s)
        message = {"role": "assistant", "content": "".join(f" tok{i}" for i in range(chunks))}
        choice = {"index": 0, "message": message, "finish_reason": "stop"}
        usage = {"prompt_tokens": 9, "completion_tokens": chunks, "total_tokens": 9 + chunks}
        body = json.dumps({**_HEAD, "object": "chat.completion", "choices": [choice], "usage": usage}).encode()
        self._transport.write(_JSON % (len(body), body))


def _frame(delta: dict[str, Any], finish: str | None = None) -> bytes:
    choice = {"index": 0, "delta": delta, "finish_reason": finish}
    wire = {**_HEAD, "object": "chat.completion.chunk", "choices": [choice]}
    return chunk(b"data: " + json.dumps(wire).encode() + b"\n\n")
