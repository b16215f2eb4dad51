"""What holds for every request before any route: an id, a host and origin we answer to, errors in OpenAI's form.

A plain ASGI wrapper, because it stands in the path of every streamed byte. Knows nothing of routes or bodies.
"""

import asyncio
import re
import uuid
from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any, Protocol, TypeAlias
from urllib.parse import urlsplit

from api.errors import RequestError, encode, headers_of, lower, report, status_of
from experts.errors import UnavailableError

Scope: TypeAlias = MutableMapping[str, Any]
Message: TypeAlias = MutableMapping[str, Any]
Receive: TypeAlias = Callable[[], Awaitable[Message]]
Send: TypeAlias = Callable[[Message], Awaitable[None]]
App: TypeAlias = Callable[[Scope, Receive, Send], Awaitable[None]]

_LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})


class Doors(Protocol):
    """What the edge must know of the server's settings; read anew for every request, so that a reload holds."""

    @property
    def host(self) -> str:
        """Address listened on."""

    @property
    def loopback(self) -> bool:
        """Whether only this machine can reach it."""

    @property
    def hosts(self) -> tuple[str, ...]:
        """Further names that the Host header may give; `*.example.org` covers subdomains."""

    @property
    def origins(self) -> tuple[str, ...]:
        """Web origins, `https://chat.example`, whose pages may call."""


@dataclass(slots=True)
class Context:
    """What the edge found out of a request, for the routes: `scope["madrigal"]`."""

    request_id: str
    headers: Mapping[str, str]


class Edge:
    """Wraps the application. `doors` returns the settings in force.

    `direct` are paths whose application is called without the framework's own layers, which would cost a chat request
    a sixth of its time (docs/benchmarks.md).
    """

    def __init__(self, app: App, doors: Callable[[], Doors], direct: Mapping[str, App] | None = None) -> None:
        self._app = app
        self._doors = doors
        self._direct = direct or {}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = lower(scope["headers"])
        request_id = f"req_{uuid.uuid4().hex}"
        scope["madrigal"] = Context(request_id, headers)
        doors = self._doors()
        extra = [(b"x-request-id", request_id.encode())]
        if (origin := headers.get("origin")) in doors.origins:
            extra += [
                (b"access-control-allow-origin", origin.encode("latin-1")),
                (b"access-control-expose-headers", b"*"),
                (b"vary", b"origin"),
            ]
        begun = False
        stream = False

        async def send_on(message: Message) -> None:
            nonlocal begun, stream
            if message["type"] == "http.response.start":
                begun = True
                message["headers"] = [*message.get("headers", ()), *extra]
            else:
                stream = message.get("more_body", False)
            await send(message)

        try:
            check_host(headers, doors)
            check_origin(headers, doors)
            if scope["method"] == "OPTIONS" and "access-control-request-method" in headers:
                await respond(send_on, 204, b"", _PREFLIGHT)
                return
            await self._direct.get(scope["path"], self._app)(scope, receive, send_on)
        except Exception as error:
            report(error, request_id, scope["path"])
            if not begun:
                await respond(send_on, status_of(error), encode(error), headers_of(error))
        except asyncio.CancelledError:  # the server stops and has waited long enough: say so, and end
            told = UnavailableError("this server is stopping", retry_after_s=1.0)
            if not begun:
                await respond(send_on, status_of(told), encode(told), headers_of(told))
            elif stream:
                await send({"type": "http.response.body", "body": b"data: " + encode(told) + b"\n\n"})


_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")
_PREFLIGHT = {
    "access-control-allow-methods": "GET, POST, PUT, DELETE, OPTIONS",
    "access-control-allow-headers": "authorization, content-type, *",
    "access-control-max-age": "600",
}


def check_host(headers: Mapping[str, str], doors: Doors) -> None:
    """Refuse a Host that is not ours: a web page whose name was re-bound to this machine must not get through.

    On a loopback address only loopback names and `server.hosts` pass; elsewhere any, unless `server.hosts` is set.
    """
    name = urlsplit(f"//{headers.get('host', '')}").hostname or ""
    if name in _LOOPBACK if doors.loopback else (not doors.hosts or name == doors.host):
        return
    if any(fnmatchcase(name, pattern.lower()) for pattern in doors.hosts):
        return
    raise RequestError(
        f"this server does not answer to the host {name!r}",
        status=403,
        code="host_not_allowed",
        remedy="Add it to server.hosts in the configuration.",
    )


def check_origin(headers: Mapping[str, str], doors: Doors) -> None:
    """Refuse a web page of another origin: browsers send credentials and loopback requests on its behalf."""
    origin = headers.get("origin")
    if origin is None or urlsplit(origin).netloc == headers.get("host") or origin in doors.origins:
        return
    raise RequestError(
        f"pages of the origin {origin[:200]!r} may not call this server",
        status=403,
        code="origin_not_allowed",
        remedy="Add it to server.origins in the configuration.",
    )


def encoded(headers: Mapping[str, str]) -> list[tuple[bytes, bytes]]:
    """Headers as ASGI has them; what cannot stand in one (names of decisions are free) becomes `?`."""
    return [
        (name.encode(), (value if value.isprintable() else _CONTROL.sub("?", value)).encode("latin-1", "replace"))
        for name, value in headers.items()
    ]


async def respond(
    send: Send, status: int, body: bytes, headers: Mapping[str, str] = {}, kind: str = "application/json"
) -> None:
    """Send a whole response."""
    wire = encoded(headers)
    if status != 204:
        wire += [(b"content-type", kind.encode()), (b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": status, "headers": wire})
    await send({"type": "http.response.body", "body": body})


async def read_body(headers: Mapping[str, str], receive: Receive, limit_bytes: int) -> bytes:
    """The whole request body. Raises `RequestError` (413) beyond `limit_bytes`, `ClientGone` if the client left."""
    declared = headers.get("content-length", "0")
    if declared.isdigit() and int(declared) > limit_bytes:
        raise _too_large(limit_bytes)
    message = await receive()
    body: bytes = message.get("body", b"")
    if not message.get("more_body"):
        if message["type"] == "http.disconnect":
            raise ClientGone
        return body
    parts, size = [body], len(body)
    while message.get("more_body"):
        message = await receive()
        if message["type"] == "http.disconnect":
            raise ClientGone
        parts.append(message.get("body", b""))
        size += len(parts[-1])
        if size > limit_bytes:
            raise _too_large(limit_bytes)
    return b"".join(parts)


def _too_large(limit_bytes: int) -> RequestError:
    return RequestError(
        f"the body is larger than {limit_bytes / 1e6:g} MB",
        status=413,
        code="request_too_large",
        remedy="The limit is server.max_body_mb in the configuration.",
    )


class ClientGone(Exception):
    """The client closed the connection; nobody is left to answer."""


class Watch:
    """Cancels the task it was made in when the client goes away: `async with Watch(receive): …`.

    Leaving the block after that raises `ClientGone` instead of the cancellation.
    """

    def __init__(self, receive: Receive) -> None:
        self._receive = receive
        self._gone = False

    async def __aenter__(self) -> "Watch":
        task = asyncio.current_task()
        assert task is not None
        self._task = task
        self._watcher = asyncio.ensure_future(self._wait())
        return self

    async def _wait(self) -> None:
        task = self._task
        while (await self._receive())["type"] != "http.disconnect":
            pass
        self._gone = True
        task.cancel()

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, _: object) -> None:
        self._watcher.cancel()
        task = self._task
        del self._watcher, self._task  # the cancelled watcher holds this object: without a cycle both are freed at once
        if self._gone:
            task.uncancel()
            raise ClientGone from error
