"""How a strategy of several calls asks experts: together, within a budget, each voice's failure its own.

    strategy ── Ask, Ask, Ask ──▶ Panel ── one call each ──▶ experts
                                    │  budget · constraints over foreign text · best answer so far
             ◀── Voice, Voice ──────┘

Every call goes through `Attempts`, so places, records, usage and spans are those of any call. Knows no strategy's idea.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, TypedDict

import orjson

from experts.call import Answer, Call, Usage
from experts.errors import ExpertError, InputError, MadrigalError, UnavailableError, UnsupportedError
from orchestrator.budget import Budget, Purse
from orchestrator.request import Summed, Text
from orchestrator.strategies import Job
from orchestrator.voice import Messages, Voice, text_of, voice_of
from router.prompt import estimate, needs

if TYPE_CHECKING:
    from orchestrator.store.kept_calls import KeptCall

_CLIENTS_OWN = ("n", "logprobs", "top_logprobs", "tools", "tool_choice", "parallel_tool_calls", "stream_options")
"""What asks for the form of the client's answer: no inner call has it."""
_SHAPE = ("response_format",)
_WORDING = ("stop", "logit_bias")
"""What bounds the words of an answer: a plan or a rating is none."""
_PATIENCE, _LEAST_PATIENCE_S = 4.0, 10.0
"""How many times as long as the quicker half of calls made together the slower half may take, and seconds it always may:
a large expert beside a small one is not hung."""


@dataclass(frozen=True, slots=True)
class Ask:
    """One call that a strategy wants made.

    `write` turns the texts of others into messages; it gets those of `quotes` that the policy's constraints let this
    expert see and that fit its context, in their order. `sampling` replaces fields of the client's body. `shaped` says
    whether the answer is to have the form the client asked for (`response_format`). `role` is for the trace. With fewer
    than `least` quotes left the call fails: a judge who may not see the answer has nothing to say. Where the last call
    cannot begin, others are asked `instead`, or else the best answer so far is given. What is `aside` is work on the way (a
    plan, a critique, a rating): it is given as the answer only where the time is up and nothing else came, and the client's `stop` does not end it.
    """

    expert: str
    write: Callable[[Sequence[str]], Messages]
    quotes: Sequence[str] = ()
    role: str = "sample"
    sampling: Mapping[str, Any] = field(default_factory=dict)
    shaped: bool = False
    least: int = 0
    instead: bool = True
    aside: bool = False


class Standing(TypedDict):
    """How far a panel has come, as plain data: what a run that is taken up again goes on with.

    `asked` is how often calls were made together; `usage` are prompt, completion and cached tokens and whether they are estimated; `seconds` those spent of the budget's.
    """

    asked: int
    calls: int
    tokens: int
    usage: list[int]
    seconds: float
    best: Voice | None
    aside: Voice | None
    notes: list[str]


