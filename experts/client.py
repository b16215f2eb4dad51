"""The one HTTP client to all engines: opens calls, relays answers, turns failures into the error tree.

aiohttp instead of httpx on this path alone: see "Relay" in docs/benchmarks.md. Knows nothing of pools or policies.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Any

import aiohttp
import orjson
from yarl import URL

from experts.assemble import Assembly
from experts.call import Answer, Call, Endpoint, Usage
from experts.errors import (
    EngineFaultError,
    InputError,
    StreamCutError,
)
from experts.failures import brief, failed, refused
from experts.stream import Frames, usage_of

_MAX_BODY = 64 << 20
_MAX_ERROR = 64 << 10


class Client:
    """Keeps the connections to all engines. Close it once, when the process ends."""

    def __init__(self, *, connect_timeout_s: float = 5.0) -> None:
        self._session: aiohttp.ClientSession | None = None
        self._connect_timeout_s = connect_timeout_s
        self._urls: dict[tuple[str, str], URL] = {}

    def _open_session(self) -> aiohttp.ClientSession:
        if self._session is None:
            self._session = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(limit=0, keepalive_timeout=30, ttl_dns_cache=60),
                timeout=aiohttp.ClientTimeout(total=None, sock_connect=self._connect_timeout_s),
                cookie_jar=aiohttp.DummyCookieJar(),
                auto_decompress=True,
                skip_auto_headers=("User-Agent",),
                read_bufsize=1 << 17,
            )
        return self._session

    async def aclose(self) -> None:
        """Close every connection."""
        if self._session is not None:
            await self._session.close()
            self._session = None

    async def open(
        self,
        endpoint: Endpoint,
        call: Call,
        bodies: Sequence[dict[str, Any]],
        *,
        ask_usage: bool = False,
        headers: Mapping[str, str] | None = None,
    ) -> Answer:
        """Send `bodies` (from the backend's `bodies`) and return once the answer has begun: a stream's first data
        frame or a whole body. Several bodies are sent at once and come back as the choices of one answer. `headers` are
        sent besides the endpoint's own.

        Raises an `ExpertError` (nothing of the answer has been passed on), or the `InputError` that the engine
        answered with. Cancelling closes the connections, which stops the engine.
        """
        if len(bodies) == 1:
            return await self._open_one(endpoint, call, bodies[0], ask_usage, _choices(bodies[0]), headers)
        tasks = [asyncio.ensure_future(self._open_one(endpoint, call, body, False, 1, headers)) for body in bodies]
        try:
            answers = await asyncio.gather(*tasks)
        except BaseException:
            for task in tasks:
                task.cancel()
            for opened in await asyncio.gather(*tasks, return_exceptions=True):
                if not isinstance(opened, BaseException):
                    await opened.aclose()
            raise
        from experts.fan_out import Joined  # only requests for several choices need it

        return Joined(answers, bodies, chat=call.path == "chat/completions", ask_usage=ask_usage)

    async def _open_one(
        self,
        endpoint: Endpoint,
        call: Call,
        body: dict[str, Any],
        ask_usage: bool,
        choices: int,
        headers: Mapping[str, str] | None,
    ) -> "_Streamed | _Whole":
        payload = {**endpoint.extra_body, **body, "model": endpoint.model}
        stream = call.stream or endpoint.stream_only
        if stream:
            payload["stream"] = True
            if endpoint.stream_usage:
                payload["stream_options"] = {**(body.get("stream_options") or {}), "include_usage": True}
            else:
                payload.pop("stream_options", None)
        else:
            payload.pop("stream", None)
            payload.pop("stream_options", None)
        try:
            data = orjson.dumps(payload)
        except TypeError as error:
            raise InputError(f"the request cannot be written as JSON: {error}") from error
        started = time.perf_counter()
        response: aiohttp.ClientResponse | None = None
        limit = endpoint.first_token_timeout_s if call.stream else endpoint.timeout_s
        try:
            async with asyncio.timeout(limit):
                response = await self._open_session().post(
                    self._url(endpoint.url, call.path),
                    data=data,
                    headers=_headers(endpoint, headers),
                    allow_redirects=False,  # a prompt goes to the host that the policy names and to no other
                )
                if response.status != 200:
                    raise refused(endpoint, response, await response.content.read(_MAX_ERROR))
                if not stream:
                    return _Whole(endpoint, call, await response.read(), started, choices)
                answer = _Streamed(endpoint, call, response, started, ask_usage, choices)
                await answer.begin()
                return answer if call.stream else await _collected(endpoint, call, answer, started, choices)
        except BaseException as error:
            if response is not None:
                response.close()
            told = failed(endpoint, error, limit)
            try:
                if told is error:
                    raise
                raise told from error
            finally:
                del told  # its traceback holds this frame: kept, it would hold itself and the whole request

    def _url(self, base: str, path: str) -> URL:
        key = (base, path)
        url = self._urls.get(key)
        if url is None:
            if len(self._urls) > 1000:
                self._urls.clear()
            url = self._urls[key] = URL(f"{base}/{path}")
        return url


class _Whole:
    """An answer that came as one JSON body. The body goes on as it came, unless its usage is missing.

    Raises `EngineFaultError` where fewer than `expected` choices came to an end: as of a stream, no finish reason is
    invented, and an `n` that the engine passed over is not taken for an answer.
    """

    def __init__(self, endpoint: Endpoint, call: Call, body: bytes, started: float, expected: int) -> None:
        self.expert = endpoint.expert
        self.first_token_s: float | None = time.perf_counter() - started
        try:
            wire = orjson.loads(body)
            self.finish: dict[int, str] = {
                choice.get("index", at): choice["finish_reason"]
                for at, choice in enumerate(wire["choices"])
                if choice["finish_reason"]
            }
        except (orjson.JSONDecodeError, TypeError, KeyError, AttributeError) as wrong:
            raise EngineFaultError(
                f"expert {endpoint.expert!r} answered with something that is no {call.path} answer ({wrong!r})",
                status=502,
                expert=endpoint.expert,
            ) from wrong
        if len(self.finish) < expected:
            raise EngineFaultError(
                f"expert {endpoint.expert!r} gave {len(self.finish)} whole choices where {expected} were asked for",
                status=502,
                expert=endpoint.expert,
            )
        self.model = str(wire.get("model") or endpoint.model)
        if wire.get("usage"):
            self.usage: Usage = usage_of(wire["usage"])
        else:
            self.usage = Usage(estimated=True)
            body = orjson.dumps({**wire, "usage": self.usage.wire()})
        self._body = body

    async def read(self) -> bytes:
        return self._body

    def __aiter__(self) -> AsyncIterator[bytes]:
        raise TypeError("this answer is no stream: read() it")

    async def aclose(self) -> None:
        return None


class _Streamed:
    """An answer that comes as server-sent events."""

    def __init__(
        self,
        endpoint: Endpoint,
        call: Call,
        response: aiohttp.ClientResponse,
        started: float,
        ask_usage: bool,
        choices: int,
    ) -> None:
        self.expert = endpoint.expert
        self.model = endpoint.model
        self.first_token_s: float | None = None
        self._endpoint = endpoint
        self._response = response
        self._started = started
        self._frames = Frames(
            chat=call.path == "chat/completions", choices=choices, ask_usage=ask_usage, skip=endpoint.skip
        )
        self._first = b""
        self._expired = False

    @property
    def usage(self) -> Usage:
        return self._frames.usage or Usage(0, max(0, self._frames.deltas - 1), estimated=True)

    @property
    def finish(self) -> dict[int, str]:
        return self._frames.finish

    async def begin(self) -> None:
        """Wait for the first data frame; an error before it is raised, so that another expert may take over."""
        frames = self._frames
        while not frames.started and not frames.is_done():
            data = await self._response.content.readany()
            if not data:
                break
            self._first += frames.feed(data)
        if not frames.started:
            raise EngineFaultError(
                f"expert {self.expert!r} closed its stream before the first token", status=502, expert=self.expert
            )
        self.first_token_s = time.perf_counter() - self._started

    async def read(self) -> bytes:
        raise TypeError("this answer is a stream: iterate over it")

    async def __aiter__(self) -> AsyncIterator[bytes]:
        frames, content, first = self._frames, self._response.content, self._first
        self._first = b""
        left_s = self._endpoint.timeout_s - (time.perf_counter() - self._started)
        alarm = asyncio.get_running_loop().call_later(max(0.0, left_s), self._expire)
        try:
            if first and not (frames.is_done() or content.is_eof()):
                yield first
                first = b""
            while not frames.is_done():
                data = await content.readany()
                if not data:
                    break
                block = frames.feed(data)
                if frames.is_done():
                    first += block
                elif block:
                    yield block
            yield first + frames.close()
        except (aiohttp.ClientError, OSError, StreamCutError) as error:
            name, limit_s = self.expert, self._endpoint.timeout_s
            if self._expired:
                message = f"expert {name!r} took longer than {limit_s:g} s"
            elif isinstance(error, StreamCutError):
                message = f"expert {name!r}: {error.message}"
            else:
                message = f"expert {name!r} broke off in mid-answer ({brief(error)})"
            raise StreamCutError(message, expert=name) from error
        finally:
            alarm.cancel()

    def _expire(self) -> None:
        self._expired = True
        self._response.close()  # the pending read fails at once

    async def aclose(self) -> None:
        try:
            if self._frames.is_done():  # the end of the HTTP body follows at once; read, the connection can be reused
                async with asyncio.timeout(0.05):
                    await self._response.content.readany()
        except (TimeoutError, aiohttp.ClientError, OSError):
            pass
        finally:
            if self._response.content.is_eof():
                self._response.release()
            else:
                self._response.close()


async def _collected(endpoint: Endpoint, call: Call, answer: _Streamed, started: float, choices: int) -> _Whole:
    """A stream read to its end, as the one body that the client asked for."""
    assembly = Assembly(chat=call.path == "chat/completions")
    async for block in answer:
        assembly.add(block)
    await answer.aclose()
    whole = _Whole(endpoint, call, orjson.dumps(assembly.wire(answer.usage)), started, choices)
    whole.usage, whole.first_token_s = answer.usage, answer.first_token_s
    return whole


def _choices(body: Mapping[str, Any]) -> int:
    """How many choices a body asks for: `n` for each prompt, of which completions may hold several."""
    prompt = body.get("prompt")
    prompts = len(prompt) if isinstance(prompt, list) and prompt and not isinstance(prompt[0], int) else 1
    return int(body.get("n") or 1) * prompts


def _headers(endpoint: Endpoint, more: Mapping[str, str] | None) -> dict[str, str]:
    return {"content-type": "application/json", **endpoint.headers, **(more or {})}
