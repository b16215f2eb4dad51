"""What an expert said, and what it was asked, as plain data: for strategies, plugins and checkpoints. Pure."""

from collections.abc import Mapping, Sequence
from typing import Any, TypedDict

from experts.errors import EngineFaultError

Message = Mapping[str, Any]
Messages = Sequence[Message]


class Voice(TypedDict):
    """One expert's whole answer, as plain data: strategies keep it, checkpoints too.

    `finish` is its finish reason, `logprobs` of each token those of the likeliest alternatives, best first (empty
    where they were not asked for), `chosen` that of the token itself. `energies` are each token's logsumexp of logits,
    where the engine gives it (`logits`).
    """

    expert: str
    text: str
    finish: str
    chosen: list[float]
    logprobs: list[list[float]]
    energies: list[float]


def text_of(message: Message) -> str:
    """The text of a message in OpenAI's form, its parts joined."""
    content = message.get("content")
    if isinstance(content, str):
        return content
    parts = content if isinstance(content, list) else ()
    return "\n".join(str(part.get("text") or "") for part in parts if isinstance(part, Mapping))


def likelihood(voice: Voice) -> float | None:
    """The mean log-probability of an answer's tokens, so that its length does not count; None where it is not known."""
    return sum(voice["chosen"]) / len(voice["chosen"]) if voice["chosen"] else None


def voice_of(expert: str, body: Mapping[str, Any]) -> Voice:
    """The first choice of an answer. Raises `EngineFaultError` for one that is not of OpenAI's form."""
    try:
        choice = (body.get("choices") or [{}])[0]
        tokens = (choice.get("logprobs") or {}).get("content") or ()
        return Voice(
            expert=expert,
            text=_text(choice.get("message") or {}),
            finish=choice.get("finish_reason") or "stop",
            chosen=[float(token["logprob"]) for token in tokens],
            logprobs=[[float(top["logprob"]) for top in token.get("top_logprobs") or ()] for token in tokens],
            energies=[float(token["logsumexp"]) for token in tokens if token.get("logsumexp") is not None],
        )
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise EngineFaultError(f"expert {expert!r} gave an answer of no known form ({error!r})", status=200) from error


def _text(message: Message) -> str:
    content = message.get("content")
    return content if isinstance(content, str) else text_of(message)
