"""The panel: calls made together within a budget, what experts may see of each other, and how an answer ends."""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from typing import Any

import orjson
import pytest

from experts.call import Call
from experts.errors import EngineFaultError, InputError, UnavailableError
from orchestrator.budget import Budget
from orchestrator.panel import Ask, Panel
from orchestrator.sampling import Sampling, samples
from orchestrator.strategies import best_of_n, self_consistency
from orchestrator.voice import Voice, voice_of
from tests.deliberating import Scripted, job, said
from tests.fakes import Leaping, chunks_of

DEAD = EngineFaultError("dead", status=500)


def panel(reply: Any, budget: Budget = Budget(), **more: Any) -> tuple[Panel, Scripted]:
    attempts = Scripted(reply)
    return Panel(job(reply, attempts=attempts, **more), budget), attempts


def asks(*experts: str, quotes: Sequence[str] = (), **more: Any) -> list[Ask]:
    def write(texts: Sequence[str]) -> list[dict[str, Any]]:
        return [{"role": "user", "content": " ".join(["Go.", *texts])}]

    return [Ask(expert, write, quotes, **more) for expert in experts]


def texts(voices: Sequence[Voice]) -> list[str]:
    return [voice["text"] for voice in voices]


def leaping(main: Callable[[], Coroutine[Any, Any, Any]]) -> Any:
    with asyncio.Runner(loop_factory=Leaping) as runner:
        return runner.run(main())


# -- together ---------------------------------------------------------------------------------------------------------


def taking(**seconds: float) -> Callable[[str, Call], Awaitable[str]]:
    """Experts that take so long to say their names."""

    async def reply(expert: str, call: Call) -> str:
        await asyncio.sleep(seconds[expert])
        return expert

    return reply


async def test_voices_are_in_the_order_of_the_asks_and_failures_are_left_out() -> None:
    async def reply(expert: str, call: Call) -> str | Exception:
        for _ in range({"a": 9, "b": 5, "c": 1}[expert]):
            await asyncio.sleep(0)
        return DEAD if expert == "b" else expert

    sitting, _ = panel(reply)
    assert texts(await sitting.ask_all(asks("a", "b", "c"))) == ["a", "c"]
    assert sitting.best is not None and sitting.best["text"] == "c", "the first that came"


def test_calls_made_together_take_as_long_as_the_slowest() -> None:
    async def main() -> None:
        sitting, _ = panel(taking(a=3, b=1, c=2))
        came = []
        async with sitting.each(asks("a", "b", "c")) as voices:
            async for at, voice in voices:
                came.append((at, voice["text"], asyncio.get_running_loop().time()))
        assert came == [(1, "b", 1), (2, "c", 2), (0, "a", 3)]

    leaping(main)


async def test_leaving_the_block_stops_what_still_runs() -> None:
    async def reply(expert: str, call: Call) -> str:
        if expert != "a":
            await asyncio.Event().wait()
        return expert

    sitting, attempts = panel(reply)
    async with sitting.each(asks("a", "b", "c")) as voices:
        async for _ in voices:
            break
    assert attempts.stopped == 2 and attempts.open == 0


@pytest.mark.parametrize("quick", [0.2, 1.0, 30.0])
@pytest.mark.parametrize("together", [2, 3, 6, 20])
def test_a_hung_call_costs_its_voice_and_a_bounded_time(together: int, quick: float) -> None:
    async def main() -> None:
        async def reply(expert: str, call: Call) -> str:
            await (asyncio.Event().wait() if len(attempts.calls) == 1 else asyncio.sleep(quick))
            return expert

        loop = asyncio.get_running_loop()
        sitting, attempts = panel(reply, clock=loop.time)
        found = await sitting.ask_all(asks(*["a"] * together))
        assert len(found) == together - 1
        assert loop.time() <= quick + max(4 * quick, 10) + 1e-6
        assert attempts.stopped == 1 and attempts.open == 0
        assert sitting.job.notes == [f"1 of {together} calls took too long and were stopped"]

    leaping(main)


