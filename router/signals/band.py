"""Named ranges of another signal's number: `hard` from 0.5 on, `medium` from 0.2. Knows nothing of prompts.

A band's confidence follows vLLM Semantic Router's calibration `sigmoid_distance`: 0.5 at a bound, and the nearer to 1
the farther the number is from the nearest bound.
"""

import math
from collections.abc import Iterable

from pydantic import Field, field_validator, model_validator

from experts.spec import Frozen
from router.signals import Derive, Missing, Read, See, Signal
from router.tools import Tools

COST = "derived"
NEEDS: frozenset[str] = frozenset()
EXAMPLE = {"of": "a", "bands": [{"name": "easy", "lt": 0.3}, {"name": "hard", "gte": 0.3}]}


class Band(Frozen):
    """A range: every bound that is given must hold."""

    name: str = Field(min_length=1, description="the signal's label where the number is in this range")
    gt: float | None = Field(None, description="it must be above this")
    gte: float | None = Field(None, description="it must be at least this")
    lt: float | None = Field(None, description="it must be below this")
    lte: float | None = Field(None, description="it must be at most this")

    def holds(self, number: float) -> bool:
        """Whether a number is in this range."""
        return (
            (self.gt is None or number > self.gt)
            and (self.gte is None or number >= self.gte)
            and (self.lt is None or number < self.lt)
            and (self.lte is None or number <= self.lte)
        )

    @property
    def bounds(self) -> tuple[float, ...]:
        """The bounds that are given."""
        return tuple(bound for bound in (self.gt, self.gte, self.lt, self.lte) if bound is not None)

    @model_validator(mode="after")
    def _possible(self) -> "Band":
        least = max((b for b in (self.gt, self.gte) if b is not None), default=-math.inf)
        most = min((b for b in (self.lt, self.lte) if b is not None), default=math.inf)
        if least > most:
            raise ValueError(f"the band {self.name!r} begins at {least:g} and ends at {most:g}: nothing is in it")
        return self


class Params(Frozen):
    """It matches if the number is in one of the bands; the first that holds it counts."""

    of: str = Field(min_length=1, description="the signal whose number is read: a score, a length …")
    bands: tuple[Band, ...] = Field(min_length=1, description="ranges, the first that holds the number counts")
    slope: float = Field(12.0, gt=0, description="how fast the confidence grows with the distance from a bound")

    @field_validator("bands")
    @classmethod
    def _once(cls, bands: tuple[Band, ...]) -> tuple[Band, ...]:
        names = [band.name for band in bands]
        if twice := next((name for name in names if names.count(name) > 1), None):
            raise ValueError(f"two bands are named {twice!r}")
        return bands


def reads(params: Params) -> Iterable[Read]:
    """The signal whose number it is."""
    yield "of", f"`{params.of}`"


def build(params: Params, tools: Tools) -> Derive:
    """The signal's label is the band's name, its value the number; no band, or no number: no match."""
    name, bands, slope = params.of, params.bands, params.slope

    def derive(see: See) -> Signal | Missing:
        source = see(name)
        if source is None:
            return frozenset({name})
        number = source.value
        if not isinstance(number, int | float) or isinstance(number, bool):
            return Signal(False, confidence=0.0)
        for band in bands:
            if band.holds(number):
                distance = min((abs(number - bound) for bound in band.bounds), default=1.0)
                sure = 1.0 / (1.0 + math.exp(-min(slope * distance, 700.0)))
                return Signal(True, value=number, label=band.name, confidence=sure)
        return Signal(False, value=number, confidence=0.0)

    return derive
