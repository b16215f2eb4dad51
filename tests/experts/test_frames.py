"""Frames: what goes through untouched, what is parsed, and that nothing is invented."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from experts.call import Usage
from experts.errors import StreamCutError
from experts.stream import Frames
from tests.fakes import chunks_of, text_of

HEAD = {"id": "c1", "object": "chat.completion.chunk", "created": 5, "model": "m"}


def delta(said: dict[str, object], finish: str | None = None, index: int = 0, **more: object) -> bytes:
    wire = {**HEAD, "choices": [{"index": index, "delta": said, "finish_reason": finish}], **more}
    return b"data: " + json.dumps(wire).encode() + b"\n\n"


FIRST = delta({"role": "assistant", "content": ""})
LAST = delta({}, "stop")
USAGE = b"data: " + json.dumps({**HEAD, "choices": [], "usage": {"prompt_tokens": 3, "completion_tokens": 4}}).encode()
DONE = b"data: [DONE]\n\n"


def run(data: bytes, size: int, **options: object) -> tuple[bytes, Frames]:
    frames = Frames(chat=True, **options)  # type: ignore[arg-type]
    out = b"".join(frames.feed(data[at : at + size]) for at in range(0, len(data), size))
    return out + frames.close(), frames


@given(st.integers(1, 400), st.lists(st.text(min_size=1), max_size=8), st.booleans())
def test_however_the_bytes_are_split_the_text_arrives_whole(size: int, words: list[str], crlf: bool) -> None:
    data = FIRST + b"".join(delta({"content": word}) for word in words) + LAST + USAGE + b"\n\n" + DONE
    if crlf:
        data = data.replace(b"\n", b"\r\n")
    out, frames = run(data, size)
    assert text_of(out) == "".join(words)
    assert out.endswith(DONE)
    assert frames.usage == Usage(3, 4)
    assert frames.finish == {0: "stop"}
    assert not any("usage" in chunk for chunk in chunks_of(out))


def test_deltas_go_through_byte_for_byte_even_when_their_text_looks_like_a_marker() -> None:
    sly = delta({"content": '"finish_reason":"stop" data: [DONE] "usage":{ "error":'})
    frames = Frames(chat=True)
    frames.feed(FIRST)
    assert frames.feed(sly) == sly
    assert frames.finish == {}


def test_the_usage_chunk_comes_last_and_only_when_asked_for() -> None:
    out, _ = run(FIRST + LAST + USAGE + b"\n\n" + DONE, 50, ask_usage=True)
    *_, last = chunks_of(out)
    assert last["choices"] == []
    assert last["id"] == "c1"
    assert last["usage"]["total_tokens"] == 7


def test_usage_inside_the_last_choice_is_moved_to_a_chunk_of_its_own() -> None:
    both = delta({}, "stop", usage={"prompt_tokens": 1, "completion_tokens": 2})
    out, _ = run(FIRST + both + DONE, 1000, ask_usage=True)
    chunks = chunks_of(out)
    assert [bool(chunk.get("usage")) for chunk in chunks] == [False, False, True]


def test_an_engine_that_tells_no_usage_gets_its_deltas_counted() -> None:
    _, frames = run(FIRST + delta({"content": "a"}) + delta({"content": "b"}) + LAST + DONE, 1000)
    assert frames.usage == Usage(0, 2, estimated=True)


def test_a_missing_role_is_given_to_the_first_delta_alone() -> None:
    out, _ = run(delta({"content": "a"}) + delta({"content": "b"}) + LAST + DONE, 1000)
    roles = [chunk["choices"][0]["delta"].get("role") for chunk in chunks_of(out)]
    assert roles == ["assistant", None, None]


def test_a_repeated_finish_reason_is_said_once() -> None:
    out, _ = run(FIRST + LAST + LAST + DONE, 1000)
    assert [c["choices"][0]["finish_reason"] for c in chunks_of(out)] == [None, "stop"]


@pytest.mark.parametrize("data", [FIRST, FIRST + delta({"content": "a"}), FIRST + DONE, FIRST + LAST[:-9]])
def test_a_stream_that_breaks_off_is_an_error_and_no_stop_is_invented(data: bytes) -> None:
    frames = Frames(chat=True)
    sent = frames.feed(data)
    with pytest.raises(StreamCutError):
        frames.close()
    assert b'"stop"' not in sent and b"[DONE]" not in sent


def test_two_choices_need_two_finish_reasons() -> None:
    with pytest.raises(StreamCutError):
        run(FIRST + LAST + DONE, 1000, choices=2)
    run(FIRST + LAST + delta({}, "length", index=1) + DONE, 1000, choices=2)


def test_an_error_frame_raises_with_the_engines_words() -> None:
    frames = Frames(chat=True)
    frames.feed(FIRST)
    with pytest.raises(StreamCutError, match="out of memory"):
        frames.feed(b'data: {"error": {"message": "out of memory"}}\n\n')


@pytest.mark.parametrize("bad", [b"data: {nonsense\n\n", b"data: 7\n\n"])
def test_a_first_frame_that_is_no_chunk_is_an_error(bad: bytes) -> None:
    with pytest.raises(StreamCutError, match="not"):
        Frames(chat=True).feed(bad)


def test_comments_do_not_begin_an_answer_but_pass_once_it_has_begun() -> None:
    frames = Frames(chat=True)
    assert frames.feed(b": keep-alive\n\n") == b""
    assert not frames.started
    frames.feed(FIRST)
    assert frames.feed(b": keep-alive\n\n") == b": keep-alive\n\n"


def test_frames_for_us_alone_are_dropped() -> None:
    frames = Frames(chat=True, skip=b'"prompt_progress"')
    assert frames.feed(delta({}, prompt_progress={"processed": 5})) == b""
    assert not frames.started
    assert frames.feed(FIRST) == FIRST


def test_a_frame_without_end_is_refused_before_it_fills_the_memory() -> None:
    frames = Frames(chat=True)
    with pytest.raises(StreamCutError, match="MiB"):
        for _ in range(200):
            frames.feed(b"x" * 65536)
