"""Strategies, a file each, named as in YAML: what is done with the experts that the router ranked.

The contract of every file: a `Params` model, and

    async def run(job: Job, params: Params) -> Answer

which returns once the answer has begun. It calls experts only through `job.attempts`, so that places, fallback,
records and constraints hold for every call.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from experts.call import Call

if TYPE_CHECKING:  # checking a policy file reads Params only: it shall not load HTTP client and pool
    from orchestrator.attempts import Attempts


@dataclass(frozen=True, slots=True)
class Job:
    """What a strategy works on: the call as the client made it and the experts in order of preference."""

    call: Call
    experts: Sequence[str]
    attempts: "Attempts"
    ask_usage: bool
