"""Answers around answers: one that lets everything through, and one that puts every JSON object into OpenAI's words.

The latter parses every frame, so it is not on the fast path.
"""

from collections.abc import AsyncIterator, Callable, Mapping
from typing import Any

import orjson

from experts.call import Answer, Usage
from experts.stream import frame


class Wrapped:
    """`answer`, seen through: what surrounds an answer changes its bytes or its end and leaves the rest to it."""

    def __init__(self, answer: Answer) -> None:
        self._answer = answer

    @property
    def expert(self) -> str:
        return self._answer.expert

    @property
    def model(self) -> str:
        return self._answer.model

    @property
    def usage(self) -> Usage:
        return self._answer.usage

    @property
    def finish(self) -> Mapping[int, str]:
        return self._answer.finish

    @property
    def first_token_s(self) -> float | None:
        return self._answer.first_token_s

    async def aclose(self) -> None:
        await self._answer.aclose()


class Adapted(Wrapped):
    """`answer`, with `adapt` applied to its body or to each of its chunks."""

    def __init__(self, answer: Answer, adapt: Callable[[dict[str, Any]], dict[str, Any]]) -> None:
        super().__init__(answer)
        self._adapt = adapt

    async def read(self) -> bytes:
        return orjson.dumps(self._adapt(orjson.loads(await self._answer.read())))

    async def __aiter__(self) -> AsyncIterator[bytes]:
        async for block in self._answer:
            parts = block.split(b"\n\n")
            yield b"".join(
                frame(self._adapt(orjson.loads(part[6:]))) if part.startswith(b"data: {") else part + b"\n\n"
                for part in parts
                if part
            )
