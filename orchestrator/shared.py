"""What several workers must agree on: each key's limits and budget. In memory here, for one process.

Limits per minute are sliding windows (`window.py`). A request's tokens are not known when it comes in: an estimate is
reserved, and corrected at its end. Budgets are checked at entry against what was spent in the period, so calls in
flight may overdraw one by what they cost. Other ways to share (Redis) keep the same interface, `Limits`.
"""

import asyncio
import math
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from typing import Protocol

from experts.errors import LimitError
from orchestrator.caller import Key, Quota
from orchestrator.window import Window

Spent = Callable[[str, date | None], Awaitable[float]]
"""What a key (by id) has spent from a UTC day on (None: ever), in US dollars: `Recorder.spent_usd`."""

_NO_HEADERS: Mapping[str, str] = {}


@dataclass(slots=True)
class Admission:
    """A request that was let in at `at`, with `tokens` reserved for it (None: tokens are not limited).

    `headers` are for its answer (`x-ratelimit-*`), empty for a key without limits a minute.
    """

    key_id: str
    at: float = 0.0
    tokens: int | None = None
    period: date | None = None
    headers: Mapping[str, str] = field(default_factory=lambda: _NO_HEADERS)
    settled: bool = False


class Limits(Protocol):
    """The gate every request passes twice."""

    async def admit(self, key: Key, tokens: int) -> Admission:
        """Let a request of about `tokens` tokens (prompt and the most it may generate) in, reserving them.

        Raises `LimitError` with the limit's headers: code `rate_limit_exceeded`, and `retry_after_s` is when it would
        be let in if nobody else came (None: it alone is over the limit); or `insufficient_quota` where the budget is
        spent, and `retry_after_s` is when the next period begins (None: never). Raises `StoreError` where a budget
        cannot be looked up. A refused request counts nowhere.
        """

    async def settle(self, admission: Admission, tokens: int, cost_usd: float) -> None:
        """Replace what was reserved by what was used, once, however the request ended; a second time does nothing."""


@dataclass(slots=True)
class _Spending:
    """What a key spent in the period that began on `start` (None: its whole life)."""

    start: date | None
    usd: float


@dataclass(slots=True)
class _Meter:
    requests: Window = field(default_factory=Window)
    tokens: Window = field(default_factory=Window)
    spending: _Spending | None = None
    lock: asyncio.Lock = field(default_factory=asyncio.Lock)


