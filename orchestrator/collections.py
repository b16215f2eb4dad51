"""Documents of tenants: taken in, cut, embedded, kept, found. Knows nothing of HTTP or of prompts.

A collection is what somebody put there on purpose: it is kept, whatever `store.keep` says of the log, until it is deleted.
A tenant sees its own alone. Searches run in memory, over an index that is brought up to date before each one: the
database tells the collection's last change, whichever worker made it, and only documents that came since are read.
"""

import asyncio
import re
import uuid
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from experts.errors import InputError, NotFoundError
from orchestrator.collection_index import By, Hit, Index, Passage, embedded_as
from orchestrator.passages import halves, passages
from orchestrator.store import collection_table as table
from orchestrator.store.collection_table import Collection, Document, Stored
from orchestrator.store.store import Store
from orchestrator.store.writing import clean

if TYPE_CHECKING:
    from router.embed import Embedder

_IN_MEMORY = 60_000
"""Passages of all indexes together; the ones searched least lately go."""
_SHORTEST = 64
"""Characters below which a passage is not cut any further, whatever the embedder could not read of it."""
FULL = "collection_full"

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:@-]{0,127}")


@dataclass(frozen=True, slots=True)
class Bounds:
    """How much is kept: collections of a tenant, documents and passages of a collection (20,000 have 31 MB of vectors in
    memory), and passages of one request (1,000 are half a minute of embedding on two cores)."""

    collections: int = 100
    documents: int = 10_000
    passages: int = 20_000
    at_once: int = 1_000


@dataclass(frozen=True, slots=True)
class Given:
    """A document as somebody gives it; without an `id` it gets one."""

    text: str
    id: str | None = None
    title: str | None = None
    url: str | None = None
    metadata: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class _Loaded:
    change: int
    by_document: Mapping[str, tuple[int, Sequence[Passage]]]
    index: Index


