"""The wire types of collections and memory. Knows nothing of how documents are kept."""

from typing import Annotated, Any, Literal, NotRequired, TypeAlias

from pydantic import ConfigDict, Field, TypeAdapter
from typing_extensions import TypedDict

_CLOSED = ConfigDict(extra="forbid", strict=True)

MAX_TEXT = 500_000
"""Characters of one document."""
MAX_GIVEN = 100
"""Documents of one request."""

Id: TypeAlias = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._:@-]{0,127}$")]
Value: TypeAlias = (
    Annotated[str, Field(max_length=500)] | bool | Annotated[int, Field(ge=-(2**53), le=2**53)] | float | None
)


class CollectionBody(TypedDict):
    """Body of `POST /v1/collections`."""

    __pydantic_config__ = _CLOSED  # type: ignore[misc]
    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$")]
    description: NotRequired[Annotated[str, Field(max_length=1000)] | None]


class DocumentBody(TypedDict):
    """One document: its text, and what citations call it. One of the same `id` is replaced."""

    __pydantic_config__ = _CLOSED  # type: ignore[misc]
    text: Annotated[str, Field(min_length=1, max_length=MAX_TEXT)]
    id: NotRequired[Id | None]
    title: NotRequired[Annotated[str, Field(min_length=1, max_length=300)] | None]
    url: NotRequired[Annotated[str, Field(pattern=r"^https?://[!-~]+$", max_length=2000)] | None]
    metadata: NotRequired[
        Annotated[dict[Annotated[str, Field(min_length=1, max_length=64)], Value], Field(max_length=16)] | None
    ]


class DocumentsBody(TypedDict):
    """Body of `POST /v1/collections/{name}/documents`."""

    __pydantic_config__ = _CLOSED  # type: ignore[misc]
    documents: Annotated[list[DocumentBody], Field(min_length=1, max_length=MAX_GIVEN)]


class SearchBody(TypedDict):
    """Body of `POST /v1/collections/{name}/search`."""

    __pydantic_config__ = _CLOSED  # type: ignore[misc]
    query: Annotated[str, Field(min_length=1, max_length=10_000)]
    limit: NotRequired[Annotated[int, Field(ge=1, le=50)]]
    by: NotRequired[Literal["hybrid", "words", "vectors"]]


class MemoryBody(TypedDict):
    """Body of `PUT /v1/memory`."""

    __pydantic_config__ = _CLOSED  # type: ignore[misc]
    on: bool


COLLECTION: TypeAdapter[CollectionBody] = TypeAdapter(CollectionBody)
DOCUMENTS: TypeAdapter[DocumentsBody] = TypeAdapter(DocumentsBody)
SEARCH: TypeAdapter[SearchBody] = TypeAdapter(SearchBody)
MEMORY: TypeAdapter[MemoryBody] = TypeAdapter(MemoryBody)

Told: TypeAlias = dict[str, Any]
