"""What grounding finds in answers and what it says it cannot, with the real embedder; retry and refusal with scripts."""

from collections.abc import AsyncIterator, Callable, Sequence
from typing import Any

import pytest
import pytest_asyncio

from experts.call import Answer, Call
from orchestrator.caller import ANONYMOUS
from orchestrator.plugins import Kit, Turn
from orchestrator.plugins.grounding import Params, build, findings, sentences
from orchestrator.request import Text
from router.embed import Embedder
from router.prompt import Prompt
from tests.deliberating import said

pytestmark = pytest.mark.asyncio(loop_scope="module")

PASSAGES = [
    "The Aldern bridge was opened in 1931. It is 412 metres long and carries two lanes of traffic.",
    "Its architect, Maria Holm, also designed the town hall of Vesby.",
]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def embedder() -> AsyncIterator[Embedder]:
    made = Embedder()
    yield made
    await made.close()


@pytest.mark.parametrize(
    ("sentence", "supported"),
    [
        ("The Aldern bridge opened in 1931.", True),
        ("The bridge is 412 metres long.", True),
        ("It was Maria Holm who designed it.", True),
        ("There are two lanes for cars on the bridge.", True),
        ("The Aldern bridge was opened in 1932.", False),
        ("The bridge is 512 metres long.", False),
        ("It was designed by Peter Lund.", False),
        ("The toll for a lorry is paid at the northern end.", False),
    ],
)
async def test_a_sentence(embedder: Embedder, sentence: str, supported: bool) -> None:
    (found,) = await findings(embedder, sentence, PASSAGES, Params())
    assert found.supported is supported, found


async def test_what_claims_nothing_is_not_judged(embedder: Embedder) -> None:
    assert await findings(embedder, "Yes. The sources do not say who paid for it.", PASSAGES, Params()) == []


async def test_a_negation_is_not_found_which_the_module_says(embedder: Embedder) -> None:
    (found,) = await findings(embedder, "The Aldern bridge was not opened in 1931.", PASSAGES, Params())
    assert found.supported


async def test_sentences_lose_marks_of_lists_and_citations() -> None:
    assert sentences("1. One is here [1]. Two!\n- Three") == ["One is here.", "Two!", "Three"]


def text(words: str) -> Answer:
    return Text(words, call=Call("chat/completions", {}), model="m", created=1, ask_usage=False)


async def anybody(text: str) -> Callable[[str], str | None]:
    return lambda expert: None


def turn(passages: list[str], again: Any = None) -> Turn:
    body = {"messages": [{"role": "user", "content": "When was it opened?"}]}
    missing: Any = None
    made = Turn(
        call=Call("chat/completions", body),
        experts=["a"],
        route=missing,
        prompt=Prompt.from_chat(body),
        key=ANONYMOUS,
        model="auto",
        created=1,
        ask_usage=False,
        judge=anybody,
        again=again,
    )
    made.kept["passages"] = passages
    return made


async def test_an_unsupported_sentence_is_flagged(embedder: Embedder) -> None:
    asked = turn(PASSAGES)
    answer = await build(Params(), Kit(embedder=embedder)).leave(
        asked, text("The Aldern bridge opened in 1931. It cost 5 million crowns.")
    )
    assert "5 million" in await said(answer)
    assert asked.headers["x-madrigal-grounding"] == "0.50"
    assert any("not in the passages: 5" in note for note in asked.notes)


async def test_retry_asks_once_more_and_says_what_was_missing(embedder: Embedder) -> None:
    calls: list[Call] = []

    async def again(call: Call, experts: Sequence[str]) -> Answer:
        calls.append(call)
        return text("The Aldern bridge opened in 1931.")

    asked = turn(PASSAGES, again)
    answer = await build(Params(on_failure="retry"), Kit(embedder=embedder)).leave(asked, text("It opened in 1999."))
    assert await said(answer) == "The Aldern bridge opened in 1931."
    assert "It opened in 1999." in str(calls[0].body["messages"])
    assert asked.headers["x-madrigal-grounding"] == "1.00"


async def test_refuse_says_so_instead(embedder: Embedder) -> None:
    answer = await build(Params(on_failure="refuse", refusal="Not found."), Kit(embedder=embedder)).leave(
        turn(PASSAGES), text("It opened in 1999.")
    )
    assert await said(answer) == "Not found."


async def test_without_passages_nothing_is_judged(embedder: Embedder) -> None:
    answer = text("It opened in 1999.")
    assert await build(Params(), Kit(embedder=embedder)).leave(turn([]), answer) is answer
