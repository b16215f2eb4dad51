"""Retrieval: passages of a collection that speak of the user's last turn, shown to the experts, and cited in the answer.

Documents are put into a collection over the API. Passages are found by words and by meaning. Where even the nearest is not
near, the question is not about these documents, and the experts answer from what they know (the idea of ExpertRAG, arXiv
2504.08744: retrieve only where it helps); `when:` leaves retrieval out by any signal besides. A passage is data: it is
marked as such, and read by the policy's constraints as if the user had sent it.
"""

from dataclasses import replace
from urllib.parse import quote

from pydantic import Field

from experts.call import Answer
from experts.errors import ConfigError, NotFoundError
from experts.spec import Frozen
from orchestrator.citations import Cited, Source
from orchestrator.collection_index import By, Hit
from orchestrator.foreign import admitted
from orchestrator.plugins import Kit, Plugin, Turn
from orchestrator.synthesis import instructed, quoted

EXAMPLE = {"collection": "handbook"}

HEADER = "x-madrigal-sources"
TOLD = (
    "Passages that may speak of the user's question are given below. Answer from them where they do, and put the number of "
    "the passage behind what you take from it, in square brackets: [1]. Where they do not answer it, say so."
)


class Params(Frozen):
    """Where passages come from, how many, and when there are none."""

    collection: str = Field(min_length=1, max_length=64, description="the collection's name")
    tenant: str | None = Field(None, description="the tenant whose collection it is; default: the caller's own")
    passages: int = Field(4, ge=1, le=20, description="passages shown to the experts, at most")
    similarity: float = Field(
        0.3, ge=-1, le=1, description="cosine that the nearest passage must have; below, none is shown"
    )
    by: By = Field("hybrid", description="what is searched by: words (BM25), vectors, or both (hybrid)")
    instruction: str = Field(TOLD, min_length=1, description="what the experts are told of the passages")


def build(params: Params, kit: Kit) -> Plugin:
    """The header x-madrigal-sources names the documents shown, in the order of their numbers; `annotations` in the answer
    name those cited. `grounding`, where the decision has it, checks the answer against the passages."""
    return _Rag(params, kit)


class _Rag(Plugin):
    def __init__(self, params: Params, kit: Kit) -> None:
        self._params = params
        self._collections = kit.collections

    async def enter(self, turn: Turn) -> Answer | None:
        if self._collections is None:
            raise ConfigError("rag needs the store and the sentence embedder, which are not available here")
        params, question = self._params, turn.prompt.last_text
        if not turn.messages or not question.strip():
            return None
        tenant = turn.key.tenant if params.tenant is None else params.tenant
        try:
            hits = await self._collections.search(tenant, params.collection, question, params.passages, params.by)
        except NotFoundError:
            turn.notes.append(f"rag: there is no collection {params.collection!r} of this tenant")
            return None
        nearest = max((hit.similarity for hit in hits), default=-1.0)
        if not hits or nearest < params.similarity:
            turn.notes.append(f"rag: skipped, the nearest passage is at {nearest:.2f} of {params.similarity:g}")
            return None
        found = [_shown(hit) for hit in hits]
        kept = await admitted(turn, found, "passage")
        if not kept:
            return None
        texts = [found[at] for at in kept]
        sources = [self._source(hits[at]) for at in kept]
        told = instructed(turn.messages, params.instruction, quoted(texts, "passage"), "passage")
        turn.call = replace(turn.call, body={**turn.call.body, "messages": told})
        turn.kept["passages"] = texts
        turn.kept[self] = sources
        turn.headers[HEADER] = ", ".join(quote(source.document, safe=":@") for source in sources)
        turn.notes.append(f"rag: {len(texts)} passages, the nearest at {nearest:.2f}")
        return None

    async def leave(self, turn: Turn, answer: Answer) -> Answer:
        sources = turn.kept.get(self)
        return Cited(answer, sources) if sources else answer

    def _source(self, hit: Hit) -> Source:
        passage = hit.passage
        here = f"/v1/collections/{quote(self._params.collection)}/documents/{quote(passage.document, safe=':@')}"
        return Source(passage.document, passage.title or passage.document, passage.url or here)


def _shown(hit: Hit) -> str:
    """A passage as experts get it: under its document's title."""
    return f"{hit.passage.title}\n{hit.passage.text}" if hit.passage.title else hit.passage.text
