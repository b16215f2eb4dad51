"""Scripted stand-ins for time, faults and engines. Only what the real thing cannot be made to do on demand."""

import asyncio
import inspect
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

from aiohttp import web
from aiohttp.test_utils import TestServer


class Upstream:
    """An OpenAI-compatible server on loopback whose faults are asked for by model name.

    `ok` (and every unknown name) answers `words`; `err-500` … any status; `err-429` also asks to retry after 1 s;
    `slow-200` waits that many ms before its first byte; `cut` breaks off after two deltas; `mute` closes a stream without
    a frame; `hang` never answers; `errframe` sends an error frame first; `drip` sends a delta every 20 ms for ever;
    `linger` says all it has to say, and leaves its response open; `empty` has no choice and `unfinished` one without a
    finish reason (both only without a stream); `moved` redirects elsewhere; `held` answers 500 once `go` is set,
    `paused` waits for it after its first word; `single` gives one choice however many are asked for.
    Counts what arrived (`bodies`) and how many callers left early (`aborted`).
    """

    def __init__(self, words: tuple[str, ...] = (" one", " two", " three")) -> None:
        self.words = words
        self.bodies: list[dict[str, Any]] = []
        self.headers: list[dict[str, str]] = []
        self.aborted = 0
        self.script: list[str] = []
        self.go = asyncio.Event()
        self.url = ""

    @asynccontextmanager
    async def running(self) -> AsyncIterator["Upstream"]:
        """Serve while the block runs; `url` ends in /v1."""
        app = web.Application()
        app.router.add_post("/v1/chat/completions", self._answer)
        app.router.add_post("/v1/completions", self._answer)
        server = TestServer(app)
        await server.start_server()
        self.url = f"http://127.0.0.1:{server.port}/v1"
        try:
            yield self
        finally:
            await server.close()

    async def _answer(self, request: web.Request) -> web.StreamResponse:
        body = await request.json()
        self.bodies.append(body)
        self.headers.append({name.lower(): value for name, value in request.headers.items()})
        model = self.script.pop(0) if self.script else body["model"]
        try:
            return await self._act(request, body, model)
        except asyncio.CancelledError:
            self.aborted += 1
            raise

    async def _act(self, request: web.Request, body: dict[str, Any], model: str) -> web.StreamResponse:
        chat = request.path.endswith("chat/completions")
        if model == "hang":
            await asyncio.Event().wait()
        if model.startswith("slow-"):
            await asyncio.sleep(int(model[5:]) / 1e3)
        if model == "held":
            await self.go.wait()
            model = "err-500"
        if model.startswith("err-"):
            status = int(model[4:])
            headers = {"retry-after": "1"} if status in (429, 503) else {}
            error = {"message": f"scripted {status}", "type": "scripted", "param": None, "code": None}
            return web.json_response({"error": error}, status=status, headers=headers)
        if model == "moved":
            return web.Response(status=307, headers={"location": str(request.url.with_query(moved="1"))})
        if not body.get("stream"):
            whole = self._whole(chat, body["model"], 1 if model == "single" else _choices(body))
            if model == "empty":
                whole["choices"] = []
            if model == "unfinished":
                whole["choices"][0]["finish_reason"] = None
            return web.json_response(whole)
        response = web.StreamResponse(headers={"content-type": "text/event-stream"})
        await response.prepare(request)
        await self._frames(response, chat, model, body)
        return response

    def _whole(self, chat: bool, model: str, choices: int) -> dict[str, Any]:
        text = "".join(self.words)
        said = {"message": {"role": "assistant", "content": text}} if chat else {"text": text}
        return {
            "id": "chatcmpl-x",
            "object": "chat.completion" if chat else "text_completion",
            "created": 1,
            "model": model,
            "choices": [{"index": index, **said, "finish_reason": "stop"} for index in range(choices)],
            "usage": {"prompt_tokens": 7, "completion_tokens": len(self.words), "total_tokens": 7 + len(self.words)},
        }

    async def _frames(self, response: web.StreamResponse, chat: bool, model: str, body: dict[str, Any]) -> None:
        def chunk(said: dict[str, Any], finish: str | None = None, index: int = 0) -> bytes:
            delta = {"delta": said} if chat else {"text": said.get("content", "")}
            wire = {"id": "chatcmpl-x", "object": "chat.completion.chunk", "created": 1, "model": body["model"]}
            choice = {"index": index, **delta, "finish_reason": finish}
            return f"data: {json.dumps({**wire, 'choices': [choice]})}\n\n".encode()

        if model == "mute":
            return
        if model == "errframe":
            await response.write(b'data: {"error": {"message": "scripted frame", "type": "server_error"}}\n\n')
            return
        await response.write(chunk({"role": "assistant", "content": ""}))
        words = self.words[:2] if model == "cut" else self.words
        for word in words:
            await response.write(chunk({"content": word}))
            if model == "paused":
                await self.go.wait()
        while model == "drip":
            await response.write(chunk({"content": " drop"}))
            await asyncio.sleep(0.02)
        if model == "cut":
            assert response._req is not None and response._req.transport is not None
            response._req.transport.abort()
            return
        for index in range(_choices(body)):
            await response.write(chunk({}, "stop", index))
        if (body.get("stream_options") or {}).get("include_usage"):
            wire = {"id": "chatcmpl-x", "object": "chat.completion.chunk", "created": 1, "model": body["model"]}
            usage = {"prompt_tokens": 7, "completion_tokens": len(self.words), "total_tokens": 7 + len(self.words)}
            await response.write(f"data: {json.dumps({**wire, 'choices': [], 'usage': usage})}\n\n".encode())
        await response.write(b"data: [DONE]\n\n")
        if model == "linger":
            await asyncio.Event().wait()


class Leaping(asyncio.SelectorEventLoop):
    """An event loop whose time leaps to the next timer when nothing else is left to do: hours pass at once.

    For `asyncio.Runner(loop_factory=Leaping)`, and without threads or sockets: their waiting is no timer.
    """

    def __init__(self) -> None:
        super().__init__()
        self._now = 0.0
        self._wait = self._selector.select  # type: ignore[attr-defined]
        self._selector.select = self._leap  # type: ignore[attr-defined]

    def time(self) -> float:
        return self._now

    def _leap(self, timeout: float | None) -> Any:
        if timeout is None:
            return self._wait(None)
        self._now += timeout
        return self._wait(0)


def _choices(body: dict[str, Any]) -> int:
    prompt = body.get("prompt")
    prompts = len(prompt) if isinstance(prompt, list) and not isinstance(prompt[0], int) else 1
    return int(prompts * (body.get("n") or 1))


async def until(check: Callable[[], Awaitable[object] | object], seconds: float = 30.0) -> None:
    """Wait until `check` says something true; a `TimeoutError` after `seconds`."""
    async with asyncio.timeout(seconds):
        while not (await told if inspect.isawaitable(told := check()) else told):  # noqa: ASYNC110
            await asyncio.sleep(0.005)


def chunks_of(body: bytes) -> list[dict[str, Any]]:
    """The JSON of every frame of a stream but `[DONE]`."""
    frames = [part[6:] for part in body.split(b"\n\n") if part.startswith(b"data: ")]
    return [json.loads(frame) for frame in frames if frame != b"[DONE]"]


def text_of(body: bytes) -> str:
    """What a chat stream said."""
    return "".join(c["delta"].get("content") or "" for chunk in chunks_of(body) for c in chunk.get("choices", []))