class Collections:
    """All collections of a store. Made at once; indexes are built when they are first searched."""

    def __init__(
        self,
        store: Store,
        embedder: "Embedder",
        bounds: Bounds = Bounds(),
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._store = store
        self._embedder = embedder
        self._bounds = bounds
        self._now = now
        self._loaded: OrderedDict[str, _Loaded] = OrderedDict()
        self._locks: dict[str, asyncio.Lock] = {}

    async def create(self, tenant: str, name: str, description: str | None = None) -> Collection:
        """A new, empty collection. Raises `InputError`, `ConflictError`."""
        if not _NAME.fullmatch(name):
            raise InputError(
                f"a collection's name has 1 to 64 letters, digits, '.', '_' and '-'; {name[:80]!r} was given",
                param="name",
            )
        if len(await table.listed(self._store, tenant)) >= self._bounds.collections:
            raise InputError(
                f"a tenant may have {self._bounds.collections} collections", remedy="Delete one.", code=FULL
            )
        made = Collection(
            f"col_{uuid.uuid4().hex}", name, clean(description) if description else None, self._now(), change=0
        )
        await table.add(self._store, tenant, made)
        return made

    async def all(self, tenant: str) -> list[Collection]:
        """A tenant's collections by name."""
        return await table.listed(self._store, tenant)

    async def get(self, tenant: str, name: str) -> Collection:
        """One collection with its counts. Raises `NotFoundError`."""
        found = await table.listed(self._store, tenant, name) if _NAME.fullmatch(name) else []
        if not found:
            raise _no_collection(name)
        return found[0]

    async def delete(self, tenant: str, name: str) -> None:
        """Delete a collection and all in it; searches that run end with what they have. Raises `NotFoundError`."""
        collection = await self._id(tenant, name)
        if not await table.remove(self._store, tenant, name):
            raise _no_collection(name)
        self._loaded.pop(collection, None)

    async def put(self, tenant: str, name: str, given: Sequence[Given]) -> list[Document]:
        """Take documents in, in the place of those of the same ids: all of them, or none and an error.

        Waits for the embedder. Raises `InputError`, `NotFoundError`.
        """
        collection = await self._id(tenant, name)
        ids = [one.id or f"doc_{uuid.uuid4().hex}" for one in given]
        for at, id in enumerate(ids):
            if not _ID.fullmatch(id):
                raise InputError(
                    f"a document's id has 1 to 128 letters, digits and ._:@- in it; {id[:140]!r} was given",
                    param=f"documents[{at}].id",
                )
            if id in ids[:at]:
                raise InputError(f"the id {id!r} is given twice", param=f"documents[{at}].id")
        cut = [await asyncio.to_thread(passages, clean(one.text)) for one in given]
        for at, parts in enumerate(cut):
            if not parts:
                raise InputError("a document needs some text", param=f"documents[{at}].text")
        many = sum(map(len, cut))
        if many > self._bounds.at_once:
            raise InputError(
                f"these documents make {many} passages; {self._bounds.at_once} are taken at once",
                remedy="Send them in several requests, a long one in parts.",
                param="documents",
                code="too_large",
            )
        await self._room(collection, len(given), many)
        vectors = await self._embedded(given, cut)
        now = self._now()
        made = [
            Document(
                id,
                one.title and clean(one.title),
                one.url,
                {clean(key): clean(value) if isinstance(value, str) else value for key, value in one.metadata.items()},
                now,
                clean(one.text),
                embedded,
                len(embedded),
            )
            for id, one, embedded in zip(ids, given, vectors, strict=True)
        ]
        if await table.put(self._store, collection, made) is None:
            raise _no_collection(name)  # deleted meanwhile
        return made

    async def documents(self, tenant: str, name: str, after: str = "", limit: int = 100) -> list[Document]:
        """Documents by id, from behind `after` on, without their texts. Raises `NotFoundError`."""
        return await table.documents_of(self._store, await self._id(tenant, name), clean(after), limit)

    async def document(self, tenant: str, name: str, id: str) -> Document:
        """One document with its text. Raises `NotFoundError`."""
        collection = await self._id(tenant, name)
        found = await table.document(self._store, collection, id) if _ID.fullmatch(id) else None
        if found is None:
            raise _no_document(name, id)
        return found

    async def delete_document(self, tenant: str, name: str, id: str) -> None:
        """Delete one document. Raises `NotFoundError`."""
        collection = await self._id(tenant, name)
        if not _ID.fullmatch(id) or not await table.remove_documents(self._store, collection, [id]):
            raise _no_document(name, id)

    async def search(self, tenant: str, name: str, question: str, most: int, by: By = "hybrid") -> list[Hit]:
        """The passages that are nearest to a question, best first. Raises `NotFoundError`."""
        found = await table.change_of(self._store, tenant, name) if _NAME.fullmatch(name) else None
        if found is None:
            raise _no_collection(name)
        index = await self._current(*found)
        if not index.passages or not question.strip():
            return []
        vector = (await self._embedder.embed([question]))[0]
        return await asyncio.to_thread(index.search, question, vector, most, by)

    async def _id(self, tenant: str, name: str) -> str:
        found = await table.change_of(self._store, tenant, name) if _NAME.fullmatch(name) else None
        if found is None:
            raise _no_collection(name)
        return found[0]

    async def _room(self, collection: str, documents: int, parts: int) -> None:
        """Raise `InputError` where so many more do not fit. What is replaced counts until it is gone."""
        have = await table.counts(self._store, collection)
        for what, before, more, most in (
            ("documents", have[0], documents, self._bounds.documents),
            ("passages", have[1], parts, self._bounds.passages),
        ):
            if before + more > most:
                raise InputError(
                    f"a collection may hold {most} {what}; it has {before} and {more} were to be added", code=FULL
                )

    async def _embedded(self, given: Sequence[Given], cut: Sequence[Sequence[str]]) -> list[list[tuple[str, bytes]]]:
        """Each document's passages with their vectors; one that the embedder could not read whole is cut again."""
        found: list[list[tuple[str, bytes]]] = []
        for one, parts in zip(given, cut, strict=True):
            left, done = list(parts), dict[str, bytes]()
            order = list(parts)
            while left:
                read = await self._embedder.encode([embedded_as(one.title, part) for part in left])
                again: list[str] = []
                for part, vector, truncated in zip(left, read.vectors, read.truncated, strict=True):
                    if truncated and len(part) > _SHORTEST:
                        first, second = halves(part)
                        at = order.index(part)
                        order[at : at + 1] = [first, second]
                        again += [first, second]
                    else:
                        done[part] = vector.astype("<f4").tobytes()
                left = again
            found.append([(part, done[part]) for part in order])
        return found

    async def _current(self, collection: str, change: int) -> Index:
        """The index of a collection as of `change` or later."""
        lock = self._locks.setdefault(collection, asyncio.Lock())
        async with lock:
            loaded = self._loaded.get(collection)
            if loaded is None or loaded.change < change:
                loaded = self._loaded[collection] = await self._load(collection, change, loaded)
        self._loaded[collection] = loaded
        self._loaded.move_to_end(collection)
        while len(self._loaded) > 1 and sum(len(one.index.passages) for one in self._loaded.values()) > _IN_MEMORY:
            gone, _ = self._loaded.popitem(last=False)
            self._locks.pop(gone, None)
        return loaded.index

    async def _load(self, collection: str, change: int, before: _Loaded | None) -> _Loaded:
        changes = await table.changes(self._store, collection)
        old = before.by_document if before is not None else {}
        kept = {id: old[id] for id, at in changes.items() if id in old and old[id][0] == at}
        stored = await table.passages_of(self._store, collection, [id for id in changes if id not in kept])
        return await asyncio.to_thread(_built, change, changes, kept, stored)


def _built(
    change: int,
    changes: Mapping[str, int],
    kept: Mapping[str, tuple[int, Sequence[Passage]]],
    stored: Sequence[Stored],
) -> _Loaded:
    """Blocks: it counts words."""
    import numpy as np

    fresh: dict[str, list[Passage]] = {}
    for one in stored:
        vector = np.frombuffer(one.vector, "<f4")
        fresh.setdefault(one.document, []).append(
            Passage.of(one.document, one.seq, one.title, one.url, one.text, vector)
        )
    by_document = {id: kept.get(id) or (at, fresh.get(id, [])) for id, at in changes.items()}
    return _Loaded(change, by_document, Index([part for _, parts in by_document.values() for part in parts]))


def _no_collection(name: str) -> NotFoundError:
    return NotFoundError(f"there is no collection {name[:80]!r}", param="name")


def _no_document(name: str, id: str) -> NotFoundError:
    return NotFoundError(f"the collection {name!r} has no document {id[:140]!r}", param="id")
