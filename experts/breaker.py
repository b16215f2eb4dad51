"""A circuit breaker: from how calls ended, whether the next one may be tried. Pure: no clock of its own, no I/O.

closed → open after many failures in a row, or a large share of failures among the last calls → half-open after a while:
one probe → closed, or open again for twice as long. What a client caused counts neither way; an engine that says it
is busy is left alone for as long as it asked, without opening. After Nygard, "Release It!", ch. 5.
"""

import asyncio
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from experts.errors import (
    EngineBusyError,
    EngineDownError,
    EngineFaultError,
    ExpertError,
    MadrigalError,
    StreamCutError,
)

_OURS = frozenset({401, 402, 403, 407, 408})
"""Client errors by number that are no client's fault: our key, our quota, our proxy, its own slowness."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a call ended, as far as the expert's health is concerned. `cut`: the connection failed, maybe the process."""

    kind: Literal["ok", "client_error", "busy", "failed", "cancelled"]
    reason: str = ""
    retry_after_s: float | None = None
    cut: bool = False


OK = Outcome("ok")
CLIENT_ERROR = Outcome("client_error")
CANCELLED = Outcome("cancelled")


def busy(retry_after_s: float | None = None, reason: str = "it is busy") -> Outcome:
    """The engine is up but refuses for now."""
    return Outcome("busy", reason, retry_after_s)


def failed(reason: str, *, cut: bool = False) -> Outcome:
    """The engine is at fault."""
    return Outcome("failed", reason, cut=cut)


def outcome_of(error: BaseException | None) -> Outcome:
    """The outcome that an exception out of a call stands for; None stands for success.

    An exception that is none of Madrigal's own says nothing of the engine and counts as cancelled.
    """
    match error:
        case None:
            return OK
        case asyncio.CancelledError() | GeneratorExit():
            return CANCELLED
        case EngineBusyError():
            return busy(error.retry_after_s, error.message)
        case EngineFaultError(status=status) if 400 <= status < 500 and status not in _OURS:
            return CLIENT_ERROR
        case ExpertError():
            return failed(error.message, cut=isinstance(error, EngineDownError | StreamCutError))
        case MadrigalError():
            return CLIENT_ERROR
    return CANCELLED


@dataclass(frozen=True, slots=True)
class Rules:
    """When a breaker opens and for how long.

    `failures` in a row open it, or `share` of the last `window` calls once that many were seen. It stays open for
    `open_s`, doubled after each probe that failed, up to `longest_open_s`. `busy_s` is how long an engine that said it
    is busy, but not for how long, is left alone.
    """

    failures: int = 5
    window: int = 20
    share: float = 0.5
    open_s: float = 5.0
    longest_open_s: float = 60.0
    busy_s: float = 1.0


class Breaker:
    """The health of one expert as its calls show it. `admit` before a call, `record` after it, each once."""

    def __init__(self, rules: Rules, clock: Callable[[], float]) -> None:
        self._rules, self._clock = rules, clock
        self._era = 0
        self._opened = 0
        self.reset()

    def reset(self) -> None:
        """Forget everything, as after a restart of the engine. Calls begun before no longer count."""
        self._era += 1
        self._opened = 0
        self._row = 0
        self._last: deque[bool] = deque(maxlen=self._rules.window)
        self._open_until: float | None = None
        self._busy_until = 0.0
        self._probing = False
        self.reason = ""

    @property
    def state(self) -> Literal["closed", "open", "half_open", "cooling"]:
        """`cooling`: closed, but it asked to be left alone for now."""
        now = self._clock()
        if self._open_until is None:
            return "cooling" if now < self._busy_until else "closed"
        return "open" if now < max(self._open_until, self._busy_until) else "half_open"

    @property
    def retry_after_s(self) -> float:
        """Seconds until a call may be tried; 0 if now."""
        until = max(self._open_until or 0.0, self._busy_until)
        wait = max(0.0, until - self._clock())
        return wait or (self._rules.busy_s if self._probing else 0.0)

    def would_admit(self) -> bool:
        """Whether `admit` would let a call pass now."""
        if self._open_until is None and not self._busy_until:
            return True
        state = self.state
        return state == "closed" or (state == "half_open" and not self._probing)

    def admit(self) -> int | None:
        """Let a call pass and return its ticket for `record`, or None: not now. In half-open one call at a time passes."""
        if not self.would_admit():
            return None
        if self._open_until is not None:
            self._probing = True
        return self._era

    def record(self, ticket: int, outcome: Outcome) -> bool:
        """Count how the call with this ticket ended; true if that opened the breaker.

        Calls admitted before the breaker last changed its state do not count, but a wish to be left alone does.
        """
        if outcome.kind == "busy":
            wait = self._rules.busy_s if outcome.retry_after_s is None else outcome.retry_after_s
            self._busy_until = max(self._busy_until, self._clock() + max(0.0, wait))
            self.reason = outcome.reason if self._open_until is None else self.reason
        if ticket != self._era:
            return False
        self._probing = False
        if outcome.kind == "ok":
            if self._open_until is not None:
                self.reset()
            self._row = 0
            self._last.append(True)
            return False
        if outcome.kind == "failed":
            return self._failure(outcome.reason)
        return False

    def _failure(self, reason: str) -> bool:
        self._row += 1
        self._last.append(False)
        full = len(self._last) == self._rules.window
        share = self._last.count(False) / len(self._last)
        if self._open_until is None and self._row < self._rules.failures and not (full and share >= self._rules.share):
            return False
        wait = min(self._rules.open_s * 2**self._opened, self._rules.longest_open_s)
        self._opened = min(self._opened + 1, 16)
        self._era += 1
        self._open_until = self._clock() + wait
        self.reason = reason
        return True