class MemoryLimits:
    """`Limits` of one process, on one event loop.

    `clock` is any steady clock in seconds, `wall` the seconds since the epoch (for budget periods). `spent` is asked
    once per key and period, so that a restart forgives nothing; without it, every budget starts unspent.
    """

    def __init__(
        self,
        *,
        clock: Callable[[], float] = time.monotonic,
        wall: Callable[[], float] = time.time,
        spent: Spent | None = None,
    ) -> None:
        self._clock = clock
        self._wall = wall
        self._spent = spent
        self._meters: dict[str, _Meter] = {}

    async def admit(self, key: Key, tokens: int) -> Admission:
        """See `Limits.admit`. Suspends only where a budget is looked up for the first time in its period."""
        quota = key.quota
        if quota.requests_per_minute is None and quota.tokens_per_minute is None and quota.budget_usd is None:
            return Admission(key.id)
        meter = self._meters.setdefault(key.id, _Meter())
        period = None
        if quota.budget_usd is not None:
            period = await self._check_budget(key, meter)
        now = self._clock()
        self._check_minute(key, meter, now, tokens)
        if quota.requests_per_minute is not None:
            meter.requests.add(now, 1)
        reserved = None
        if quota.tokens_per_minute is not None:
            meter.tokens.add(now, tokens)
            reserved = tokens
        return Admission(key.id, now, reserved, period, _headers(quota, meter, now))

    async def settle(self, admission: Admission, tokens: int, cost_usd: float) -> None:
        """See `Limits.settle`. Never suspends."""
        if admission.settled:
            return
        admission.settled = True
        meter = self._meters.get(admission.key_id)
        if meter is None:
            return
        if (reserved := admission.tokens) is not None:
            if tokens < reserved:
                meter.tokens.take_back(self._clock(), admission.at, reserved - tokens)
            elif tokens > reserved:  # they were generated up to now, so they count from now
                meter.tokens.add(self._clock(), tokens - reserved)
        # The log books a request on the day it began; one that began in an earlier period is no longer of interest.
        if meter.spending is not None and meter.spending.start == admission.period:
            meter.spending.usd += cost_usd

    def _check_minute(self, key: Key, meter: _Meter, now: float, tokens: int) -> None:
        quota = key.quota
        waits: list[tuple[float | None, str]] = []
        if (limit := quota.requests_per_minute) is not None:
            waits.append((meter.requests.wait_s(now, 1, limit), f"{limit} requests"))
        if (limit := quota.tokens_per_minute) is not None:
            waits.append((meter.tokens.wait_s(now, tokens, limit), f"{limit} tokens"))
        wait_s, what = max(waits, key=lambda wait: math.inf if wait[0] is None else wait[0], default=(0.0, ""))
        if wait_s == 0.0:
            return
        if wait_s is None:
            reason = f"this request may take {tokens} tokens, more than the {what} a minute of key {key.name!r}."
            remedy = "Ask for fewer with max_tokens, or shorten the prompt."
        else:
            reason = f"key {key.name!r} has used its {what} a minute."
            remedy = f"Try again in {_duration(wait_s)}."
        raise LimitError(reason, retry_after_s=wait_s, remedy=remedy, headers=_headers(quota, meter, now))

    async def _check_budget(self, key: Key, meter: _Meter) -> date | None:
        budget = key.quota.budget_usd
        assert budget is not None
        start, end = _period(key.quota, self._wall())
        if meter.spending is None or meter.spending.start != start:
            async with meter.lock:  # many requests may wait for one look-up
                if meter.spending is None or meter.spending.start != start:
                    spent = await self._spent(key.id, start) if self._spent is not None else 0.0
                    meter.spending = _Spending(start, spent)
        if meter.spending.usd < budget:
            return start
        span = {"total": "", "day": " for today", "month": " for this month"}[key.quota.budget_period]
        raise LimitError(
            f"key {key.name!r} has spent its budget of {budget:g} US dollars{span}.",
            retry_after_s=None if end is None else end - self._wall(),
            remedy="Raise it with a new key, or wait for the next period." if end is not None else "Make a new key.",
            headers=_headers(key.quota, meter, self._clock()),
            code="insufficient_quota",
        )


def _period(quota: Quota, wall: float) -> tuple[date | None, float | None]:
    """First day of the budget's present period, and the moment the next one begins (seconds since the epoch)."""
    if quota.budget_period == "total":
        return None, None
    today = datetime.fromtimestamp(wall, UTC).date()
    if quota.budget_period == "day":
        start, after = today, today + timedelta(days=1)
    else:
        start = today.replace(day=1)
        after = (start + timedelta(days=32)).replace(day=1)
    return start, datetime(after.year, after.month, after.day, tzinfo=UTC).timestamp()


def _headers(quota: Quota, meter: _Meter, now: float) -> Mapping[str, str]:
    """As OpenAI sends them: the limit, what is left of it, and how long until all of it is back."""
    headers: dict[str, str] = {}
    for name, limit, window in (
        ("requests", quota.requests_per_minute, meter.requests),
        ("tokens", quota.tokens_per_minute, meter.tokens),
    ):
        if limit is not None:
            headers[f"x-ratelimit-limit-{name}"] = str(limit)
            headers[f"x-ratelimit-remaining-{name}"] = str(max(0, limit - window.total(now)))
            headers[f"x-ratelimit-reset-{name}"] = _duration(window.clear_s(now))
    return headers


def _duration(seconds: float) -> str:
    """As Go writes durations, which is how OpenAI sends them: `250ms`, `12.5s`, `1m0.5s`. Rounded up."""
    ms = math.ceil(seconds * 1000 - 0.01)
    if ms < 1000:
        return f"{max(0, ms)}ms"
    minutes, rest = divmod(ms, 60_000)
    return f"{minutes}m{rest / 1000:g}s" if minutes else f"{rest / 1000:g}s"