@pytest.mark.parametrize(
    "seconds",
    [
        {"a": 1.0, "b": 1.0, "c": 4.9},
        {"a": 0.3, "b": 0.3, "c": 9.0},  # a large expert beside two small ones
        {"a": 20.0, "b": 21.0, "c": 100.0},
        {"a": 0.1, "b": 9.0, "c": 18.0},  # one slot: one after the other
    ],
)
def test_a_slow_call_is_waited_for(seconds: dict[str, float]) -> None:
    async def main() -> None:
        sitting, _ = panel(taking(**seconds), clock=asyncio.get_running_loop().time)
        assert texts(await sitting.ask_all(asks("a", "b", "c"))) == ["a", "b", "c"]
        assert sitting.job.notes == []

    leaping(main)


def test_a_vote_ends_when_it_is_decided() -> None:
    """Three of five agree: the other two are stopped, however long they would take."""

    async def main() -> None:
        async def reply(expert: str, call: Call) -> str:
            await asyncio.sleep(1 if len(attempts.calls) <= 3 else 5)
            return "The answer is 42."

        attempts = Scripted(lambda expert, call: "")
        attempts.reply = reply
        work = job(reply, attempts=attempts, clock=asyncio.get_running_loop().time)
        sitting = Panel(work, Budget())
        state = await self_consistency.vote({}, sitting, self_consistency.Params())
        assert asyncio.get_running_loop().time() == 1
        assert attempts.stopped == 2 and attempts.open == 0
        assert work.notes == ["vote: '42' by 3 of 3; stopped after 3 of 5"]
        assert state["winner"]["text"] == "The answer is 42."  # type: ignore[index]

    leaping(main)


# -- budget -----------------------------------------------------------------------------------------------------------


async def test_calls_beyond_the_budget_are_not_made() -> None:
    sitting, attempts = panel(lambda expert, call: expert, Budget(calls=3))
    assert texts(await sitting.ask_all(asks("a", "b", "c"), keep=1)) == ["a", "b"]
    assert await sitting.ask(asks("c")[0]) is not None
    assert await sitting.ask(asks("c")[0]) is None
    assert len(attempts.calls) == 3
    assert sitting.job.notes == ["budget: 2 of 3 calls made", "budget: 0 of 1 calls made"]


async def test_tokens_are_counted_with_prompts_and_no_call_is_made_after_them() -> None:
    """Each call is one word there, `Go.`, and two back."""
    sitting, attempts = panel(lambda expert, call: "two words", Budget(tokens=6))
    assert len(await sitting.ask_all(asks("a", "b"))) == 2
    assert sitting.purse.tokens == 6
    assert await sitting.ask(asks("c")[0]) is None
    assert len(attempts.calls) == 2


async def test_time_is_that_of_the_clock() -> None:
    now = [0.0]
    sitting, _ = panel(lambda expert, call: "x", Budget(seconds=5), clock=lambda: now[0])
    now[0] = 4.0
    assert sitting.purse.left_s() == 1.0 and not sitting.purse.over()
    await sitting.ask(asks("a")[0])
    now[0] = 5.0
    assert sitting.purse.over() and await sitting.ask(asks("a")[0]) is None


@pytest.mark.parametrize("budget", [Budget(calls=0), Budget(tokens=0), Budget(seconds=0)])
async def test_a_first_call_is_always_made_even_where_all_are_to_be_kept(budget: Budget) -> None:
    sitting, attempts = panel(lambda expert, call: expert, budget)
    assert texts(await sitting.ask_all(asks("a", "b"), keep=5)) == ["a"]
    assert await sitting.ask(asks("b")[0]) is None
    assert len(attempts.calls) == 1


# -- what others said -------------------------------------------------------------------------------------------------


async def _secret(text: str) -> Callable[[str], str | None]:
    return lambda expert: "it is secret" if "secret" in text and expert == "b" else None


