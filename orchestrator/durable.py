"""A strategy's run that outlives its process: where its steps are kept, and when they are forgotten.

Knows nothing of strategies nor of graphs; what is kept is for `orchestrator/store/checkpoints.py` and `kept_calls.py`.
"""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from experts.adapted import Wrapped
from experts.call import Answer

if TYPE_CHECKING:  # running a strategy needs no database library
    from orchestrator.store.kept_calls import KeptCall
    from orchestrator.store.store import Store


@dataclass(frozen=True, slots=True)
class Durable:
    """One run's place in the store, by a name that no other request has."""

    thread: str
    store: "Store"

    async def keep(self, asked: int, seq: int, call: "KeptCall") -> None:
        """Keep an answered call. Raises `StoreError`."""
        from orchestrator.store import kept_calls

        await kept_calls.keep(self.store, self.thread, asked, seq, call)

    async def kept(self) -> "dict[tuple[int, int], KeptCall]":
        """The calls that were answered before, by asking and number. Raises `StoreError`."""
        from orchestrator.store import kept_calls

        return await kept_calls.kept(self.store, self.thread)

    async def forget(self) -> None:
        """Delete what was kept. Raises `StoreError`."""
        from orchestrator.store import kept_calls

        await kept_calls.forget(self.store, self.thread)

    def until_given(self, answer: Answer) -> Answer:
        """The answer; what was kept is forgotten when it is closed after its end. One that is broken off can go on."""
        return _Given(answer, self)


class _Given(Wrapped):
    def __init__(self, answer: Answer, run: Durable) -> None:
        super().__init__(answer)
        self._run = run
        self._complete = False

    async def read(self) -> bytes:
        body = await self._answer.read()
        self._complete = True
        return body

    async def __aiter__(self) -> AsyncIterator[bytes]:
        async for block in self._answer:
            yield block
        self._complete = True

    async def aclose(self) -> None:
        await self._answer.aclose()
        if self._complete:
            self._complete = False
            await self._run.forget()
