"""What the routes need of a request: the service and the caller's key. Knows nothing of what the routes do."""

from collections.abc import Callable
from typing import Annotated, Any, TypeAlias

from fastapi import Depends, Request
from pydantic import TypeAdapter, ValidationError

from api.edge import ClientGone, read_body
from api.errors import RequestError, invalid
from experts.errors import InputError
from orchestrator.caller import Key
from orchestrator.service import Service


def service_of(request: Request) -> Service:
    """The running service."""
    service: Service = request.app.state.service
    return service


async def key_of(request: Request) -> Key:
    """The caller's key. Raises `AuthenticationError`."""
    return await service_of(request).authenticate(request.scope["madrigal"].headers)


ServiceOf: TypeAlias = Annotated[Service, Depends(service_of)]
KeyOf: TypeAlias = Annotated[Key, Depends(key_of)]


async def body_of(
    request: Request, adapter: TypeAdapter[Any], tell: Callable[[ValidationError], InputError] = invalid
) -> Any:
    """The request's JSON body, checked by `adapter`. Raises the `InputError` that `tell` makes of what is wrong."""
    headers = request.scope["madrigal"].headers
    try:
        raw = await read_body(headers, request.receive, service_of(request).max_body_bytes)
    except ClientGone:
        raise RequestError("the client closed the connection", status=499, code="client_closed_request") from None
    try:
        return adapter.validate_json(raw)
    except ValidationError as error:
        raise tell(error) from None
