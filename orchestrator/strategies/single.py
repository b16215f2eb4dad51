"""One call to the best expert; if it fails before its first byte, to the next. The hot path: no graph, no copies."""

from experts.call import Answer
from experts.spec import Frozen
from orchestrator.strategies import Job


class Params(Frozen):
    """No parameters: attempts and waits are the configuration's `fallback:`."""


async def run(job: Job, params: Params) -> Answer:
    """The answer of the first expert that begins one."""
    return await job.attempts.first(job.experts, job.call, ask_usage=job.ask_usage)
