"""What a strategy of several calls may spend, and what it has spent. Pure; knows no strategy."""

from collections.abc import Callable
from dataclasses import dataclass, field

from pydantic import Field

from experts.spec import Frozen


class Budget(Frozen):
    """Bounds of one answer. Where one is reached the best answer so far is given; a first call is always made."""

    calls: int | None = Field(None, ge=0, description="calls to experts at most; none: as many as the strategy makes")
    tokens: int | None = Field(
        None, ge=0, description="tokens of all calls, prompts included; asked before each call, so the last may overrun"
    )
    seconds: float | None = Field(
        None, ge=0, description="until the final answer has begun; what is running then is stopped"
    )


@dataclass(slots=True)
class Purse:
    """A budget being spent. `clock` gives seconds; the time starts when it is made."""

    budget: Budget
    clock: Callable[[], float]
    calls: int = 0
    tokens: int = 0
    ends: float | None = field(init=False)

    def __post_init__(self) -> None:
        self.ends = None if self.budget.seconds is None else self.clock() + self.budget.seconds

    def room(self, wanted: int, keep: int = 0) -> int:
        """How many of `wanted` calls may be made now, with `keep` left for later; never none where none was made."""
        least = min(wanted, 1) if self.calls == 0 else 0
        if self.over():
            return least
        if self.budget.calls is None:
            return wanted
        return max(least, min(wanted, self.budget.calls - self.calls - keep))

    def over(self) -> bool:
        """Whether tokens or time are used up."""
        if self.budget.tokens is not None and self.tokens >= self.budget.tokens:
            return True
        return self.ends is not None and self.clock() >= self.ends

    def left_s(self) -> float | None:
        """Seconds left, None where time is not bounded."""
        return None if self.ends is None else max(0.0, self.ends - self.clock())
