"""A stream put together again is the answer that was taken apart."""

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from experts.assemble import Assembly
from experts.call import Usage
from experts.stream import frame

HEAD = {"id": "c1", "created": 1, "model": "m", "object": "chat.completion.chunk", "system_fingerprint": "f"}


def chunk(delta: dict[str, Any], index: int = 0, finish: str | None = None, **more: Any) -> bytes:
    return frame({**HEAD, "choices": [{"index": index, "delta": delta, "finish_reason": finish, **more}]})


@given(st.lists(st.tuples(st.integers(0, 2), st.text()), max_size=20))
def test_texts_are_joined_per_choice_whatever_their_order(pieces: list[tuple[int, str]]) -> None:
    assembly = Assembly(chat=True)
    for index in range(3):
        assembly.add(chunk({"role": "assistant", "content": None}, index))
    for index, text in pieces:
        assembly.add(chunk({"content": text}, index))
    for index in range(3):
        assembly.add(chunk({}, index, "stop"))
    wire = assembly.wire(Usage(3, 4))
    assert wire["object"] == "chat.completion"
    assert wire["usage"]["total_tokens"] == 7
    for index, choice in enumerate(wire["choices"]):
        said = [text for one, text in pieces if one == index]
        assert choice["index"] == index
        assert choice["finish_reason"] == "stop"
        assert choice["message"]["content"] == ("".join(said) if said else None)


def test_tool_calls_are_matched_by_index() -> None:
    assembly = Assembly(chat=True)
    first = {"index": 0, "id": "a", "type": "function", "function": {"name": "f", "arguments": ""}}
    second = {"index": 1, "id": "b", "type": "function", "function": {"name": "g", "arguments": '{"y"'}}
    assembly.add(chunk({"role": "assistant", "tool_calls": [first]}))
    assembly.add(chunk({"tool_calls": [{"index": 0, "function": {"arguments": '{"x": 1}'}}]}))
    assembly.add(chunk({"tool_calls": [second]}))
    assembly.add(chunk({"tool_calls": [{"index": 1, "function": {"arguments": ": 2}"}}]}))
    assembly.add(chunk({}, finish="tool_calls"))
    message = assembly.wire(Usage())["choices"][0]["message"]
    assert [(c["id"], c["function"]) for c in message["tool_calls"]] == [
        ("a", {"name": "f", "arguments": '{"x": 1}'}),
        ("b", {"name": "g", "arguments": '{"y": 2}'}),
    ]


def test_logprobs_are_continued() -> None:
    assembly = Assembly(chat=True)
    for token in "ab":
        assembly.add(chunk({"content": token}, logprobs={"content": [{"token": token, "logprob": -1.0}]}))
    content = assembly.wire(Usage())["choices"][0]["logprobs"]["content"]
    assert [one["token"] for one in content] == ["a", "b"]


def test_completions_have_texts_instead_of_messages() -> None:
    assembly = Assembly(chat=False)
    for text, finish in (("one", None), (" two", "length")):
        assembly.add(frame({**HEAD, "choices": [{"index": 0, "text": text, "finish_reason": finish}]}))
    wire = assembly.wire(Usage())
    assert wire["object"] == "text_completion"
    assert wire["choices"][0]["text"] == "one two"