async def test_a_text_is_kept_from_whom_the_constraints_keep_it() -> None:
    sitting, attempts = panel(lambda expert, call: expert, judge=_secret)
    await sitting.ask_all(asks("a", "b", quotes=["plain", "secret"]))
    assert [messages[0]["content"] for _, _, messages in attempts.calls] == ["Go. plain secret", "Go. plain"]
    assert sitting.job.notes == ["a text was kept from b: it is secret"]


async def test_a_text_is_judged_once() -> None:
    judged: list[str] = []

    async def judge(text: str) -> Callable[[str], str | None]:
        judged.append(text)
        return lambda expert: None

    sitting, _ = panel(lambda expert, call: expert, judge=judge)
    await sitting.ask_all(asks("a", quotes=["one", "two"]))
    await sitting.ask_all(asks("b", "c", quotes=["one", "two"]))
    assert judged == ["one", "two"]


async def test_a_judge_who_may_not_see_the_answer_is_not_asked() -> None:
    sitting, attempts = panel(lambda expert, call: expert, judge=_secret)
    assert await sitting.ask(asks("b", quotes=["secret"], least=1)[0]) is None
    assert attempts.calls == []


async def test_what_is_too_long_for_a_context_loses_its_last_quotes() -> None:
    """40 tokens, a quarter of them for the answer: some of the four quotes have no room."""
    sitting, attempts = panel(lambda expert, call: expert, context_tokens=lambda expert: 40 if expert == "b" else None)
    quotes = [f"{word} " * 8 for word in ("one", "two", "three", "four")]
    await sitting.ask_all(asks("a", "b", quotes=quotes))
    shown = [messages[0]["content"] for _, _, messages in attempts.calls]
    assert "four" in shown[0]
    assert "one" in shown[1] and "four" not in shown[1]
    assert await sitting.ask(asks("b", quotes=quotes, least=4)[0]) is None


def test_only_what_is_shaped_has_the_clients_form() -> None:
    form = {"type": "json_object"}
    body = {
        "response_format": form,
        "tools": [],
        "logprobs": False,
        "stream_options": {"include_usage": True},
        "max_completion_tokens": 9,
        "top_p": 0.5,
    }

    async def main() -> None:
        sitting, attempts = panel(lambda expert, call: "{}", body=body)
        await sitting.ask_all([*asks("a"), *asks("b", shaped=True, sampling={"max_tokens": 4})])
        plain, shaped = attempts.bodies
        assert set(plain) == {"messages", "max_completion_tokens", "top_p"}
        assert set(shaped) == {"messages", "max_tokens", "top_p", "response_format"}

    asyncio.run(main())


async def test_seeds_and_experts_of_samples() -> None:
    work = job(lambda expert, call: expert, body={"seed": 7})
    made = samples(work, ["a", "b"], 3, Sampling(temperature=0.5))
    assert [(ask.expert, ask.sampling["seed"]) for ask in made] == [("a", 7), ("b", 8), ("a", 9)]
    assert "seed" not in samples(job(lambda expert, call: expert), "a", 1, Sampling())[0].sampling


async def test_who_may_not_see_the_request_is_replaced() -> None:
    sitting, _ = panel(lambda expert, call: expert, permits=lambda expert: "it is remote" if expert == "far" else None)
    assert sitting.seat("far") == "a" and sitting.seat("near") == "near" and sitting.seat(None, default=9) == "c"
    assert sitting.job.notes == ["far is not asked: it is remote"]


# -- the last step ----------------------------------------------------------------------------------------------------


async def test_the_last_step_goes_to_others_where_it_cannot_begin() -> None:
    sitting, attempts = panel(lambda expert, call: DEAD if expert == "b" else f"by {expert}")
    assert await said(await sitting.final(asks("b")[0])) == "by a"
    assert [expert for expert, _, _ in attempts.calls] == ["b", "a"]
    assert sitting.job.notes == [f"b failed at the last step ({DEAD.code})"]


