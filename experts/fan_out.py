"""Several single answers of one engine, joined into one answer with several choices.

For engines that give one choice a call, or count usage of one only. Parses every frame, so it is not the fast path.
"""

import asyncio
from collections.abc import AsyncIterator, Sequence
from typing import Any

import orjson

from experts.call import Answer, Usage
from experts.stream import DONE, frame


class Joined:
    """Answers in the order of their choices, seen as one answer: one id, choices numbered, usage added up.

    A prompt shared by several choices is counted once, as OpenAI counts it.
    """

    def __init__(
        self, answers: Sequence[Answer], bodies: Sequence[dict[str, Any]], *, chat: bool, ask_usage: bool
    ) -> None:
        self._answers = answers
        self._key = "messages" if chat else "prompt"
        self._bodies = bodies
        self._ask_usage = ask_usage
        self._head: dict[str, Any] = {}
        self.expert = answers[0].expert
        self.model = answers[0].model
        self.finish: dict[int, str] = {}
        times = [a.first_token_s for a in answers if a.first_token_s is not None]
        self.first_token_s = min(times) if times else None

    @property
    def usage(self) -> Usage:
        """The sum so far."""
        total, previous = Usage(), None
        for answer, body in zip(self._answers, self._bodies, strict=True):
            one = answer.usage
            same = previous is not None and body.get(self._key) == previous.get(self._key)
            total += Usage(0, one.completion_tokens, 0, one.estimated) if same else one
            previous = body
        return total

    async def read(self) -> bytes:
        parts = [orjson.loads(await answer.read()) for answer in self._answers]
        joined = {**parts[0], "choices": []}
        for index, part in enumerate(parts):
            choice = {**part["choices"][0], "index": index}
            self.finish[index] = choice["finish_reason"]
            joined["choices"].append(choice)
        joined.pop("timings", None)
        joined["usage"] = self.usage.wire()
        return orjson.dumps(joined)

    async def __aiter__(self) -> AsyncIterator[bytes]:
        queue: asyncio.Queue[bytes | BaseException | None] = asyncio.Queue(maxsize=64)
        tasks = [asyncio.ensure_future(self._pump(i, a, queue)) for i, a in enumerate(self._answers)]
        left = len(tasks)
        try:
            while left:
                item = await queue.get()
                if isinstance(item, bytes):
                    yield item
                elif item is None:
                    left -= 1
                else:
                    raise item
            if self._ask_usage:
                yield frame({**self._head, "choices": [], "usage": self.usage.wire()})
            yield DONE
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _pump(self, index: int, answer: Answer, queue: "asyncio.Queue[bytes | BaseException | None]") -> None:
        try:
            async for block in answer:
                for part in block.split(b"\n\n"):
                    if part.startswith(b"data: {"):
                        await queue.put(self._relabel(index, orjson.loads(part[6:])))
            await queue.put(None)
        except Exception as error:  # handed to the reader, which raises it
            await queue.put(error)

    def _relabel(self, index: int, wire: dict[str, Any]) -> bytes:
        if not self._head:
            self._head = {key: wire[key] for key in ("id", "object", "created", "model") if key in wire}
        for choice in wire.get("choices") or []:
            choice["index"] = index
            if choice.get("finish_reason"):
                self.finish[index] = choice["finish_reason"]
        wire.pop("timings", None)
        return frame({**wire, **self._head})

    async def aclose(self) -> None:
        for answer in self._answers:
            await answer.aclose()
