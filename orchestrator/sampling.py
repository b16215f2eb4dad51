"""Several samples of experts' answers to the client's own messages. Pure; knows no strategy."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from orchestrator.panel import Ask
from orchestrator.strategies import Job


@dataclass(frozen=True, slots=True)
class Sampling:
    """What samples differ in from the client's call. `logprobs` is how many alternatives of each token are wanted,
    `energies` whether the logsumexp of its logits is."""

    temperature: float | None = None
    logprobs: int | None = None
    energies: bool = False

    def fields(self, client: Mapping[str, Any], number: int) -> dict[str, Any]:
        """Fields of the body of sample `number`, from 0. Where the client gave a seed each sample has its own, so that
        the same request gives the same samples."""
        found: dict[str, Any] = {}
        if self.temperature is not None:
            found["temperature"] = self.temperature
        if client.get("seed") is not None:
            found["seed"] = (int(client["seed"]) + number) % 2**31
        if self.logprobs is not None:
            found |= {"logprobs": True, "top_logprobs": self.logprobs}
        if self.energies:
            found["logsumexp"] = True
        return found


def samples(
    job: Job,
    expert: str | Sequence[str],
    number: int,
    sampling: Sampling,
    *,
    shaped: bool = False,
    role: str = "sample",
) -> list[Ask]:
    """`number` asks of the same expert, to be made at once: an engine works on them as one batch. Of several experts
    each is asked in turn."""
    experts = (expert,) if isinstance(expert, str) else expert
    messages = job.call.body["messages"]

    def write(texts: Sequence[str]) -> Sequence[Mapping[str, Any]]:
        return messages  # type: ignore[no-any-return]

    return [
        Ask(experts[at % len(experts)], write, role=role, sampling=sampling.fields(job.call.body, at), shaped=shaped)
        for at in range(number)
    ]


def plain(job: Job, expert: str) -> Ask:
    """The client's own messages to one expert, for the answer itself: where there is nothing to make it of."""
    return samples(job, expert, 1, Sampling(), shaped=True, role="answer")[0]
