"""Answers that were given before: to the same request, or to one whose last turn asks the same in other words.

What must be equal in any case is the tenant, the model asked for, every message before the last one, tools, schema and
sampling. A near question is taken for the same only if, besides, a verifier finds no number, name, negation, direction or
opposite in which the two differ (`orchestrator/same_question.py`). Kept in memory only, until a reload or the time is up;
only complete answers are kept.
"""

import hashlib
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import orjson
from pydantic import Field

from experts.adapted import Wrapped
from experts.assemble import Assembly
from experts.call import Answer, Usage
from experts.spec import Frozen
from orchestrator.answer_cache import AnswerCache, Hit
from orchestrator.plugins import Kit, Plugin, Turn
from orchestrator.rewriting import Gathered
from orchestrator.same_question import difference
from orchestrator.wording.lexicon import lexicon

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

EXAMPLE: dict[str, Any] = {}

HEADER = "x-madrigal-cache"
_NOT_ASKED = (
    "messages",
    "prompt",
    "user",
    "metadata",
    "store",
    "service_tier",
    "prompt_cache_key",
    "safety_identifier",
)
"""What of a body does not change its answer, the questions apart."""


class Params(Frozen):
    """What counts as the same, how much is kept and for how long."""

    semantic: bool = Field(True, description="whether a last turn in other words may be answered, too")
    similarity: float = Field(0.7, ge=0, le=1, description="cosine from which two turns may ask the same")
    per: Literal["tenant", "user"] = Field("tenant", description="who shares answers: all of a tenant, or nobody")
    ttl_s: float = Field(3600.0, gt=0, description="how long an answer is kept, in seconds")
    entries: int = Field(10_000, ge=1, description="answers at most")
    megabytes: float = Field(64.0, gt=0, description="of all answers together, at most")


def build(params: Params, kit: Kit) -> Plugin:
    """The header x-madrigal-cache says hit, near or miss; usage of a hit is 0, as no expert was asked."""
    if params.semantic:
        lexicon()  # read now, half a second, rather than at a request
    return _Cache(params, kit)


@dataclass(frozen=True, slots=True, eq=False)
class _Asked:
    """A request as the cache sees it."""

    scope: bytes
    question: str
    vector: "NDArray[np.float32] | None"


class _Cache(Plugin):
    def __init__(self, params: Params, kit: Kit) -> None:
        self._params = params
        self._kit = kit
        self._cache = AnswerCache(params.ttl_s, params.entries, int(params.megabytes * 1e6), kit.clock)

    async def enter(self, turn: Turn) -> Answer | None:
        scope, question, plain = self._keyed(turn)
        hit = self._cache.exact(scope, question)
        vector = None
        if hit is None and plain and self._params.semantic and self._kit.embedder is not None:
            vector = (await self._kit.embedder.embed([question]))[0]
            hit = self._cache.near(scope, question, vector, self._params.similarity, _same)
        if hit is not None and (why := turn.route.permits(hit.entry.expert)) is not None:
            turn.notes.append(f"cache: an answer of {hit.entry.expert} is not given: {why}")
            hit = None
        if hit is None:
            turn.headers[HEADER] = "miss"
            turn.kept[self] = _Asked(scope, question, vector)
            return None
        turn.headers[HEADER] = "hit" if hit.similarity == 1.0 else "near"
        turn.notes.append(f"cache: {turn.headers[HEADER]} (similarity {hit.similarity:.3f})")
        return _retold(hit, turn)

    async def leave(self, turn: Turn, answer: Answer) -> Answer:
        asked: _Asked = turn.kept.pop(self)
        chat = "messages" in turn.call.body

        def keep(wire: dict[str, Any], expert: str) -> None:
            size = len(orjson.dumps(wire)) + len(asked.question)
            self._cache.put(asked.scope, asked.question, wire, expert, size, asked.vector)

        return _Recorded(answer, keep, chat=chat)

    def _keyed(self, turn: Turn) -> tuple[bytes, str, bool]:
        """Scope and question of a request, and whether the question is a text alone."""
        body = turn.call.body
        rest = {name: value for name, value in body.items() if name not in _NOT_ASKED}
        messages = turn.messages
        last = messages[-1] if messages else {}
        plain = last.get("role") == "user" and isinstance(last.get("content"), str) and set(last) <= {"role", "content"}
        question = str(last["content"]) if plain else orjson.dumps(last or body.get("prompt")).decode()
        who = [turn.key.tenant, turn.key.user or turn.key.id if self._params.per == "user" else None]
        key = [who, turn.model, turn.route.decision, messages[:-1], rest, turn.call.path, plain]
        return hashlib.blake2b(orjson.dumps(key, option=orjson.OPT_SORT_KEYS), digest_size=16).digest(), question, plain


def _same(one: str, other: str) -> bool:
    return difference(one, other) is None


def _retold(hit: Hit, turn: Turn) -> Gathered:
    """A remembered answer as this request's: its own id and time, and no tokens used."""
    start = "chatcmpl-" if "messages" in turn.call.body else "cmpl-"
    wire = {**hit.entry.wire, "id": start + turn.call.request_id.removeprefix("req_"), "created": turn.created}
    wire["usage"] = Usage().wire()
    return Gathered.of(wire, expert=hit.entry.expert, ask_usage=turn.ask_usage)


class _Recorded(Wrapped):
    """`answer`, of which `keep` gets the whole once it was complete: ended by itself, and with something said."""

    def __init__(self, answer: Answer, keep: Callable[[dict[str, Any], str], None], *, chat: bool) -> None:
        super().__init__(answer)
        self._keep = keep
        self._chat = chat

    async def read(self) -> bytes:
        body = await self._answer.read()
        self._done(orjson.loads(body))
        return body

    async def __aiter__(self) -> AsyncIterator[bytes]:
        assembly = Assembly(chat=self._chat)
        async for block in self._answer:
            assembly.add(block)
            yield block
        self._done(assembly.wire(self._answer.usage))

    def _done(self, wire: dict[str, Any]) -> None:
        choices = wire.get("choices") or []
        said = all((choice.get("message") or {}).get("content") or choice.get("text") for choice in choices)
        if choices and said and all(choice.get("finish_reason") == "stop" for choice in choices):
            self._keep(wire, self.expert)
