"""Experts that answer as a test says, under the real `Attempts`' rules: for strategies, without sockets."""

import asyncio
import inspect
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from typing import Any

import orjson

from experts.call import Answer, Call, Usage
from experts.errors import ExpertError, InputError
from experts.stream import DONE, frame
from orchestrator.attempts import Attempts
from orchestrator.deliberation import START, Plan
from orchestrator.panel import Ask, Panel
from orchestrator.request import Attempt
from orchestrator.settings import Fallback
from orchestrator.strategies import Job
from orchestrator.telemetry import Telemetry

Reply = Callable[[str, Call], "str | Exception | Awaitable[str | Exception]"]
"""An expert's name and its call, to what it says or how it fails."""


class Spoken:
    """An answer of a scripted expert: a word a frame. `tokens` are words; an exclamation mark alone is a cut."""

    def __init__(self, expert: str, text: str, call: Call, end: Callable[[bool], None], logprobs: Any = None) -> None:
        self.expert = self.model = expert
        self.finish = {0: "stop"}
        self.first_token_s: float | None = 0.0
        self.usage = Usage(sum(len(str(m["content"]).split()) for m in call.body["messages"]), len(text.split()))
        self._text, self._end, self._done, self._logprobs = text, end, False, logprobs

    async def read(self) -> bytes:
        self._done = True
        choice = {
            "index": 0,
            "message": {"role": "assistant", "content": self._text},
            "finish_reason": "stop",
            "logprobs": self._logprobs,
        }
        return orjson.dumps({"id": "x", "model": self.model, "choices": [choice], "usage": self.usage.wire()})

    async def __aiter__(self) -> AsyncIterator[bytes]:
        head = {"id": "x", "object": "chat.completion.chunk", "created": 1, "model": self.model}
        for at, word in enumerate(self._text.split(" ")):
            delta = {"role": "assistant", "content": word} if at == 0 else {"content": f" {word}"}
            yield frame({**head, "choices": [{"index": 0, "delta": delta, "finish_reason": None}]})
        yield frame({**head, "choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]})
        self._done = True
        yield DONE

    async def aclose(self) -> None:
        self._end(self._done)


class Scripted(Attempts):
    """Attempts whose experts are a function. `calls` are all that were made, in order: (expert, role, messages);
    `stopped` counts those that were left before they had answered, `open` those that nobody closed."""

    def __init__(self, reply: Reply, *, logprobs: Callable[[str, str], Any] = lambda expert, text: None) -> None:
        super().__init__(
            pool=None,  # type: ignore[arg-type]  # never reached: `one` is scripted
            client=None,  # type: ignore[arg-type]
            rules=Fallback(backoff_s=0.0),
            telemetry=Telemetry(),
            lease_wait_s=1,
            cost_usd=lambda expert, usage: 0.0,
            random=lambda: 1.0,
        )
        self.reply = reply
        self.logprobs = logprobs
        self.calls: list[tuple[str, str, Sequence[Mapping[str, Any]]]] = []
        self.bodies: list[Mapping[str, Any]] = []
        self.stopped = 0
        self.open = 0

    async def one(self, name: str, call: Call, *, ask_usage: bool = False, role: str = "answer") -> Answer:
        made = Attempt(name, "", len(self.made) + 1, time.perf_counter(), role=role)
        self.made.append(made)
        self.calls.append((name, role, call.body["messages"]))
        self.bodies.append(call.body)
        self.open += 1
        try:
            said = self.reply(name, call)
            said = await said if inspect.isawaitable(said) else said
            if isinstance(said, Exception):
                raise said
        except BaseException as error:
            self.open -= 1
            self.stopped += isinstance(error, asyncio.CancelledError)
            raise
        made.answer = Spoken(name, said, call, self._ended, self.logprobs(name, said))
        return made.answer

    def _ended(self, complete: bool) -> None:
        self.open -= 1
        self.stopped += not complete


def job(
    reply: Reply, experts: Sequence[str] = ("a", "b", "c"), *, text: str = "What is 6 times 7?", **more: Any
) -> Job:
    """A job of one user message; `more` are fields of `Job`, and `body` of the call's body, `stream` whether it streams."""
    body = {"messages": [{"role": "user", "content": text}], **more.pop("body", {})}
    call = Call("chat/completions", body, more.pop("stream", False), {"chat": "messages"}, "req_1")
    attempts = more.pop("attempts", None) or Scripted(reply)
    return Job(call, list(experts), attempts, more.pop("ask_usage", False), created=1, **more)


async def said(answer: Answer, stream: bool = False) -> str:
    """What an answer says, to its end, closed."""
    try:
        if not stream:
            return str(orjson.loads(await answer.read())["choices"][0]["message"]["content"])
        text = ""
        async for block in answer:
            for part in block.split(b"\n\n"):
                if part.startswith(b"data: {"):
                    for choice in orjson.loads(part[6:])["choices"]:
                        text += choice["delta"].get("content") or ""
        return text
    finally:
        await answer.aclose()


async def walked(plan: Plan, work: Job, params: Any) -> Answer:
    """A plan without LangGraph: its steps one after the other. For many questions, in a fraction of the time."""
    panel, state, after = Panel(work, params.budget), {}, dict(plan.flow)
    step = after[START]
    while step != plan.final:
        state |= await plan.steps[step](state, panel, params)
        step = plan.turns[step][0](state, panel, params) if step in plan.turns else after[step]
    end = plan.conclude(state, panel, params)
    if isinstance(end, Ask):
        return await panel.final(end)
    if end is None and panel.best is None:
        return await work.attempts.first(work.experts, work.call)
    return panel.told(end)


__all__ = ["ExpertError", "InputError", "Scripted", "job", "said", "walked"]
