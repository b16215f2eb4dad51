"""Personal data: masked before an expert reads it, restored in what it answers, streams and tool calls included.

Each value becomes a placeholder such as [EMAIL_1], the same one wherever it occurs in a request, so that an expert can speak
of it without knowing it. By default only experts that do not keep the text on this machine get placeholders. What the
recognizers do not find is not masked: docs/benchmarks.md says how much that is; a constraint that requires a local expert
is the safer choice where nothing may leave.
"""

import json
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from pydantic import Field

from experts.call import Answer, Call
from experts.spec import Frozen
from orchestrator.plugins import Kit, Plugin, Turn
from orchestrator.rewriting import Rewritten
from orchestrator.synthesis import instructed
from router.pii import KINDS, MAX_CHARACTERS, Kind, find, recognizer

EXAMPLE = {"kinds": ["email", "card", "iban"]}

EXPLAINED = (
    "Values such as {example} in this conversation are placeholders for private data. Use them as they are, letter for "
    "letter, wherever you speak of the value."
)


_TEXTS = ("messages", "prompt")
_NAMES = ("user", "safety_identifier", "metadata", "prompt_cache_key")
"""Fields of a body that hold texts, and those in which clients say who asks."""
_INNER = (
    "content",
    "text",
    "tool_calls",
    "function",
    "arguments",
    "custom",
    "input",
    "refusal",
    "reasoning_content",
    "reasoning",
)
"""What of a message is text, or holds some."""


class Params(Frozen):
    """What is masked, and for whom."""

    kinds: tuple[Kind, ...] = Field(
        tuple(kind for kind in KINDS if kind not in ("organization", "domain")),
        min_length=1,
        description="what is masked; default: all kinds but organization and domain",
    )
    threshold: float = Field(0.5, gt=0, le=1, description="how sure a find must be, in 0..1, to be masked")
    experts: Literal["remote", "all"] = Field(
        "remote", description="who gets placeholders: experts that do not keep the text on this machine, or all"
    )
    explain: bool = Field(True, description="whether the system prompt tells the expert what placeholders are")


def build(params: Params, kit: Kit) -> Plugin:
    """Loads lists of names and number plans, once."""
    for kind in params.kinds:
        recognizer(kind)
    return _Mask(params)


class _Mask(Plugin):
    def __init__(self, params: Params) -> None:
        self._params = params

    async def enter(self, turn: Turn) -> Answer | None:
        turn.around.append(_Masked(self._params, turn.route.keeps_text_here))
        return None


@dataclass(slots=True)
class Vault:
    """The placeholders of one request and what they stand for."""

    taken: str
    by_value: dict[tuple[str, str], str] = field(default_factory=dict)
    values: dict[str, str] = field(default_factory=dict)
    _numbers: dict[str, int] = field(default_factory=dict)

    def placeholder(self, kind: str, value: str) -> str:
        """That of a value; one that does not stand in the client's own text."""
        if (found := self.by_value.get((kind, value))) is not None:
            return found
        while True:
            number = self._numbers[kind] = self._numbers.get(kind, 0) + 1
            made = f"[{kind.upper()}_{number}]"
            if made not in self.taken:
                self.by_value[kind, value] = made
                self.values[made] = value
                return made


class _Masked:
    """Around every call of one request. One vault for all, so that experts' answers can be shown to other experts."""

    def __init__(self, params: Params, local: Callable[[str], bool]) -> None:
        self._params = params
        self._local = local
        self._vault: Vault | None = None
        self._json = False

    def out(self, expert: str, call: Call) -> Call:
        if self._params.experts == "remote" and self._local(expert):
            return call
        if self._vault is None:
            self._vault = Vault(json.dumps(dict(call.body), default=str))
        self._json = bool(call.body.get("response_format"))
        body = {
            name: self._masked(value) if name in _TEXTS else self._named(value) if name in _NAMES else value
            for name, value in call.body.items()
        }
        if self._params.explain and self._vault.values and "messages" in body:
            example = next(iter(self._vault.values))
            body["messages"] = instructed(body["messages"], EXPLAINED.format(example=example))
        return replace(call, body=body)

    def back(self, expert: str, answer: Answer) -> Answer:
        if self._vault is None or not self._vault.values or (self._params.experts == "remote" and self._local(expert)):
            return answer
        values, form = self._vault.values, self._json
        return Rewritten(answer, lambda arguments: Restore(values, as_json=arguments or form))

    def _masked(self, value: Any) -> Any:
        """The same with every text in it masked: messages, their parts, the arguments of tool calls."""
        if isinstance(value, str):
            return self._text(value)
        if isinstance(value, list):
            return [self._masked(one) for one in value]
        if isinstance(value, Mapping):
            return {name: self._masked(inner) if name in _INNER else inner for name, inner in value.items()}
        return value

    def _named(self, value: Any) -> Any:
        """The same with whatever names a user masked."""
        if isinstance(value, Mapping):
            return {name: self._named(inner) for name, inner in value.items()}
        return self._text(value) if isinstance(value, str) else value

    def _text(self, text: str) -> str:
        assert self._vault is not None
        made: list[str] = []
        for part in _parts(text):
            at = 0
            for span in find(part, self._params.kinds, min_score=self._params.threshold):
                made += [part[at : span.start], self._vault.placeholder(span.kind, part[span.start : span.end])]
                at = span.end
            made.append(part[at:])
        return "".join(made)


def _parts(text: str) -> Iterator[str]:
    """The text in parts that the recognizers read whole, cut between words where there are any."""
    while len(text) > MAX_CHARACTERS:
        cut = text.rfind(" ", MAX_CHARACTERS // 2, MAX_CHARACTERS) + 1 or MAX_CHARACTERS
        yield text[:cut]
        text = text[cut:]
    yield text


class Restore:
    """A `Rewriter` from placeholders to values. Letters may have changed case on the way; a placeholder that arrives in
    pieces is held back until it is whole or can be none. Inside JSON values are escaped as there."""

    def __init__(self, values: Mapping[str, str], *, as_json: bool = False) -> None:
        self._values = {
            name.lower(): json.dumps(value, ensure_ascii=False)[1:-1] if as_json else value
            for name, value in values.items()
        }
        self._found = re.compile("|".join(map(re.escape, values)), re.IGNORECASE)
        self._longest = max(map(len, values))
        self._held = ""

    def feed(self, text: str) -> str:
        self._held += text
        open_at = self._held.rfind("[")
        tail = self._held[open_at:].lower() if open_at >= 0 else ""
        waits = 0 < len(tail) < self._longest and any(name.startswith(tail) for name in self._values)
        ready, self._held = (self._held[:open_at], self._held[open_at:]) if waits else (self._held, "")
        return self._restored(ready)

    def end(self) -> str:
        rest, self._held = self._held, ""
        return self._restored(rest)

    def _restored(self, text: str) -> str:
        return self._found.sub(lambda match: self._values[match.group().lower()], text)