async def test_where_nobody_can_end_it_the_best_so_far_does() -> None:
    sitting, attempts = panel(lambda expert, call: DEAD if len(attempts.calls) > 1 else "so far")
    await sitting.ask(asks("a")[0])
    assert await said(await sitting.final(asks("b")[0])) == "so far"
    assert [expert for expert, _, _ in attempts.calls] == ["a", "b", "a", "c"]


async def test_with_an_answer_already_a_last_call_may_be_for_one_expert_alone() -> None:
    sitting, attempts = panel(lambda expert, call: DEAD if expert == "b" else "so far")
    await sitting.ask(asks("a")[0])
    assert await said(await sitting.final(asks("b", instead=False)[0])) == "so far"
    assert [expert for expert, _, _ in attempts.calls] == ["a", "b"]


async def test_the_last_step_keeps_to_the_budget_in_its_fallback_too() -> None:
    sitting, attempts = panel(lambda expert, call: DEAD if len(attempts.calls) > 1 else "so far", Budget(calls=2))
    await sitting.ask(asks("a")[0])
    assert await said(await sitting.final(asks("b")[0])) == "so far"
    assert len(attempts.calls) == 2


async def test_without_any_answer_it_says_why() -> None:
    sitting, _ = panel(lambda expert, call: DEAD if expert == "a" else InputError(f"{expert} will not"))
    with pytest.raises(UnavailableError, match=r"b: b will not; a: dead; c: c will not"):
        await sitting.final(asks("b")[0])


@pytest.mark.parametrize("ask_usage", [True, False])
async def test_a_stream_ends_with_the_usage_of_all_calls_if_that_was_asked_for(ask_usage: bool) -> None:
    sitting, _ = panel(lambda expert, call: "three words more", stream=True, ask_usage=ask_usage)
    await sitting.ask_all(asks("a", "b"))
    answer = await sitting.final(asks("c")[0])
    body = b"".join([block async for block in answer])
    await answer.aclose()
    chunks = chunks_of(body)
    assert body.endswith(b"data: [DONE]\n\n") and body.count(b"[DONE]") == 1
    usages = [chunk["usage"] for chunk in chunks if chunk.get("usage")]
    if not ask_usage:
        assert usages == []
        return
    assert len(usages) == 1 and chunks[-1]["choices"] == []
    assert usages[0]["prompt_tokens"] == 3 and usages[0]["completion_tokens"] == 9
    assert {chunk["id"] for chunk in chunks} == {"x"}


@pytest.mark.parametrize("told", [True, False])
async def test_a_body_has_the_usage_of_all_calls(told: bool) -> None:
    sitting, _ = panel(lambda expert, call: "three words more")
    voices = await sitting.ask_all(asks("a", "b"))
    answer = sitting.told(voices[1]) if told else await sitting.final(asks("c")[0])
    body = orjson.loads(await answer.read())
    await answer.aclose()
    assert body["usage"]["completion_tokens"] == (6 if told else 9)
    assert body["model"] == answer.expert == ("b" if told else "c")
    assert body["choices"][0]["finish_reason"] == "stop"


async def test_the_clients_stop_ends_answers_and_not_what_judges_say_of_them() -> None:
    async def reply(expert: str, call: Call) -> str:
        return "7"

    attempts = Scripted(reply)
    work = job(reply, attempts=attempts, body={"stop": ["\n"], "logit_bias": {"1": 5}})
    await said(await best_of_n.run(work, best_of_n.Params(samples=2)))
    assert ["stop" in body for body in attempts.bodies] == [True, True, False, False]
    assert ["logit_bias" in body for body in attempts.bodies] == [True, True, False, False]


@pytest.mark.parametrize("message", [{"content": 5}, {"content": [5]}, 5, None])
@pytest.mark.parametrize("logprobs", [None, {"content": [{"token": "x"}]}, {"content": 5}])
def test_an_answer_of_an_odd_form_is_an_engines_fault_or_says_nothing(message: Any, logprobs: Any) -> None:
    body = {"choices": [{"message": message, "logprobs": logprobs}]}
    try:
        assert voice_of("a", body)["text"] == ""
    except EngineFaultError as error:
        assert "no known form" in str(error)
