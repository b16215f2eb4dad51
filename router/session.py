"""Sessions: which expert a conversation stays with. Knows no store: who answered before is handed in.

A request holds its whole conversation, so nothing but the answerer has to be remembered: under a fingerprint of the
user's turns that led to an answer, which the next request of the conversation holds again, and forks of it too.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import blake2b
from typing import Literal, TypeAlias

from router.prompt import Message, Prompt, estimate
from router.spec import SessionSpec

Kept: TypeAlias = Literal["tool_loop", "follow_up"]
"""Why a request stays with the expert of its conversation."""

TOLD: dict[Kept, str] = {"tool_loop": "continues a tool loop", "follow_up": "a short follow-up of its conversation"}


@dataclass(frozen=True, slots=True)
class Previous:
    """Who answered the conversation's last request, and by which decision if that is known."""

    expert: str
    decision: str | None = None


def tool_loop(prompt: Prompt) -> bool:
    """Whether the last thing an assistant said was calls of tools: their results (and what the user may add) are still
    to be answered. So is a result at the end whose call is not in the request any more."""
    for message in reversed(prompt.messages):
        if message.role == "assistant":
            return bool(message.calls)
    return bool(prompt.messages) and prompt.messages[-1].role in ("tool", "function")


def kept(prompt: Prompt, spec: SessionSpec) -> Kept | None:
    """Whether, and why, a request should stay with the expert that answered before. Says nothing of who that is."""
    if spec.tool_loops and tool_loop(prompt):
        return "tool_loop"
    at = _last_answer(prompt.messages)
    if not spec.follow_up_tokens or at is None:
        return None
    since = prompt.messages[at + 1 :]
    if not since or any(m.role != "user" or m.images or m.audio for m in since):
        return None
    return "follow_up" if sum(estimate(message.text) for message in since) <= spec.follow_up_tokens else None


def fingerprint(prompt: Prompt, policy: str) -> bytes:
    """Under which a conversation's answerer is remembered once this request is answered: 16 bytes.

    It depends on the caller, the policy and the user's turns alone: what assistants and tools said may come back
    shortened or otherwise changed, and system prompts often hold the time.
    """
    return _digest(prompt, policy, len(prompt.messages))


def fingerprint_before(prompt: Prompt, policy: str) -> bytes | None:
    """Under which the answerer of the conversation so far was remembered, or None where nobody has answered yet."""
    at = _last_answer(prompt.messages)
    return None if at is None else _digest(prompt, policy, at)


def _last_answer(messages: Sequence[Message]) -> int | None:
    return next((i for i in range(len(messages) - 1, -1, -1) if messages[i].role == "assistant"), None)


def _digest(prompt: Prompt, policy: str, end: int) -> bytes:
    digest = blake2b(digest_size=16)
    turns = (f"{m.images}:{m.audio}:{m.text}" for m in prompt.messages[:end] if m.role == "user")
    for part in (prompt.tenant, prompt.user, policy, *turns):
        data = part.encode("utf-8", "replace")
        digest.update(len(data).to_bytes(8, "big"))  # so that two turns are not one
        digest.update(data)
    return digest.digest()
