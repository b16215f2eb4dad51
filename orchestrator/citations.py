"""Citations in answers, `[1]`, told as OpenAI does: `annotations` of the message, each with its place, title and address.

Knows nothing of where sources come from. A stream gets them at its end, before the finish reason; it is not held back.
"""

import re
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from typing import Any

import orjson

from experts.adapted import Wrapped
from experts.call import Answer
from experts.stream import frame

_MARK = re.compile(r"\[(\d{1,3}(?:\s*,\s*\d{1,3})*)\]")


@dataclass(frozen=True, slots=True)
class Source:
    """What a number stands for."""

    document: str
    title: str
    url: str


def annotations(text: str, sources: Sequence[Source]) -> list[dict[str, Any]]:
    """One for every number in the text that a source has, in their order; places are in characters, of the mark itself."""
    found = []
    for mark in _MARK.finditer(text):
        for number in dict.fromkeys(int(one) for one in mark[1].split(",")):
            if not 1 <= number <= len(sources):
                continue
            source = sources[number - 1]
            about = {"start_index": mark.start(), "end_index": mark.end(), "title": source.title, "url": source.url}
            found.append({"type": "url_citation", "url_citation": about})
    return found


class Cited(Wrapped):
    """`answer`, whose messages say which of `sources` they cite. Messages that cite none stay as they are."""

    def __init__(self, answer: Answer, sources: Sequence[Source]) -> None:
        super().__init__(answer)
        self._sources = sources
        self._said: dict[int, str] = {}

    async def read(self) -> bytes:
        body = await self._answer.read()
        wire = orjson.loads(body)
        cited = False
        for choice in wire.get("choices") or ():
            message = choice.get("message") or {}
            if found := annotations(message.get("content") or "", self._sources):
                message["annotations"] = [*(message.get("annotations") or ()), *found]
                cited = True
        return orjson.dumps(wire) if cited else body

    async def __aiter__(self) -> AsyncIterator[bytes]:
        async for block in self._answer:
            parts = [part for part in block.split(b"\n\n") if part]
            yield b"".join(self._before(part) + part + b"\n\n" for part in parts)

    def _before(self, part: bytes) -> bytes:
        """What is to be said before a frame: the annotations of every choice that ends with it."""
        if not part.startswith(b"data: {"):
            return b""
        wire = orjson.loads(part[6:])
        told = b""
        for choice in wire.get("choices") or ():
            at = choice.get("index") or 0
            self._said[at] = self._said.get(at, "") + ((choice.get("delta") or {}).get("content") or "")
            if choice.get("finish_reason") is None:
                continue
            if found := annotations(self._said.pop(at), self._sources):
                one = {"index": at, "delta": {"annotations": found}, "finish_reason": None}
                told += frame({**{key: value for key, value in wire.items() if key != "usage"}, "choices": [one]})
        return told
