"""Live figures about experts that selectors may ask for: how fast they were lately, what users thought of them.

Kept in this process; feedback is read from the store, so that every worker learns what any of them was told. Knows
nothing of routing.
"""

import asyncio
import logging
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import sqlalchemy as sa

from experts.errors import StoreError
from orchestrator.store.models import feedback, requests
from orchestrator.store.records import RequestRecord
from orchestrator.store.store import Store
from router.tools import Reward

log = logging.getLogger("madrigal")

HALF_LIFE_S = 60.0
"""After this time a call counts half."""
FORGOTTEN_S = 15 * 60.0
"""After this time without a call nothing is known of an expert's speed any more."""
REFRESH_S = 15.0
"""How often feedback is read."""


@dataclass(slots=True)
class _Speed:
    weight: float
    mean_s: float
    at: float


class Figures:
    """What is known of experts by now. Reading it never blocks."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._speed: dict[str, _Speed] = {}
        self._rewards: Mapping[str, Reward] = {}

    def note(self, record: RequestRecord) -> None:
        """Learn from a request that has ended."""
        for call in record.calls:
            if call.first_token_s is not None:
                self._called(call.expert, call.first_token_s)

    def latency(self, expert: str) -> float | None:
        """Seconds to the first token, recent calls counting most; None where there were none lately."""
        speed = self._speed.get(expert)
        return speed.mean_s if speed is not None and self._clock() - speed.at < FORGOTTEN_S else None

    def reward(self, expert: str) -> Reward:
        """The feedback on an expert's answers, as last read."""
        return self._rewards.get(expert, Reward())

    async def refresh(self, store: Store) -> None:
        """Read the feedback again. Raises `StoreError`."""
        query = (
            sa.select(requests.c.expert, sa.func.count(), sa.func.avg(feedback.c.score))
            .join(feedback, feedback.c.request_id == requests.c.id)
            .where(requests.c.expert.is_not(None))
            .group_by(requests.c.expert)
        )
        async with store.reading() as connection:
            rows = (await connection.execute(query)).all()
        self._rewards = {expert: Reward(float(count), float(mean)) for expert, count, mean in rows}

    async def keep_fresh(self, store: Store) -> None:
        """`refresh` for ever; a store that cannot be read is told of once, and what was known stays."""
        told = False
        while True:
            try:
                await self.refresh(store)
                told = False
            except StoreError as error:
                if not told:
                    log.warning("feedback could not be read, selectors go by what is known: %s", error)
                told = True
            await asyncio.sleep(REFRESH_S)

    def _called(self, expert: str, seconds: float) -> None:
        now = self._clock()
        speed = self._speed.get(expert)
        if speed is None:
            self._speed[expert] = _Speed(1.0, seconds, now)
            return
        speed.weight = speed.weight * 0.5 ** ((now - speed.at) / HALF_LIFE_S) + 1.0
        speed.mean_s += (seconds - speed.mean_s) / speed.weight
        speed.at = now
