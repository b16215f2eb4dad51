"""Answers remembered in memory: under a scope and a question, for a while, so many at most. Knows no requests.

A scope is everything that must be the same; inside one a question finds its own answer, or that of a question so near in
meaning that a judge says it asks the same.
"""

from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

Same = Callable[[str, str], bool]
"""Whether two questions, near in meaning, ask the same."""

_NEAREST = 5
"""Neighbours that are judged: the nearest may differ in a number where the next asks the same."""


@dataclass(frozen=True, slots=True, eq=False)
class Entry:
    """One answer: the question it was given to, the answer's wire form, when it dies, what it weighs."""

    scope: bytes
    question: str
    wire: dict[str, Any]
    expert: str
    dies: float
    size: int
    vector: "NDArray[np.float32] | None"


@dataclass(frozen=True, slots=True)
class Hit:
    """A remembered answer, and how near its question is: 1 where it is the same, else the cosine."""

    entry: Entry
    similarity: float


@dataclass(slots=True)
class AnswerCache:
    """At most `most_entries` answers of `most_bytes` together; the one unused for longest goes first."""

    ttl_s: float
    most_entries: int
    most_bytes: int
    clock: Callable[[], float]
    size: int = 0
    _entries: OrderedDict[tuple[bytes, str], Entry] = field(default_factory=OrderedDict)
    _scopes: dict[bytes, dict[str, Entry]] = field(default_factory=dict)
    _stacks: "dict[bytes, tuple[list[Entry], NDArray[np.float32]]]" = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self._entries)

    def exact(self, scope: bytes, question: str) -> Hit | None:
        """The answer to this very question."""
        entry = self._entries.get((scope, question))
        if entry is None:
            return None
        if entry.dies <= self.clock():
            self._drop(entry)
            return None
        self._entries.move_to_end((scope, question))
        return Hit(entry, 1.0)

    def near(self, scope: bytes, question: str, vector: "NDArray[np.float32]", least: float, same: Same) -> Hit | None:
        """The answer to the nearest question of the scope, of cosine `least` or more, that asks the same."""
        import numpy as np

        inside = self._scopes.get(scope, {})
        while inside and (oldest := next(iter(inside.values()))).dies <= self.clock():  # put in the order they die in
            self._drop(oldest)
        if not inside:
            return None
        entries, stacked = self._stack(scope)
        if not entries:
            return None
        cosines = stacked @ vector
        for at in np.argsort(-cosines, kind="stable")[:_NEAREST].tolist():
            if cosines[at] < least:
                return None
            if same(entries[at].question, question):
                self._entries.move_to_end((scope, entries[at].question))
                return Hit(entries[at], float(cosines[at]))
        return None

    def _stack(self, scope: bytes) -> "tuple[list[Entry], NDArray[np.float32]]":
        """A scope's entries that have vectors, and these as rows: made anew only after a change."""
        import numpy as np

        if scope not in self._stacks:
            entries = [entry for entry in self._scopes.get(scope, {}).values() if entry.vector is not None]
            rows = [entry.vector for entry in entries if entry.vector is not None]
            self._stacks[scope] = entries, np.stack(rows) if rows else np.empty((0, 0), np.float32)
        return self._stacks[scope]

    def put(
        self,
        scope: bytes,
        question: str,
        wire: dict[str, Any],
        expert: str,
        size: int,
        vector: "NDArray[np.float32] | None",
    ) -> None:
        """Remember an answer of `size` bytes, and forget what there is no more room for."""
        if size > self.most_bytes:
            return
        if (old := self._entries.get((scope, question))) is not None:
            self._drop(old)
        entry = Entry(scope, question, wire, expert, self.clock() + self.ttl_s, size, vector)
        self._entries[scope, question] = entry
        self._scopes.setdefault(scope, {})[question] = entry
        self._stacks.pop(scope, None)
        self.size += size
        while len(self._entries) > self.most_entries or self.size > self.most_bytes:
            self._drop(next(iter(self._entries.values())))

    def _drop(self, entry: Entry) -> None:
        del self._entries[entry.scope, entry.question]
        inside = self._scopes[entry.scope]
        del inside[entry.question]
        self._stacks.pop(entry.scope, None)
        if not inside:
            del self._scopes[entry.scope]
        self.size -= entry.size
