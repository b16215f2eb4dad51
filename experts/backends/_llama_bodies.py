"""A client's request in the words of llama.cpp's server: every parameter honoured or refused, none ignored.

The server takes what it does not know in silence, so each repair here was found by experiment (xllamacpp 2026.10). Pure.
"""

import re
from collections.abc import Sequence
from typing import Any

from experts.backends._json_schema import answer_grammar, check_arguments
from experts.call import Call, Endpoint
from experts.errors import InputError, UnsupportedError

TOOL_CHOICE = "tool_choice"
"""Not a feature of requests but of templates: a call can be forced, because it starts with a mark we know."""

_CALL_START, _CALL_END = "<tool_call>\n", "</tool_call>"
_TOOL_NAME = re.compile(r"[A-Za-z0-9_-]{1,64}")
_RANDOM_SEED = 2**32 - 1
_THEIR_OWN = ("n_predict", "n_cmpl", "id_slot", "return_progress", "cache_prompt")
"""Parameters of llama.cpp that would undo what is set here."""


def bodies(call: Call, endpoint: Endpoint) -> Sequence[dict[str, Any]]:
    """One body per choice (`n`) and, for completions, per prompt, prompt by prompt: the server counts usage of one only.

    Choices of a seeded request get the seeds `seed`, `seed + 1` …
    """
    for feature, param in call.needs.items():
        if feature in endpoint.lacks:
            raise UnsupportedError(f"expert {endpoint.expert} cannot do {param} ({feature})", param=param)
    body = {key: value for key, value in call.body.items() if value is not None and key not in _THEIR_OWN}
    body["return_progress"] = True  # a frame for each piece of the prompt: only a write shows that the caller is gone
    count = int(body.pop("n", 1))
    _lengths(body, chat=call.path == "chat/completions")
    _sampling(body)
    if call.path == "completions":
        _logprobs(body, "logprobs", asked="logprobs" in body)
        shaped = [{**body, "prompt": prompt} for prompt in _prompts(body.get("prompt"))]
    else:
        _logprobs(body, "top_logprobs", asked=bool(body.get("logprobs")))
        _messages(body)
        _tools(body, endpoint)
        _answer_form(body)
        shaped = [body]
    seed = body.get("seed")
    if seed is None:
        return [dict(one) for one in shaped for _ in range(count)]
    return [{**one, "seed": (seed + k) % _RANDOM_SEED} for one in shaped for k in range(count)]


def _lengths(body: dict[str, Any], chat: bool) -> None:
    for name in ("max_tokens", "max_completion_tokens"):
        if name in body and (not isinstance(body[name], int) or body[name] < 1):
            raise InputError(f"{name} must be 1 or more, not {body[name]!r}", param=name)
    if not chat:
        body.setdefault("max_tokens", 16)  # OpenAI's default; llama.cpp's is until the context is full
    stop = body.get("stop")
    if stop == "" or (isinstance(stop, list) and "" in stop):
        raise InputError("stop must hold no empty string: every answer would end before it begins", param="stop")


def _sampling(body: dict[str, Any]) -> None:
    if body.get("frequency_penalty") or body.get("presence_penalty"):
        body["repeat_last_n"] = -1  # over the whole text, as OpenAI does; the server's default is the last 64 tokens
    if "seed" in body:
        body["cache_prompt"] = False  # numbers differ in the last bits with what happens to be cached, then words do
    bias = body.get("logit_bias")
    if bias:
        for token in bias:
            if not str(token).isdecimal():
                raise InputError(f"logit_bias must have token ids as keys, not {token!r}", param="logit_bias")


def _logprobs(body: dict[str, Any], name: str, asked: bool) -> None:
    if asked and not body.get(name):
        body[name] = 1  # 0 gives no log-probabilities at all, nothing gives twenty


def _prompts(prompt: Any) -> list[Any]:
    prompts: list[Any]
    if isinstance(prompt, str):
        prompts = [prompt]
    elif isinstance(prompt, list) and prompt:
        prompts = [prompt] if isinstance(prompt[0], int) else prompt
    else:
        raise InputError("prompt must be a string, a list of strings, or token ids", param="prompt")
    if not all(prompts):
        raise InputError("prompt must not be empty: there is nothing to continue", param="prompt")
    return prompts


def _messages(body: dict[str, Any]) -> None:
    """Templates know no `developer`; what they make of a role they do not know differs from model to model."""
    messages = body.get("messages") or []
    if any(message.get("role") == "developer" for message in messages):
        messages = [{**m, "role": "system"} if m.get("role") == "developer" else m for m in messages]
        body["messages"] = messages


