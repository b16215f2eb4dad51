"""`madrigal chat` against a scripted server: what is sent, what is kept, and what is said when something is wrong."""

import json

import httpx
import pytest

from experts.errors import AuthenticationError, EngineDownError, InputError
from orchestrator.cli.chat import Talk


class Server:
    """Answers like Madrigal; `frames` are the stream of the next answers, `status` its HTTP status."""

    def __init__(self) -> None:
        self.bodies: list[dict] = []
        self.frames = [delta("Hel"), delta("lo"), "[DONE]"]
        self.status = 200
        self.headers = {"x-madrigal-decision": "code", "x-madrigal-expert": "coder", "x-madrigal-strategy": "single"}

    def __call__(self, request: httpx.Request) -> httpx.Response:
        if request.url.path == "/v1/models":
            return httpx.Response(200, json={"data": [{"id": "auto"}, {"id": "coder"}]})
        if self.status != 200:
            return httpx.Response(self.status, json={"error": {"message": "no such key"}})
        self.bodies.append(json.loads(request.content))
        text = "".join(f"data: {frame}\n\n" for frame in self.frames)
        return httpx.Response(200, headers=self.headers, text=text)


def delta(text: str) -> str:
    return json.dumps({"choices": [{"index": 0, "delta": {"content": text}}]})


@pytest.fixture
def server() -> Server:
    return Server()


def talk_to(server: Server, **more: str) -> Talk:
    return Talk(httpx.Client(transport=httpx.MockTransport(server), base_url="http://test"), "auto", **more)


def test_an_answer_comes_in_pieces_and_the_history_is_sent_along(server: Server):
    talk = talk_to(server, system="Be brief.")
    assert list(talk.ask("hi")) == ["Hel", "lo"]
    assert "".join(talk.ask("again")) == "Hello"
    assert server.bodies[1] == {
        "model": "auto",
        "messages": [
            {"role": "system", "content": "Be brief."},
            {"role": "user", "content": "hi"},
            {"role": "assistant", "content": "Hello"},
            {"role": "user", "content": "again"},
        ],
        "stream": True,
    }


def test_the_footer_says_who_answered(server: Server):
    talk = talk_to(server)
    list(talk.ask("hi"))
    talk.took_s = 0.25
    assert talk.footer() == "code → coder · 0.2 s"
    server.headers |= {"x-madrigal-strategy": "self_moa", "x-madrigal-attempts": "2", "x-madrigal-cache": "hit"}
    list(talk.ask("hi"))
    talk.took_s = 1.0
    assert talk.footer() == "code → coder · self_moa · 2 attempts · cache hit · 1.0 s"


def test_an_answer_that_is_stopped_is_kept_as_far_as_it_came(server: Server):
    talk = talk_to(server)
    answer = talk.ask("hi")
    assert next(answer) == "Hel"
    answer.close()
    assert talk.messages == [{"role": "user", "content": "hi"}, {"role": "assistant", "content": "Hel"}]


@pytest.mark.parametrize("frames", [[delta("Hel")], [delta("Hel"), json.dumps({"error": {"message": "engine died"}})]])
def test_an_answer_that_breaks_off_is_an_error(server: Server, frames: list[str]):
    server.frames = frames
    with pytest.raises(EngineDownError, match="the answer broke off: "):
        list(talk_to(server).ask("hi"))


def test_a_refused_request_is_not_kept(server: Server):
    talk = talk_to(server)
    server.status = 400
    with pytest.raises(InputError, match="no such key"):
        list(talk.ask("hi"))
    assert talk.messages == []
    server.status = 401
    with pytest.raises(AuthenticationError, match="MADRIGAL_API_KEY"):
        list(talk.ask("hi"))


def test_what_is_no_chat_server(server: Server):
    def other(request: httpx.Request) -> httpx.Response:
        return httpx.Response(200, text="<html>")

    with pytest.raises(InputError, match="no OpenAI-compatible server"):
        talk_to(other).models()  # type: ignore[arg-type]
