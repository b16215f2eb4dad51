"""What is remembered of users who want it: taken from their own turns, recalled by what they ask. Knows no plugin.

Whose memory it is comes from the key alone: its tenant and its user, or the key itself where it names no user.
"""

import uuid
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from experts.errors import NotFoundError
from orchestrator.caller import Key
from orchestrator.facts import SINGLE, facts
from orchestrator.store import memory_table as table
from orchestrator.store.memory_table import Memory
from orchestrator.store.store import Store
from orchestrator.store.writing import clean

if TYPE_CHECKING:
    from router.tools import Embedder

MAX_FACTS = 200
"""Facts kept of a user; a new one beyond them takes the oldest one's place."""


@dataclass(frozen=True, slots=True)
class Recalled:
    """A fact, and its cosine to what was asked."""

    text: str
    similarity: float


class Memories:
    """The memory of all users of a store; off for everyone who has not switched it on."""

    def __init__(
        self, store: Store, embedder: "Embedder", now: Callable[[], datetime] = lambda: datetime.now(UTC)
    ) -> None:
        self._store = store
        self._embedder = embedder
        self._now = now

    async def is_on(self, key: Key) -> bool:
        """Whether this key's user wants things remembered."""
        return await table.is_on(self._store, key.tenant, user_of(key))

    async def switch(self, key: Key, on: bool) -> None:
        """Switch it on or off. What is remembered stays until it is deleted; off, nobody is told."""
        await table.switch(self._store, key.tenant, user_of(key), on)

    async def all(self, key: Key) -> list[Memory]:
        """Everything remembered, oldest first."""
        return await table.listed(self._store, key.tenant, user_of(key))

    async def forget(self, key: Key, id: str | None = None) -> int:
        """Delete one fact, or all of them; how many. Raises `NotFoundError` where there is no such one."""
        removed = await table.remove(self._store, key.tenant, user_of(key), id if id is None else clean(id))
        if id is not None and not removed:
            raise NotFoundError(f"nothing is remembered under {id[:80]!r}", param="id")
        return removed

    async def remember(self, key: Key, turn: str) -> list[str]:
        """Keep the facts of a user's turn; which ones."""
        found = facts(clean(turn))
        if not found:
            return []
        vectors = await self._embedder.embed([one.text for one in found])
        now = self._now()
        made = [
            Memory(f"mem_{uuid.uuid4().hex}", one.kind, one.text, vector.astype("<f4").tobytes(), now)
            for one, vector in zip(found, vectors, strict=True)
        ]
        await table.add(self._store, key.tenant, user_of(key), made, SINGLE, MAX_FACTS)
        return [one.text for one in found]

    async def recall(self, key: Key, turn: str, most: int, similarity: float) -> list[Recalled]:
        """The facts nearest to a turn, nearest first, none farther than `similarity`."""
        known = await self.all(key)
        if not known or not turn.strip():
            return []
        import numpy as np

        vector = (await self._embedder.embed([turn]))[0]
        near = np.stack([np.frombuffer(one.vector, "<f4") for one in known]) @ vector  # [N]
        order = [int(at) for at in np.argsort(-near, kind="stable")[:most]]
        return [Recalled(known[at].text, float(near[at])) for at in order if near[at] >= similarity]


def user_of(key: Key) -> str:
    """Whose memory it is: all keys of a user share it; a key that names no user has its own."""
    return key.user if key.user is not None else f"key {key.id}"
