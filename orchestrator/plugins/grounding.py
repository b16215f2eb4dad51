"""Whether an answer rests on its passages: each sentence is looked for in them, and what is not there is flagged.

The passages are what `rag` retrieved, or the client's own context between marks of its choice. A sentence counts as
supported where a passage's sentence is near it in meaning (by the embedder) or shares most of its words, and where every
number and name in it stands in the passages. That finds invented facts and figures; it does not find a false conclusion
drawn from true sentences, nor a negation that leaves all words in place.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field

from experts.call import Answer
from experts.errors import ConfigError, MadrigalError
from experts.spec import Frozen
from orchestrator.foreign import admitted
from orchestrator.plugins import Kit, Plugin, Turn
from orchestrator.request import Text
from orchestrator.rewriting import Gathered, gathered
from orchestrator.synthesis import instructed, quoted

if TYPE_CHECKING:
    from router.tools import Embedder

EXAMPLE: dict[str, Any] = {}

AGAIN = "A last draft said things that the passages do not hold. Answer again, from the passages alone."
DRAFT = f"{AGAIN} What it said without support is given below."

_SENTENCE = re.compile(r"(?<=[.!?。])\s+")
_MARK = re.compile(r"^\s*(?:[-*•]|\d+[.)])\s+|(?<!\s)\s*\[\d+\]")
_WORD = re.compile(r"[^\W_]+")
_FIGURE = re.compile(r"\d+(?:[.,:/]\d+)*")
_NAME = re.compile(r"(?<!^)(?<![.!?]\s)\b[A-Z][\w'’-]{2,}")
_SAYS_NOTHING = re.compile(
    r"\b(?:not (?:mentioned|stated|say|given|contain)|no information|do(?:es)? not (?:know|say))", re.I
)
_LEAST_WORDS = 3
"""Shorter sentences claim nothing that could be looked for."""


class Params(Frozen):
    """When a sentence is supported, and what becomes of an answer that holds others."""

    similarity: float = Field(0.62, ge=0, le=1, description="cosine from which a sentence means what a passage says")
    overlap: float = Field(
        0.6, ge=0, le=1, description="share of a sentence's words in one passage from which it is supported"
    )
    least: float = Field(1.0, ge=0, le=1, description="share of sentences that must be supported")
    on_failure: Literal["flag", "retry", "refuse"] = Field(
        "flag",
        description="flag: in header and trace; retry: asked once more, then flagged; refuse: `refusal` is the answer",
    )
    refusal: str = Field("I could not find that in the sources.", description="what is said instead, where it refuses")


def build(params: Params, kit: Kit) -> Plugin:
    """It reads whole answers: a stream begins once the answer is complete. Where there are no passages it does nothing."""
    return _Grounding(params, kit)


@dataclass(frozen=True, slots=True)
class Finding:
    """One sentence of an answer: how near the nearest passage is, and what of it stands nowhere."""

    sentence: str
    similarity: float
    overlap: float
    missing: tuple[str, ...]
    supported: bool


class _Grounding(Plugin):
    def __init__(self, params: Params, kit: Kit) -> None:
        self._params = params
        self._kit = kit

    async def leave(self, turn: Turn, answer: Answer) -> Answer:
        passages: Sequence[str] = turn.kept.get("passages") or ()
        if not passages:
            return answer
        if self._kit.embedder is None:
            raise ConfigError("grounding needs the sentence embedder, which is not available here")
        whole, share = await self._checked(turn, answer, passages)
        if share < self._params.least and self._params.on_failure == "retry":
            whole, share = await self._once_more(turn, whole, share, passages)
        turn.headers["x-madrigal-grounding"] = f"{share:.2f}"
        if share < self._params.least and self._params.on_failure == "refuse":
            return Text(
                self._params.refusal,
                call=turn.call,
                model=turn.model,
                created=turn.created,
                ask_usage=turn.ask_usage,
                finish="content_filter",
                usage=whole.usage,
            )
        return whole

    async def _checked(self, turn: Turn, answer: Answer, passages: Sequence[str]) -> tuple[Gathered, float]:
        """The answer, whole, and the share of its sentences that are supported; what is not goes into the trace."""
        whole = await gathered(
            answer, stream=turn.call.stream, chat="messages" in turn.call.body, ask_usage=turn.ask_usage
        )
        assert self._kit.embedder is not None
        found = await findings(self._kit.embedder, whole.text, passages, self._params)
        turn.kept["ungrounded"] = [one for one in found if not one.supported]
        for one in turn.kept["ungrounded"]:
            why = f"not in the passages: {', '.join(one.missing)}" if one.missing else f"nearest {one.similarity:.2f}"
            turn.notes.append(f"grounding: a sentence of {len(one.sentence.split())} words is not supported ({why})")
        return whole, 1.0 if not found else sum(one.supported for one in found) / len(found)

    async def _once_more(
        self, turn: Turn, whole: Gathered, share: float, passages: Sequence[str]
    ) -> tuple[Gathered, float]:
        """A second answer, checked too; the first one where none comes."""
        turn.notes.append("grounding: asked once more")
        again = replace(turn.call, body={**turn.call.body, "messages": await self._told(turn)})
        try:
            return await self._checked(turn, await turn.again(again, turn.experts), passages)
        except MadrigalError as error:
            turn.notes.append(f"grounding: no second answer ({error.code or type(error).__name__}), the first is given")
            return whole, share

    async def _told(self, turn: Turn) -> list[Any]:
        """What an expert said is data to whoever is asked next, and read by the constraints."""
        said = [one.sentence for one in turn.kept["ungrounded"][:5]]
        shown = [said[at] for at in await admitted(turn, said, "answer")]
        return instructed(turn.messages, DRAFT if shown else AGAIN, quoted(shown), "answer")


async def findings(embedder: "Embedder", answer: str, passages: Sequence[str], params: Params) -> list[Finding]:
    """Every sentence of an answer that claims something, looked for in the passages. Those that only say that nothing
    was found are left out."""
    claims = [
        one for one in sentences(answer) if len(_WORD.findall(one)) >= _LEAST_WORDS and not _SAYS_NOTHING.search(one)
    ]
    if not claims:
        return []
    known = [one for passage in passages for one in sentences(passage)] or list(passages)
    near = (await embedder.embed(claims)) @ (await embedder.embed([*known, *passages])).T
    everything = " ".join(passages)
    words, figures = _words(everything), set(_FIGURE.findall(everything))
    each = [_words(passage) for passage in passages]
    found = []
    for claim, row in zip(claims, near, strict=True):
        own = _words(claim)
        overlap = max((len(own & other) / len(own) for other in each), default=0.0) if own else 1.0
        missing = [figure for figure in _FIGURE.findall(claim) if figure not in figures]
        missing += [name for name in _NAME.findall(claim) if _stem(name.lower()) not in words]
        similarity = float(row.max())
        supported = not missing and (similarity >= params.similarity or overlap >= params.overlap)
        found.append(Finding(claim, similarity, overlap, tuple(dict.fromkeys(missing)), supported))
    return found


def sentences(text: str) -> list[str]:
    """A text's sentences and lines, without marks of lists and citations."""
    lines = (_MARK.sub("", line) for line in text.splitlines())
    return [part for line in lines for part in map(str.strip, _SENTENCE.split(line)) if part]


_STOP = frozenset(
    [
        "the",
        "a",
        "an",
        "of",
        "to",
        "in",
        "on",
        "at",
        "for",
        "and",
        "or",
        "is",
        "are",
        "was",
        "were",
        "be",
        "been",
        "it",
        "its",
        "this",
        "that",
        "with",
        "as",
        "by",
        "from",
        "which",
        "who",
        "has",
        "have",
        "had",
        "not",
        "but",
        "they",
        "their",
        "he",
        "she",
        "his",
        "her",
        "you",
        "your",
        "we",
        "our",
        "can",
        "will",
        "would",
        "there",
        "than",
        "then",
        "also",
        "into",
        "about",
    ]
)


def _words(text: str) -> set[str]:
    return {_stem(word) for word in _WORD.findall(text.lower()) if word not in _STOP}


def _stem(word: str) -> str:
    """Without the commonest English endings: enough to tell that a word is there."""
    for ending in ("'s", "’s", "ing", "ed", "es", "s"):
        if word.endswith(ending) and len(word) - len(ending) >= 4:
            return word[: -len(ending)]
    return word
