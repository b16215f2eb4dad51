"""Wiring: the routes, the edge around them, and the service's life. Knows no route's inside."""

import asyncio
import logging
import signal
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.responses import Response
from starlette.routing import Match

from api import admin, chat, collections, embeddings, feedback, health, memory, models, openapi, responses, route
from api.edge import App, Edge
from api.errors import RequestError, encode, headers_of, report, status_of
from experts.errors import InputError, MadrigalError
from orchestrator.config import Config, load_config, served_config
from orchestrator.service import Service
from orchestrator.settings import Server
from orchestrator.telemetry import configure_tracing

log = logging.getLogger("madrigal")


def create_app() -> App:
    """The application of `madrigal serve`: its configuration is named in the environment (`served_config`)."""
    return build(served_config(), load=lambda _: served_config())


def build(config: Config, *, watch: bool = True, load: Callable[[Path], Config] = load_config) -> App:
    """The ASGI application that serves by `config`. Nothing is opened before its lifespan begins.

    With `watch`, its file is read again by `load` whenever it changes.
    """

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        end_tracing = configure_tracing()
        service = await Service.open(config, status_of=status_of, load=load if watch else None)
        app.state.service = service
        loop = asyncio.get_running_loop()
        if service.watcher is not None:
            with suppress(ValueError, NotImplementedError, RuntimeError):  # not in the main thread, or no such signal
                loop.add_signal_handler(signal.SIGHUP, service.read_again)
        try:
            yield
        finally:
            with suppress(ValueError, NotImplementedError, RuntimeError):
                loop.remove_signal_handler(signal.SIGHUP)
            await service.close()
            if end_tracing is not None:
                await asyncio.to_thread(end_tracing)

    app = FastAPI(
        title="Madrigal",
        version="0.1.0",
        description="One OpenAI-compatible chat API in front of many local expert language models.",
        lifespan=lifespan,
        docs_url="/docs",
        redoc_url=None,
        openapi_url="/openapi.json",
    )
    for part in (models, embeddings, route, feedback, collections, memory, health, admin):
        app.include_router(part.router)
    app.add_exception_handler(RequestValidationError, _invalid)
    app.add_exception_handler(HTTPException, _http)
    app.add_exception_handler(MadrigalError, _known)
    app.add_exception_handler(Exception, _unknown)
    openapi.publish(app)

    def doors() -> Server:
        service: Service | None = getattr(app.state, "service", None)
        return (service.state.config if service is not None else config).server

    def service() -> Service:
        opened: Service = app.state.service
        return opened

    direct: dict[str, App] = {f"/v1/{path}": chat.Completions(path, service) for path in chat.PATHS}
    direct["/v1/responses"] = responses.Responses(service)
    return Edge(app, doors, direct)


async def _known(request: Request, error: Exception) -> Response:
    report(error, request.scope["madrigal"].request_id, request.url.path)
    return _response(error)


async def _unknown(request: Request, error: Exception) -> Response:
    return _response(error)  # the edge, which gets it next, writes it to the log


async def _invalid(request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)
    first = error.errors()[0]
    where = ".".join(str(part) for part in first["loc"][1:])
    return _response(InputError(f"{where or 'the request'}: {first['msg']}", param=where or None, code="invalid_value"))


async def _http(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    if error.status_code == 404:
        message, code = f"there is no {request.method} {request.url.path} here", "unknown_url"
    else:
        message, code = str(error.detail), {405: "method_not_allowed"}.get(error.status_code, "http_error")
    headers = dict(error.headers or {})
    if error.status_code == 405:
        headers["Allow"] = ", ".join(_methods(request))  # the framework names those of one route alone
    return _response(RequestError(message, status=error.status_code, code=code, headers=headers))


def _methods(request: Request) -> list[str]:
    """The methods that a path has, whichever of its routes holds them."""
    routes = request.app.routes
    return [
        method
        for method in ("DELETE", "GET", "HEAD", "PATCH", "POST", "PUT")
        if any(route.matches({**request.scope, "method": method})[0] is Match.FULL for route in routes)
    ]


def _response(error: Exception) -> Response:
    return Response(encode(error), status_of(error), headers_of(error), media_type="application/json")
