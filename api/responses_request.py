"""A Responses body as a chat body, and as what the Response object repeats of it. Pure; knows nothing of answers.

Where both APIs spell a parameter alike it goes on as it came, as do those that neither knows (`top_k` …).
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from experts.errors import InputError, MadrigalError

_TRANSLATED = frozenset(
    {
        "background",
        "conversation",
        "include",
        "input",
        "instructions",
        "madrigal",
        "max_output_tokens",
        "max_tool_calls",  # bounds calls of hosted tools, of which there are none
        "previous_response_id",
        "prompt",
        "reasoning",
        "store",
        "stream",
        "stream_options",
        "text",
        "tool_choice",
        "tools",
        "top_logprobs",
        "truncation",
    }
)
_MOVED = {
    "messages": "input",
    "max_tokens": "max_output_tokens",
    "max_completion_tokens": "max_output_tokens",
    "response_format": "text.format",
    "reasoning_effort": "reasoning.effort",
    "verbosity": "text.verbosity",
    "logprobs": "include",
    "functions": "tools",
    "function_call": "tool_choice",
}
"""Parameters of a chat, and what they are called here."""


def chat_body(body: Mapping[str, Any]) -> dict[str, Any]:
    """The chat body that asks the same. Raises `InputError` for what types cannot say."""
    for name, here in _MOVED.items():
        if body.get(name) is not None:
            raise InputError(
                f"{name} is a parameter of chats; in a response it is {here}", param=name, code="unsupported_parameter"
            )
    if body.get("n") not in (None, 1):
        raise InputError("a response has one answer: n must be 1", param="n", code="unsupported_parameter")
    if body.get("stream_options") is not None and not body.get("stream"):
        raise InputError("stream_options needs stream: true", param="stream_options", code="invalid_value")
    chat = {name: value for name, value in body.items() if name not in _TRANSLATED and value is not None}
    chat["messages"] = messages(body["input"], body.get("instructions"))
    chat.update(_tools(body))
    if body.get("max_output_tokens") is not None:
        chat["max_completion_tokens"] = body["max_output_tokens"]
    text, reasoning = body.get("text") or {}, body.get("reasoning") or {}
    form = text.get("format") or {"type": "text"}
    if form["type"] == "json_schema":
        chat["response_format"] = {"type": "json_schema", "json_schema": _without(form, "type")}
    elif form["type"] != "text":
        chat["response_format"] = form
    if text.get("verbosity") is not None:
        chat["verbosity"] = text["verbosity"]
    if reasoning.get("effort") is not None:
        chat["reasoning_effort"] = reasoning["effort"]
    top = body.get("top_logprobs")
    if top or "message.output_text.logprobs" in (body.get("include") or ()):
        chat["logprobs"] = True
        if top:
            chat["top_logprobs"] = top
    return chat


def messages(asked: str | Sequence[Mapping[str, Any]], instructions: str | None = None) -> list[dict[str, Any]]:
    """The conversation as a chat's messages: calls of one turn belong to one assistant message; reasoning is left out.

    Raises `InputError` for the output of a call that was not made, and where nothing is said.
    """
    told: list[dict[str, Any]] = [{"role": "system", "content": instructions}] if instructions else []
    if isinstance(asked, str):
        return [*told, {"role": "user", "content": asked}]
    calls: set[str] = set()
    for at, item in enumerate(asked):
        match item.get("type", "message"):
            case "message":
                told.append({"role": item["role"], "content": _content(item["content"], item["role"])})
            case "function_call":
                if not told or told[-1]["role"] != "assistant":
                    told.append({"role": "assistant", "content": None})
                function = {"name": item["name"], "arguments": item["arguments"]}
                call = {"id": item["call_id"], "type": "function", "function": function}
                told[-1].setdefault("tool_calls", []).append(call)
                calls.add(item["call_id"])
            case "function_call_output":
                if item["call_id"] not in calls:
                    raise InputError(
                        f"input[{at}] is the output of {item['call_id']!r}, but no function_call before it has this "
                        "call_id; send the call too",
                        param=f"input[{at}].call_id",
                        code="invalid_value",
                    )
                content = _content(item["output"], "tool")
                told.append({"role": "tool", "tool_call_id": item["call_id"], "content": content})
    if not told:
        raise InputError("input holds no message", param="input", code="invalid_value")
    return told


def _content(content: str | Sequence[Mapping[str, Any]], role: str) -> str | list[dict[str, Any]]:
    """A message's content. Text in one piece is a string, as are an assistant's several, for templates that know
    nothing else."""
    if isinstance(content, str):
        return content
    texts = [part["text"] for part in content if "text" in part["type"]]
    if len(texts) == len(content) and (len(texts) == 1 or role == "assistant"):
        return "".join(texts)
    return [_part(part) for part in content]


def _part(part: Mapping[str, Any]) -> dict[str, Any]:
    if part["type"] == "refusal":
        return {"type": "refusal", "refusal": part["refusal"]}
    if part["type"] == "input_image":
        image = {"url": part["image_url"]}
        if part.get("detail") is not None:
            image["detail"] = part["detail"]
        return {"type": "image_url", "image_url": image}
    return {"type": "text", "text": part["text"]}


def _tools(body: Mapping[str, Any]) -> dict[str, Any]:
    """`tools` and `tool_choice` of the chat."""
    tools, choice = body.get("tools") or [], body.get("tool_choice")
    if isinstance(choice, Mapping) and choice["type"] == "allowed_tools":
        names = {tool["name"] for tool in choice["tools"]}
        if missing := sorted(names - {tool["name"] for tool in tools}):
            raise InputError(
                f"tool_choice allows {missing[0]!r}, which is not among tools",
                param="tool_choice",
                code="invalid_value",
            )
        tools, choice = [tool for tool in tools if tool["name"] in names], choice["mode"]
    if not tools:  # here, unlike in a chat, a choice that asks for no call may stand alone
        return {} if choice in (None, "auto", "none") else {"tool_choice": _choice(choice)}
    functions = [{"type": "function", "function": _without(tool, "type")} for tool in tools]
    return {"tools": functions} | ({} if choice is None else {"tool_choice": _choice(choice)})


def _choice(choice: Any) -> Any:
    return choice if isinstance(choice, str) else {"type": "function", "function": {"name": choice["name"]}}


def _without(form: Mapping[str, Any], *names: str) -> dict[str, Any]:
    return {key: value for key, value in form.items() if key not in names and value is not None}


def skeleton(body: Mapping[str, Any], *, id: str, created_at: int) -> dict[str, Any]:
    """The Response object before anything is said. What the request left to the expert is null."""
    text = body.get("text") or {}
    reasoning = body.get("reasoning") or {}
    told: dict[str, Any] = {
        "id": id,
        "object": "response",
        "created_at": created_at,
        "status": "in_progress",
        "background": False,
        "completed_at": None,
        "error": None,
        "incomplete_details": None,
        "instructions": body.get("instructions"),
        "max_output_tokens": body.get("max_output_tokens"),
        "max_tool_calls": body.get("max_tool_calls"),
        "metadata": body.get("metadata") or {},
        "model": body["model"],
        "output": [],
        "parallel_tool_calls": body.get("parallel_tool_calls") is not False,
        "previous_response_id": None,
        "reasoning": {"effort": reasoning.get("effort"), "summary": None},
        "safety_identifier": body.get("safety_identifier"),
        "prompt_cache_key": body.get("prompt_cache_key"),
        "store": False,  # nothing is ever kept to be asked for again
        "temperature": body.get("temperature"),
        "text": {"format": text.get("format") or {"type": "text"}},
        "tool_choice": body.get("tool_choice") or "auto",
        "tools": list(_repeated(body.get("tools") or ())),
        "top_logprobs": body.get("top_logprobs") or 0,
        "top_p": body.get("top_p"),
        "truncation": "disabled",
        "usage": None,
        "user": body.get("user"),
    }
    if text.get("verbosity") is not None:
        told["text"]["verbosity"] = text["verbosity"]
    return told


def _repeated(tools: Iterable[Mapping[str, Any]]) -> Iterable[dict[str, Any]]:
    """Tools with every key that clients expect."""
    for tool in tools:
        yield {"description": None, "parameters": None, "strict": None, **tool}


def retell(error: MadrigalError) -> None:
    """Put an error about a chat's parameters into the words of this API."""
    if error.param is not None:
        name = re.match(r"\w*", error.param)
        assert name is not None
        if (here := _MOVED.get(name[0])) is not None:
            # what is at fault inside is told in the chat's structure, which is not what the client sent
            error.param = here
    error.message = _WORDS.sub(lambda found: _MOVED[found[0]], error.message)
    if error.remedy is not None:
        error.remedy = _WORDS.sub(lambda found: _MOVED[found[0]], error.remedy)


_WORDS = re.compile(r"\b(response_format|max_completion_tokens|reasoning_effort)\b")