class Panel:
    """The experts of one request at the disposal of one strategy. `best` is the answer to give if nothing better comes,
    `aside` what came that is no answer."""

    def __init__(self, job: Job, budget: Budget) -> None:
        self.job = job
        self.purse = Purse(budget, job.clock)
        self.best: Voice | None = None
        self.aside: Voice | None = None
        self._begun = job.clock()
        self._asked = 0
        self._kept: Mapping[tuple[int, int], KeptCall] = {}
        self._before = Usage()
        self._failed: dict[str, MadrigalError] = {}
        self._judged: dict[str, Callable[[str], str | None]] = {}

    def seat(self, expert: str | None, *, default: int = 0) -> str:
        """The expert of that name where it may see the request, else the ranked one at `default`.

        A parameter may name an aggregator or judge that the constraints forbid for this one request: then another
        speaks for it, and the trace says so.
        """
        if expert is not None:
            why = self.job.permits(expert)
            if why is None:
                return expert
            self.job.note(f"{expert} is not asked: {why}")
        return self.job.experts[min(default, len(self.job.experts) - 1)]

    async def ask(self, ask: Ask, *, keep: int = 0) -> Voice | None:
        """One voice; None where the call failed or the budget has no room for it. `keep` calls are left for later."""
        voices = await self.ask_all([ask], keep=keep)
        return voices[0] if voices else None

    async def ask_all(self, asks: Sequence[Ask], *, keep: int = 0) -> list[Voice]:
        """All at once; the voices that came, in the order of `asks`. Those beyond the budget are not asked."""
        found: dict[int, Voice] = {}
        async with self.each(asks, keep=keep) as voices:
            async for at, voice in voices:
                found[at] = voice
        return [found[at] for at in sorted(found)]

    @asynccontextmanager
    async def each(self, asks: Sequence[Ask], *, keep: int = 0) -> AsyncIterator[AsyncIterator[tuple[int, Voice]]]:
        """All at once, as (number, voice) in the order they come. Leaving the block stops those that still run."""
        room = self.purse.room(len(asks), keep)
        if room < len(asks):
            self.job.note(f"budget: {room} of {len(asks)} calls made")
        self.purse.calls += room
        self._asked += 1
        tasks = [asyncio.ensure_future(self._one(at, ask, self._asked)) for at, ask in enumerate(asks[:room])]

        stream = self._as_they_come(tasks)
        try:
            yield stream
        finally:
            await stream.aclose()  # type: ignore[attr-defined]  # an asynchronous generator
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _as_they_come(
        self, tasks: "list[asyncio.Task[tuple[int, Voice | None]]]"
    ) -> AsyncIterator[tuple[int, Voice]]:
        """Voices as they come. Once half of the calls are over, each further one gets a multiple of that time."""
        started, waiting = self.job.clock(), set(tasks)
        patience_s: float | None = None
        while waiting:
            if patience_s is None and 2 * len(waiting) <= len(tasks):
                took = self.job.clock() - started
                patience_s = max(_LEAST_PATIENCE_S, _PATIENCE * took)
            done, waiting = await asyncio.wait(waiting, timeout=patience_s, return_when=asyncio.FIRST_COMPLETED)
            if not done:
                self.job.note(f"{len(waiting)} of {len(tasks)} calls took too long and were stopped")
                return
            for task in done:
                at, voice = task.result()
                if voice is not None:
                    yield at, voice

    async def _one(self, at: int, ask: Ask, asked: int) -> tuple[int, Voice | None]:
        """One call, read to its end; in a run that is taken up again what it said before. A failure is kept, to be told if
        nobody answers at all."""
        before = self._kept.get((asked, at))
        if before is not None and before.role == ask.role and before.voice["expert"] == ask.expert:
            self._before += before.usage
            return at, self._heard(ask, before.voice, before.usage)
        try:
            call = await self._call(ask, stream=False)
            answer = await self.job.attempts.one(ask.expert, call, role=ask.role)
            try:
                body = orjson.loads(await answer.read())
            finally:
                await answer.aclose()
            voice = voice_of(ask.expert, body)
        except (ExpertError, InputError) as error:
            self._failed[ask.expert] = error
            return at, None
        if self.job.durable is not None:
            from orchestrator.store.kept_calls import KeptCall

            await self.job.durable.keep(asked, at, KeptCall(ask.role, voice, answer.usage))
        return at, self._heard(ask, voice, answer.usage)

    def _heard(self, ask: Ask, voice: Voice, usage: Usage) -> Voice | None:
        """A voice that came, counted; None where it says nothing."""
        self.purse.tokens += usage.prompt_tokens + usage.completion_tokens
        if not voice["text"].strip():
            return None
        if ask.aside:
            self.aside = self.aside or voice
        else:
            self.best = self.best or voice
        return voice

    async def final(self, ask: Ask) -> Answer:
        """The answer to the client by one more call, streamed where it asked for a stream; its usage is that of all
        calls. If it cannot begin the other experts are asked in turn; if none can, or the budget has no room for it, the
        best answer so far is given. Raises what went wrong where there is none."""
        others = [name for name in self.job.experts if name != ask.expert] if ask.instead or self.best is None else []
        for expert in (ask.expert, *others):
            if self.purse.room(1) < 1:
                self.job.note("budget: no call left for the last step")
                break
            self.purse.calls += 1
            try:
                call = await self._call(replace(ask, expert=expert, shaped=True), stream=self.job.call.stream)
                answer = await self.job.attempts.one(expert, call, role=ask.role)
                return Summed(answer, self.spent, ask_usage=self.job.ask_usage)
            except (ExpertError, InputError) as error:
                self._failed[expert] = error
                self.job.note(f"{expert} failed at the last step ({error.code or type(error).__name__})")
        return self.told()

    def told(self, voice: Voice | None = None) -> Answer:
        """A text that is there already, as the answer: `voice`, or the best so far. Raises what went wrong where
        there is none."""
        voice = voice or self.best or self.aside
        if voice is None:
            raise self.failure()
        return Text(
            voice["text"],
            call=self.job.call,
            model=voice["expert"],
            name=voice["expert"],
            created=self.job.created,
            finish=voice["finish"],
            ask_usage=self.job.ask_usage,
            usage=self.spent(),
        )

    def spent(self) -> Usage:
        """Tokens of all calls so far, those before the run was taken up again included."""
        return self._before + self.job.attempts.spent()

    def standing(self) -> Standing:
        """How far it has come."""
        usage = self.spent()
        return Standing(
            asked=self._asked,
            calls=self.purse.calls,
            tokens=self.purse.tokens,
            usage=[usage.prompt_tokens, usage.completion_tokens, usage.cached_tokens, int(usage.estimated)],
            seconds=self.job.clock() - self._begun,
            best=self.best,
            aside=self.aside,
            notes=list(self.job.notes),
        )

    def resume(self, standing: Standing | None, kept: "Mapping[tuple[int, int], KeptCall]") -> None:
        """Go on from where a run of the same request stood (None: in its first step), with its answered calls; to be asked
        before the first one."""
        self._kept = kept
        if standing is None:
            return
        self._asked = standing["asked"]
        self.purse.calls, self.purse.tokens = standing["calls"], standing["tokens"]
        prompt, completion, cached, estimated = standing["usage"]
        self._before = Usage(prompt, completion, cached, bool(estimated))
        self._begun -= standing["seconds"]
        if self.purse.ends is not None:
            self.purse.ends -= standing["seconds"]
        self.best, self.aside = standing["best"], standing["aside"]
        self.job.notes[:0] = standing["notes"]

    def failure(self) -> MadrigalError:
        """What to raise where nobody answered: the one error there was, or all of them together."""
        errors = list(self._failed.values())
        try:
            if len(errors) == 1:
                return errors[0]
            reasons = "; ".join(f"{name}: {error.message}" for name, error in self._failed.items())
            return UnavailableError(f"no expert could answer ({reasons or 'the time was up'})")
        finally:
            self._failed.clear()  # an error's traceback holds this panel: kept, it would hold itself
            errors.clear()

    async def _call(self, ask: Ask, *, stream: bool) -> Call:
        """The wire form of an ask: the client's body with other messages and sampling. Raises `ExpertError` where a
        guard cannot be computed."""
        quotes = [text for text in ask.quotes if await self._may_see(ask.expert, text)]
        messages = ask.write(quotes)
        while len(quotes) > 1 and self._too_long(ask, messages):
            quotes.pop()
            messages = ask.write(quotes)
        if len(quotes) < ask.least:
            raise UnsupportedError(f"{ask.expert} could be shown {len(quotes)} of {len(ask.quotes)} texts")
        client = self.job.call
        dropped = (*_CLIENTS_OWN, *(() if ask.shaped else _SHAPE), *(_WORDING if ask.aside else ()))
        body = {name: value for name, value in client.body.items() if name not in dropped}
        body |= {"messages": list(messages), **ask.sampling}
        if "max_tokens" in ask.sampling:
            body.pop("max_completion_tokens", None)
        return replace(client, body=body, stream=stream, needs=needs(body, "chat/completions"))

    async def _may_see(self, expert: str, text: str) -> bool:
        """Whether the constraints let an expert see a text that somebody else wrote: guards read it like a user's."""
        judged = self._judged.get(text)
        if judged is None:
            judged = self._judged[text] = await self.job.judge(text)
        why = judged(expert)
        if why is not None:
            self.job.note(f"a text was kept from {expert}: {why}")
        return why is None

    def _too_long(self, ask: Ask, messages: Messages) -> bool:
        room = self.job.context_tokens(ask.expert)
        if room is None:
            return False
        body = self.job.call.body
        wished = ask.sampling.get("max_tokens") or body.get("max_completion_tokens") or body.get("max_tokens")
        reply = wished or min(512, room // 4)
        return sum(estimate(text_of(message)) for message in messages) + reply > room


def asked_text(job: Job) -> str:
    """The text of the user's last message."""
    users = (text_of(message) for message in reversed(job.call.body["messages"]) if message.get("role") == "user")
    return next(users, "")
