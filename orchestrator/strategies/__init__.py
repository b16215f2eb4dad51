"""Strategies, a file each, named as in YAML: what is done with the experts that the router ranked.

The contract of every file: a `Params` model (frozen, unknown keys refused, every field described and with a default), and

    async def run(job: Job, params: Params) -> Answer

which returns once the answer has begun. It calls experts only through `job.attempts`, so that places, fallback,
records and constraints hold for every call. A strategy of several calls holds, besides, a `PLAN` (its steps as a graph,
`orchestrator/deliberation.py`), a `budget` among its parameters, and asks experts through a `Panel`. Where parameters name
experts there is

    def experts(params: Params) -> Iterable[tuple[str, str]]      the parameter and the name, to be checked beforehand

so for expressions over signals, and for what it needs of the engines of a decision's experts (`use`):

    def rules(params: Params) -> Iterable[tuple[str, str]]        the parameter and the expression
    def needs(params: Params, use: Sequence[str]) -> Iterable[tuple[str, Feature, str]]     parameter, feature, expert
"""

import random
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeAlias

from experts.call import Call

if TYPE_CHECKING:  # checking a policy file reads Params only: it shall not load HTTP client and pool
    from orchestrator.attempts import Attempts
    from orchestrator.durable import Durable
    from router.policy import Route

Judge: TypeAlias = Callable[[str], Awaitable[Callable[[str], str | None]]]
"""A text that is not the user's → who may not see it: an expert's name → None, or why not."""


async def _anybody(text: str) -> Callable[[str], str | None]:
    return lambda expert: None


async def _nothing_holds(rule: str, text: str) -> bool:
    return False


@dataclass(frozen=True, slots=True)
class Job:
    """What a strategy works on: the call as the client made it and the experts in order of preference, with `scores` as
    the selector gave them.

    `permits` says why the request may not reach an expert that is not among `experts` (None: it may); `judge` does so for
    a text of others; `holds` tells whether an expression over the policy's signals is true of such a text;
    `context_tokens` is what an expert can read, where known; `reroute` routes a sub-task by the request's own policy.
    `durable` keeps the steps of a run that is to outlive this process, None where none is. `notes` end in the trace. `created` is the answer's time, `clock` counts seconds, `random` gives numbers in [0, 1).
    """

    call: Call
    experts: Sequence[str]
    attempts: "Attempts"
    ask_usage: bool
    scores: Mapping[str, float] = field(default_factory=dict)
    permits: Callable[[str], str | None] = lambda expert: None
    judge: Judge = _anybody
    holds: Callable[[str, str], Awaitable[bool]] = _nothing_holds
    context_tokens: Callable[[str], int | None] = lambda expert: None
    reroute: "Callable[[Sequence[Mapping[str, Any]]], Awaitable[Route]] | None" = None
    durable: "Durable | None" = None
    notes: list[str] = field(default_factory=list)
    created: int = 0
    clock: Callable[[], float] = time.monotonic
    random: Callable[[], float] = random.random

    def note(self, text: str) -> None:
        """Tell the trace what happened."""
        self.notes.append(text)