def _answer_form(body: dict[str, Any]) -> None:
    form = body.pop("response_format", None)
    if form is None or form == {"type": "text"}:
        return
    kind = form.get("type") if isinstance(form, dict) else None
    if kind == "json_object":
        schema: Any = {"type": "object"}
    elif kind == "json_schema":
        schema = (form.get("json_schema") or {}).get("schema")
        if schema is None:
            raise InputError("response_format.json_schema must hold a schema", param="response_format")
    else:
        raise InputError(
            f"response_format.type must be text, json_object or json_schema, not {kind!r}", param="response_format"
        )
    if "grammar" in body:
        raise InputError("response_format and grammar exclude each other", param="response_format")
    if body.get("tools") and body.get("tool_choice") != "none":
        raise UnsupportedError(
            "llama.cpp cannot hold an answer to a schema and offer tools in the same request",
            param="response_format",
            remedy='Ask in two requests, or set tool_choice to "none".',
        )
    for name in ("tools", "tool_choice", "parallel_tool_calls"):
        body.pop(name, None)  # the server takes no grammar beside tools
    body["grammar"] = answer_grammar(schema)


def _tools(body: dict[str, Any], endpoint: Endpoint) -> None:
    for name in ("functions", "function_call"):
        if name in body:
            raise UnsupportedError(f"{name} is the old form of tools, which llama.cpp ignores", param=name)
    tools, choice = body.get("tools"), body.get("tool_choice")
    if not tools:
        body.pop("tools", None)
        if choice not in (None, "none", "auto"):
            raise InputError("tool_choice asks for a call, but no tools are given", param="tool_choice")
        body.pop("tool_choice", None)
        body.pop("parallel_tool_calls", None)
        return
    names = [_tool_name(tool, number) for number, tool in enumerate(tools)]
    single = body.get("parallel_tool_calls") is False
    if isinstance(choice, dict):
        wanted = (choice.get("function") or {}).get("name")
        if choice.get("type") != "function":
            raise UnsupportedError(
                f"llama.cpp knows no tool_choice of type {choice.get('type')!r}", param="tool_choice"
            )
        if wanted not in names:
            raise InputError(f"tool_choice names {wanted!r}; the tools are {', '.join(names)}", param="tool_choice")
        body["tools"] = [tool for tool, name in zip(tools, names, strict=True) if name == wanted]
        choice, single = "required", True
    elif choice not in (None, "auto", "none", "required"):
        raise InputError(f"tool_choice must be auto, none, required or a function, not {choice!r}", param="tool_choice")
    if choice == "required":
        _force(body, endpoint)
    if single and choice != "none":
        _only_one(body, endpoint)


def _tool_name(tool: Any, number: int) -> str:
    at = f"tools[{number}]"
    if not isinstance(tool, dict) or tool.get("type") != "function":
        raise UnsupportedError(f"{at}.type must be function: llama.cpp knows no other", param="tools")
    function = tool.get("function")
    name = function.get("name") if isinstance(function, dict) else None
    if not isinstance(name, str) or not _TOOL_NAME.fullmatch(name):
        raise InputError(f"{at}.function.name must be 1 to 64 letters, digits, '_' or '-', not {name!r}", param="tools")
    assert isinstance(function, dict)
    if function.get("strict"):
        check_arguments(function.get("parameters") or {}, param="tools", at=f"{at}.function.parameters")
    return name


def _force(body: dict[str, Any], endpoint: Endpoint) -> None:
    """Begin the answer with the mark of a call. `required` alone lets the model talk for as long as it likes first."""
    if TOOL_CHOICE in endpoint.lacks:
        raise UnsupportedError(
            f"expert {endpoint.expert} cannot be made to call a tool: its template marks no call with {_CALL_START!r}",
            param="tool_choice",
        )
    body["tool_choice"] = "required"
    body["messages"] = [*body["messages"], {"role": "assistant", "content": _CALL_START}]
    body["continue_final_message"] = True
    body["add_generation_prompt"] = False


def _only_one(body: dict[str, Any], endpoint: Endpoint) -> None:
    if TOOL_CHOICE in endpoint.lacks:
        raise UnsupportedError(
            f"expert {endpoint.expert} cannot be kept to one tool call: its template marks no call with {_CALL_END!r}",
            param="parallel_tool_calls",
        )
    body["parallel_tool_calls"] = False  # keeps one mark to one call, but not the model to one mark
    stop: str | list[str] = body.get("stop") or []
    body["stop"] = [*([stop] if isinstance(stop, str) else stop), _CALL_END]
