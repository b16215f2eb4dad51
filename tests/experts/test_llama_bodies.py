"""How a request is put to llama.cpp: what is changed, what is refused. No engine runs here."""

from typing import Any

import pytest

from experts.backends.llama_cpp import bodies
from experts.call import Call, Endpoint
from experts.errors import InputError, UnsupportedError

HERE = Endpoint("general", "llama_cpp", "http://127.0.0.1:1/v1", "general", lacks=frozenset(("images", "echo")))
NO_MARK = Endpoint("general", "llama_cpp", "http://127.0.0.1:1/v1", "general", lacks=frozenset(("tool_choice",)))
ASK = [{"role": "user", "content": "2+3?"}]
ADD = {
    "type": "function",
    "function": {"name": "add", "parameters": {"type": "object", "properties": {"a": {"type": "integer"}}}},
}
NOW = {"type": "function", "function": {"name": "now"}}


def chat(endpoint: Endpoint = HERE, **body: Any) -> list[dict[str, Any]]:
    return list(bodies(Call("chat/completions", {"messages": ASK, **body}), endpoint))


def complete(**body: Any) -> list[dict[str, Any]]:
    return list(bodies(Call("completions", body), HERE))


def test_one_body_a_choice_each_with_its_own_seed() -> None:
    three = chat(n=3, seed=7, temperature=1)
    assert [one["seed"] for one in three] == [7, 8, 9]
    assert all("n" not in one and one["cache_prompt"] is False for one in three)
    assert len(chat(n=2)) == 2 and "seed" not in chat(n=2)[0]


def test_the_seed_that_means_random_is_never_sent() -> None:
    assert chat(seed=2**32 - 1)[0]["seed"] == 0
    assert chat(seed=-1)[0]["seed"] == 2**32 - 2


def test_one_body_a_prompt_prompt_by_prompt() -> None:
    assert [one["prompt"] for one in complete(prompt=["a", "b"], n=2)] == ["a", "a", "b", "b"]
    assert [one["prompt"] for one in complete(prompt=[1, 2, 3])] == [[1, 2, 3]]
    assert [one["prompt"] for one in complete(prompt=[[1], [2]])] == [[1], [2]]
    assert complete(prompt="a")[0]["max_tokens"] == 16


def test_what_the_server_reads_otherwise_is_put_right() -> None:
    (body,) = chat(frequency_penalty=0.5, logprobs=True, n_predict=9, stop=None)
    assert body["repeat_last_n"] == -1
    assert body["top_logprobs"] == 1
    assert "n_predict" not in body and "stop" not in body
    assert complete(prompt="a", logprobs=0)[0]["logprobs"] == 1
    said = [{"role": "developer", "content": "Be brief."}, *ASK]
    assert chat(messages=said)[0]["messages"][0]["role"] == "system"
    assert said[0]["role"] == "developer", "the client's own message is left as it was"


def test_a_forced_call_begins_with_the_mark_of_a_call() -> None:
    (body,) = chat(tools=[ADD, NOW], tool_choice="required")
    assert body["messages"][-1] == {"role": "assistant", "content": "<tool_call>\n"}
    assert body["continue_final_message"] is True
    assert len(body["tools"]) == 2


def test_a_named_function_is_called_once() -> None:
    (body,) = chat(tools=[ADD, NOW], tool_choice={"type": "function", "function": {"name": "now"}}, stop="x")
    assert body["tools"] == [NOW]
    assert body["tool_choice"] == "required"
    assert body["parallel_tool_calls"] is False
    assert body["stop"] == ["x", "</tool_call>"]


def test_an_answers_schema_becomes_a_grammar() -> None:
    form = {"type": "json_schema", "json_schema": {"name": "n", "schema": {"type": "integer", "maximum": 3}}}
    (body,) = chat(response_format=form)
    assert '"maximum": 3' in body["grammar"] and "response_format" not in body
    assert "grammar" in chat(response_format={"type": "json_object"})[0]
    assert "grammar" not in chat(response_format={"type": "text"})[0]
    assert "tools" not in chat(response_format=form, tools=[ADD], tool_choice="none")[0]


@pytest.mark.parametrize(
    ("param", "body"),
    [
        ("max_tokens", {"max_tokens": 0}),
        ("max_completion_tokens", {"max_completion_tokens": -1}),
        ("stop", {"stop": ""}),
        ("stop", {"stop": ["a", ""]}),
        ("logit_bias", {"logit_bias": {"hello": 5}}),
        ("response_format", {"response_format": {"type": "xml"}}),
        ("response_format", {"response_format": "json"}),
        ("response_format", {"response_format": {"type": "json_schema", "json_schema": {"name": "n"}}}),
        ("response_format", {"response_format": {"type": "json_object"}, "tools": [ADD]}),
        ("tool_choice", {"tool_choice": "required"}),
        ("tool_choice", {"tools": [ADD], "tool_choice": "always"}),
        ("tool_choice", {"tools": [ADD], "tool_choice": {"type": "function", "function": {"name": "sub"}}}),
        ("tool_choice", {"tools": [ADD], "tool_choice": {"type": "allowed_tools"}}),
        ("tools", {"tools": [{"name": "add"}]}),
        ("tools", {"tools": [{"type": "function", "function": {"name": 'a "b"'}}]}),
        ("functions", {"functions": [{"name": "add"}]}),
    ],
)
def test_refused_naming_the_parameter(param: str, body: dict[str, Any]) -> None:
    with pytest.raises(InputError) as caught:
        chat(**body)
    assert caught.value.param == param


def test_what_the_expert_lacks_is_refused() -> None:
    with pytest.raises(UnsupportedError) as caught:
        bodies(Call("chat/completions", {"messages": ASK}, needs={"images": "messages"}), HERE)
    assert caught.value.param == "messages"
    with pytest.raises(UnsupportedError) as caught:
        chat(NO_MARK, tools=[ADD], tool_choice="required")
    assert caught.value.param == "tool_choice"
    with pytest.raises(UnsupportedError) as caught:
        chat(NO_MARK, tools=[ADD], parallel_tool_calls=False)
    assert caught.value.param == "parallel_tool_calls"
    assert chat(NO_MARK, tools=[ADD])


@pytest.mark.parametrize("prompt", ["", [], [""], None, {"a": 1}])
def test_a_prompt_must_hold_something(prompt: Any) -> None:
    with pytest.raises(InputError) as caught:
        complete(prompt=prompt)
    assert caught.value.param == "prompt"
