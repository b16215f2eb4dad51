"""Plugins, a file each, named as in YAML: what happens to a request before its experts are called, and to the answer after.

A file holds `Params` (frozen, unknown keys refused, every field described), `EXAMPLE` (the smallest useful parameters) and

    def build(params: Params, kit: Kit) -> Plugin      touches nothing yet; raises `ConfigError` where it could not run

A decision's plugins run in the order of `ORDER`, whatever theirs in the file: on the way in from the first to the last, on
the way out from the last to the first. A user's own (a file in the folder that `plugins_folder` names) stand where `OWN` is,
among themselves in the order of the decision. One whose `when:` does not hold is left out of both ways.
"""

import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from experts.call import Answer, Call

if TYPE_CHECKING:  # checking a policy file builds plugins: it shall load neither database nor HTTP client
    from orchestrator.attempts import Around
    from orchestrator.caller import Key
    from orchestrator.collections import Collections
    from orchestrator.memories import Memories
    from orchestrator.store.store import Store
    from orchestrator.strategies import Judge
    from router.prompt import Prompt
    from router.route import Route
    from router.tools import Embedder

OWN = "*"
ORDER = (
    "reply",
    "jailbreak",
    "system_prompt",
    "memory",
    "rag",
    "tools",
    "compress",
    "params",
    "headers",
    OWN,
    "grounding",
    "cache",
    "pii",
)
"""From the client to the experts. So `system_prompt` sees the client's own system messages alone, the cache sees what experts would be sent, retrieved passages included, but not what is
masked for one of them; and an answer out of it passes all that a new one would."""


@dataclass(frozen=True, slots=True)
class Kit:
    """What plugins may use. Where a policy is only checked, everything is at its default."""

    embedder: "Embedder | None" = None
    store: "Store | None" = None
    collections: "Collections | None" = None
    memories: "Memories | None" = None
    folder: Path = Path()
    """Where relative paths of a policy start."""
    keep_text: Callable[[], bool] = lambda: False
    clock: Callable[[], float] = time.monotonic
    wall: Callable[[], float] = time.time


@dataclass(slots=True)
class Turn:
    """One request on its way in. A plugin changes it: `call` is what experts will be sent, `experts` who may be asked, in
    order. `around` is put around every single call to an expert, `headers` go to the client, `notes` into the trace.

    `prompt` is what was routed by, `judge` tells who may not see a text that is not the user's, `again` runs the strategy
    once more, on another call and these experts.
    """

    call: Call
    experts: list[str]
    route: "Route"
    prompt: "Prompt"
    key: "Key"
    model: str
    created: int
    ask_usage: bool
    judge: "Judge"
    again: Callable[[Call, Sequence[str]], Awaitable[Answer]]
    around: "list[Around]" = field(default_factory=list)
    headers: dict[str, str] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    kept: dict[Any, Any] = field(default_factory=dict)
    """What a plugin leaves for its own way out, and for others: `kept["passages"]` is what the answer may rest on."""

    @property
    def messages(self) -> list[dict[str, Any]]:
        """The messages that experts will be sent, to be read; empty for plain completions."""
        return list(self.call.body.get("messages") or ())


class Plugin:
    """What a file's `build` makes. Each way does nothing unless it is written."""

    async def enter(self, turn: Turn) -> Answer | None:
        """On the way in. An answer ends it: no expert is asked, and the plugins before this one see it on the way out."""
        return None

    async def leave(self, turn: Turn, answer: Answer) -> Answer:
        """On the way out: the answer, or another around it. Whoever drops an answer closes it."""
        return answer


def ordered(names: Sequence[str]) -> list[int]:
    """Places in `names`, in the order in which they run."""
    rank = {name: at for at, name in enumerate(ORDER)}
    return sorted(range(len(names)), key=lambda at: rank.get(names[at], rank[OWN]))  # stable
