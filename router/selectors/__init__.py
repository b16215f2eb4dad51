"""Selectors, a file each, named as in YAML: who of those that may answer should. The contract every file here keeps.

A file holds `Params`, `COST`, `NEEDS`, `EXAMPLE` and `build`:

    class Params(Frozen): ...               every field described and with a default, unknown keys refused
    COST = "cheap"                          "neural" if it asks a model; then `select` is async
    NEEDS = frozenset()                     the fields of `router.tools.Tools` it cannot do without
    EXAMPLE = {}                            the smallest useful parameters for the experts a and b
    def build(params, experts, tools)       raises `ConfigError` if it does not fit a decision's experts
    select(ask) -> Selection                pure; ranks every candidate, as the ranking is the order of fallback

Those that cannot serve the request are gone before a selector sees it, and the unhealthy ones are not in `candidates`.
"""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, TypeAlias

from pydantic import BaseModel

from router.card import Card
from router.prompt import Prompt
from router.signals import Cost, Signal
from router.tools import Tools


@dataclass(frozen=True, slots=True)
class Ask:
    """What a selector is asked: the candidates in the decision's order (at least one), the request, what is known
    of it so far, a source of random numbers in [0, 1) and a clock in seconds."""

    candidates: Sequence[Card]
    prompt: Prompt
    signals: Mapping[str, Signal]
    random: Callable[[], float]
    clock: Callable[[], float]


@dataclass(frozen=True, slots=True)
class Score:
    """One expert's place in a ranking; scores compare only within one selector's ranking."""

    expert: str
    score: float
    why: str


@dataclass(frozen=True, slots=True)
class Selection:
    """Every candidate, best first, and the probability with which this selector would put this one first."""

    ranking: Sequence[Score]
    propensity: float = 1.0


Select: TypeAlias = Callable[[Ask], Selection]
SelectLater: TypeAlias = Callable[[Ask], Awaitable[Selection]]


class SelectorType(Protocol):
    """A file of this folder, seen as an object."""

    Params: type[BaseModel]
    COST: Cost
    NEEDS: frozenset[str]
    EXAMPLE: Mapping[str, Any]

    def build(self, params: Any, experts: Sequence[Card], tools: Tools) -> Select | SelectLater:
        """The function that ranks: sync if `COST` is cheap, async if it is neural."""
