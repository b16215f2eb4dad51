"""What the router may see of a request."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from router.prompt import Prompt, estimate, needs

CONVERSATION = {
    "model": "auto",
    "messages": [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": "Write a parser in Python."},
        {
            "role": "assistant",
            "content": "Done.",
            "tool_calls": [{"id": "1", "function": {"name": "save", "arguments": "{}"}}],
        },
        {"role": "tool", "tool_call_id": "1", "content": "saved"},
        {
            "role": "user",
            "content": [{"type": "text", "text": "commit it"}, {"type": "image_url", "image_url": {"url": "x"}}],
        },
    ],
}


def test_every_scope_reads_its_turns() -> None:
    prompt = Prompt.from_chat(CONVERSATION)
    assert prompt.text("user") == "Write a parser in Python.\ncommit it"
    assert prompt.text("last") == "commit it"
    assert prompt.text("system") == "Be brief."
    assert prompt.text("conversation") == "Write a parser in Python.\nDone.\nsaved\ncommit it"
    assert prompt.text("all") == "Be brief.\nWrite a parser in Python.\nDone.\nsaved\ncommit it"
    assert [m.calls for m in prompt.messages] == [(), (), ("save",), (), ()]
    assert [m.images for m in prompt.messages] == [0, 0, 0, 0, 1]


def test_identity_comes_from_the_caller_never_from_the_request() -> None:
    body = {**CONVERSATION, "user": "root", "metadata": {"tenant": "acme", "roles": "admin"}}
    prompt = Prompt.from_chat(body, headers={"X-User": "root"}, user="mia", tenant="lab", roles=["reader"])
    assert (prompt.user, prompt.tenant, prompt.roles) == ("mia", "lab", ("reader",))


def test_headers_are_lower_case_and_hold_no_secrets() -> None:
    prompt = Prompt.from_chat(CONVERSATION, headers={"X-Team": "blue", "Authorization": "Bearer s", "Cookie": "c"})
    assert prompt.headers == {"x-team": "blue"}


@pytest.mark.parametrize(
    ("more", "found"),
    [
        ({"tools": [{"type": "function", "function": {"name": "f"}}]}, {"tools": "tools"}),
        ({"tools": []}, {}),
        ({"functions": [{"name": "f"}]}, {"tools": "functions"}),
        ({"response_format": {"type": "text"}}, {}),
        ({"response_format": {"type": "json_object"}}, {"json_object": "response_format"}),
        ({"response_format": {"type": "json_schema", "json_schema": {}}}, {"json_schema": "response_format"}),
        ({"logprobs": True}, {"logprobs": "logprobs"}),
        ({"logprobs": False}, {}),
        ({"top_logprobs": 3}, {"logprobs": "top_logprobs"}),
        ({"logit_bias": {"5": 1}}, {"logit_bias": "logit_bias"}),
        ({"seed": 0}, {"seed": "seed"}),
        ({"n": 1, "best_of": None}, {}),
        ({"n": 2}, {"n": "n"}),
        ({"best_of": 2}, {"best_of": "best_of"}),
        ({"web_search_options": {}}, {"web_search": "web_search_options"}),
        ({"logsumexp": True}, {"logits": "logsumexp"}),
        ({"modalities": ["text", "audio"]}, {"audio": "modalities"}),
    ],
)
def test_needs_name_the_parameter_that_asks(more: dict, found: dict) -> None:
    body = {"messages": [{"role": "user", "content": "hi"}], **more}
    assert needs(body, "chat/completions") == {"chat": "messages", **found}
    assert Prompt.from_chat(body).needs == {"chat": "messages", **found}


def test_needs_of_parts_and_of_completions() -> None:
    parts = [{"type": "input_audio", "input_audio": {}}, {"type": "image_url", "image_url": {"url": "x"}}]
    chat = {"messages": [{"role": "user", "content": parts}]}
    assert needs(chat, "chat/completions") == {"chat": "messages", "images": "messages", "audio": "messages"}
    # In /v1/completions `logprobs` is a number, and 0 asks for the chosen token's.
    body = {"prompt": "def f(", "suffix": ")", "echo": True, "logprobs": 0}
    found = {"completions": "prompt", "logprobs": "logprobs", "echo": "echo", "suffix": "suffix"}
    assert needs(body, "completions") == found
    assert Prompt.from_chat(body).needs == found


def test_completions_prompts_of_every_shape() -> None:
    assert Prompt.from_chat({"prompt": "Once upon"}).text("user") == "Once upon"
    assert Prompt.from_chat({"prompt": ["one", "two"]}).text("user") == "one\ntwo"
    assert Prompt.from_chat({"prompt": [1, 2, 3]}).tokens == 3
    assert Prompt.from_chat({"prompt": [[1, 2, 3], [4]]}).tokens == 3, "each is a call of its own"
    assert Prompt.from_chat({"prompt": ["a" * 1000, "b"]}).tokens == int(estimate("a" * 1000))
    assert Prompt.from_chat({"prompt": [1, 2, 3]}).least_tokens == 3, "what was counted is not estimated"


def test_the_answers_length_under_either_name() -> None:
    messages = [{"role": "user", "content": "hi"}]
    prompt = Prompt.from_chat({"messages": messages, "max_tokens": 5, "max_completion_tokens": 7})
    assert (prompt.max_tokens, prompt.max_tokens_param) == (7, "max_completion_tokens")
    prompt = Prompt.from_chat({"messages": messages, "max_tokens": 5, "max_completion_tokens": None})
    assert (prompt.max_tokens, prompt.max_tokens_param) == (5, "max_tokens")
    assert Prompt.from_chat({"messages": messages}).max_tokens is None


@pytest.mark.parametrize(
    ("text", "true_tokens"),
    [
        # True counts by tiktoken's o200k_base.
        ("The quick brown fox jumps over the lazy dog. Pack my box with five dozen liquor jugs.", 20),
        ("Der schnelle braune Fuchs springt über den faulen Hund und läuft dann nach Hause.", 19),
        ("敏捷的棕色狐狸跳过了懒狗,然后回家睡觉。", 20),
    ],
)
def test_the_estimate_of_tokens_is_near(text: str, true_tokens: int) -> None:
    assert 0.6 * true_tokens < estimate(text) < 1.7 * true_tokens


def test_tools_and_images_count_as_tokens() -> None:
    plain = Prompt.from_chat({"messages": [{"role": "user", "content": "hi"}]})
    tool = {"type": "function", "function": {"name": "f", "description": "word " * 100, "parameters": {}}}
    assert (
        Prompt.from_chat({"messages": [{"role": "user", "content": "hi"}], "tools": [tool]}).tokens > plain.tokens + 100
    )
    image = {"type": "image_url", "image_url": {"url": "data:" + "A" * 100_000}}
    with_image = Prompt.from_chat({"messages": [{"role": "user", "content": [image]}]}).tokens
    assert plain.tokens < with_image < 1000, "an image is not its base64 text"


def test_memo_works_once() -> None:
    prompt, calls = Prompt.from_chat(CONVERSATION), []
    for _ in range(2):
        assert prompt.memo(("test", 1), lambda: calls.append(1) or "made") == "made"
    assert calls == [1]


def test_lone_surrogates_do_no_harm() -> None:
    prompt = Prompt.from_chat({"messages": [{"role": "user", "content": "a\ud800b"}]})
    assert prompt.data("user") == b"a?b"
    assert prompt.tokens > 0


parts = st.one_of(
    st.fixed_dictionaries({"type": st.just("text"), "text": st.one_of(st.text(), st.none())}),
    st.fixed_dictionaries({"type": st.sampled_from(["image_url", "input_audio", "file", "refusal", "new"])}),
    st.text(),
)
messages = st.lists(
    st.fixed_dictionaries(
        {"role": st.sampled_from(["user", "assistant", "system", "developer", "tool"])},
        optional={
            "content": st.one_of(st.none(), st.text(), st.lists(parts)),
            "tool_calls": st.one_of(
                st.none(), st.lists(st.fixed_dictionaries({"function": st.dictionaries(st.just("name"), st.text())}))
            ),
            "function_call": st.one_of(st.none(), st.dictionaries(st.just("name"), st.text())),
        },
    )
)


@given(
    messages,
    st.one_of(st.none(), st.dictionaries(st.text(), st.text())),
    st.lists(st.dictionaries(st.text(), st.text())),
)
def test_odd_bodies_never_crash(messages: list, metadata: dict | None, tools: list) -> None:
    body = {"messages": messages, "metadata": metadata, "tools": tools, "response_format": None, "logit_bias": None}
    prompt = Prompt.from_chat(body)
    assert prompt.tokens >= prompt.least_tokens >= 0
    for scope in ("user", "last", "system", "conversation", "all"):
        assert prompt.data(scope) == prompt.text(scope).encode("utf-8", "replace")
    assert prompt.needs == needs(body, "chat/completions")
