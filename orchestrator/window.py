"""A sliding window over the last minute, in slots of a second. Pure: the time is an argument, in seconds.

An amount counts from its moment until its slot is a whole minute old, so any 60 seconds hold at most the limit; what
that costs is up to a second of patience. A token bucket would let twice its size through in one minute. Sixty-odd
numbers per key are also what a shared store can keep in one hash.
"""

from collections import deque

WINDOW_S = 60
_ROUNDING_S = 1e-6  # a caller who waits exactly as told must not come a rounding error too early


class Window:
    """Amounts of the last minute, in one-second slots. Never below zero."""

    __slots__ = ("_slots", "_total")

    def __init__(self) -> None:
        self._slots: deque[list[int]] = deque()  # [second, amount], oldest first
        self._total = 0

    def total(self, now: float) -> int:
        """What counts at `now`."""
        slots = self._slots
        while slots and _end(slots[0][0]) - _ROUNDING_S <= now:
            self._total -= slots.popleft()[1]
        return self._total

    def add(self, now: float, amount: int) -> None:
        """Count `amount` (≥ 0) from `now` on."""
        self.total(now)  # lets go of what is old, so that a busy key does not grow
        second = int(now // 1)
        if self._slots and self._slots[-1][0] >= second:
            self._slots[-1][1] += amount
        else:
            self._slots.append([second, amount])
        self._total += amount

    def take_back(self, now: float, then: float, amount: int) -> None:
        """Of what was added at `then`, `amount` was not used. Nothing happens if that no longer counts."""
        self.total(now)
        second = int(then // 1)
        for slot in reversed(self._slots):
            if slot[0] <= second:
                if slot[0] == second:
                    back = min(amount, slot[1])
                    slot[1] -= back
                    self._total -= back
                return

    def wait_s(self, now: float, amount: int, limit: int) -> float | None:
        """Seconds until `amount` more fits under `limit`: 0.0 now, None never. Exact if nothing else is added."""
        if amount > limit:
            return None
        excess = self.total(now) + amount - limit
        if excess <= 0:
            return 0.0
        for second, counted in self._slots:
            excess -= counted
            if excess <= 0:
                return _end(second) - now
        raise AssertionError("the slots sum up to less than their total")

    def clear_s(self, now: float) -> float:
        """Seconds until nothing counts any more."""
        return max(0.0, _end(self._slots[-1][0]) - now) if self.total(now) else 0.0


def _end(second: int) -> float:
    return second + 1 + WINDOW_S + _ROUNDING_S
