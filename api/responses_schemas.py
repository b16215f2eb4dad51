"""The wire types of `POST /v1/responses`, checked before anything else happens. What of OpenAI's form is not done here
has no type here; `refusal` says so in words. Knows nothing of chats.
"""

from collections.abc import Mapping
from typing import Annotated, Any, Literal, NotRequired, TypeAlias

from pydantic import ConfigDict, Discriminator, Field, Tag, TypeAdapter, ValidationError
from typing_extensions import TypedDict

from api.errors import invalid
from api.schemas import Int64, JsonObjectFormat, MadrigalOptions, Penalty, Stop, TextFormat
from experts.errors import InputError

_OPEN = ConfigDict(extra="allow", strict=True)


def _by_type(tags: Mapping[str, str], what: str, absent: str | None = None) -> Discriminator:
    """Tell a union's members by `type`. Tags are capitalised: an error's path leaves such parts out."""

    def tag(value: Any) -> str | None:
        kind = value.get("type", absent) if isinstance(value, Mapping) else None
        return tags.get(kind) if isinstance(kind, str) else None

    known = ", ".join(tags)
    return Discriminator(tag, custom_error_type="unknown_kind", custom_error_message=f"Input should be {what}: {known}")


class TextPart(TypedDict):
    """Text of the user or, in earlier turns, of the assistant."""

    __pydantic_config__ = _OPEN  # type: ignore[misc]
    type: Literal["input_text", "output_text"]
    text: str


class RefusalPart(TypedDict):
    """An assistant's refusal in an earlier turn."""

    __pydantic_config__ = _OPEN  # type: ignore[misc]
    type: Literal["refusal"]
    refusal: str


class ImagePart(TypedDict):
    """An image by URL, `data:` URLs included."""

    __pydantic_config__ = _OPEN  # type: ignore[misc]
    type: Literal["input_image"]
    image_url: str
    detail: NotRequired[Literal["low", "high", "auto", "original"] | None]


Part: TypeAlias = Annotated[
    Annotated[TextPart, Tag("Text")] | Annotated[RefusalPart, Tag("Refusal")] | Annotated[ImagePart, Tag("Image")],
    _by_type(
        {"input_text": "Text", "output_text": "Text", "refusal": "Refusal", "input_image": "Image"},
        "a part of a type known here",
    ),
]


class MessageItem(TypedDict):
    """One turn of the conversation."""

    __pydantic_config__ = _OPEN  # type: ignore[misc]
    type: NotRequired[Literal["message"]]
    role: Literal["user", "assistant", "system", "developer"]
    content: str | list[Part]


class FunctionCallItem(TypedDict):
    """A call the model made earlier, its arguments as JSON text."""

    __pydantic_config__ = _OPEN  # type: ignore[misc]
    type: Literal["function_call"]
    call_id: str
    name: str
    arguments: str


class FunctionCallOutputItem(TypedDict):
    """What a function called earlier returned."""

    __pydantic_config__ = _OPEN  # type: ignore[misc]
    type: Literal["function_call_output"]
    call_id: str
    output: str | list[Part]


class ReasoningItem(TypedDict):
    """The model's reasoning of an earlier turn: accepted and passed over, as the models' own templates do."""

    __pydantic_config__ = _OPEN  # type: ignore[misc]
    type: Literal["reasoning"]


Item: TypeAlias = Annotated[
    Annotated[MessageItem, Tag("Message")]
    | Annotated[FunctionCallItem, Tag("Call")]
    | Annotated[FunctionCallOutputItem, Tag("Output")]
    | Annotated[ReasoningItem, Tag("Reasoning")],
    _by_type(
        {
            "message": "Message",
            "function_call": "Call",
            "function_call_output": "Output",
            "reasoning": "Reasoning",
        },
        "an item of a type known here",
        absent="message",
    ),
]


class FunctionTool(TypedDict):
    """A function the model may call; `parameters` is a JSON schema."""

    __pydantic_config__ = _OPEN  # type: ignore[misc]
    type: Literal["function"]
    name: Annotated[str, Field(min_length=1, max_length=128)]
    description: NotRequired[str | None]
    parameters: NotRequired[dict[str, Any] | None]
    strict: NotRequired[bool | None]


class NamedFunctionTool(TypedDict):
    """A function by its name."""

    __pydantic_config__ = _OPEN  # type: ignore[misc]
    type: Literal["function"]
    name: str


class AllowedTools(TypedDict):
    """Those of `tools` that may be called this time."""

    __pydantic_config__ = _OPEN  # type: ignore[misc]
    type: Literal["allowed_tools"]
    mode: Literal["auto", "required"]
    tools: Annotated[list[NamedFunctionTool], Field(min_length=1)]


ToolChoice: TypeAlias = Annotated[
    Annotated[NamedFunctionTool, Tag("Named")] | Annotated[AllowedTools, Tag("Allowed")],
    _by_type({"function": "Named", "allowed_tools": "Allowed"}, "none, auto, required or an object of type"),
]


class JsonSchemaText(TypedDict):
    """JSON that follows a schema."""

    __pydantic_config__ = _OPEN  # type: ignore[misc]
    type: Literal["json_schema"]
    name: str
    schema: dict[str, Any]
    description: NotRequired[str | None]
    strict: NotRequired[bool | None]


Format: TypeAlias = Annotated[
    Annotated[TextFormat, Tag("Text")]
    | Annotated[JsonObjectFormat, Tag("Object")]
    | Annotated[JsonSchemaText, Tag("Schema")],
    _by_type({"text": "Text", "json_object": "Object", "json_schema": "Schema"}, "a format of type"),
]


class TextOptions(TypedDict):
    """The form of the text."""

    __pydantic_config__ = _OPEN  # type: ignore[misc]
    format: NotRequired[Format | None]
    verbosity: NotRequired[Literal["low", "medium", "high"] | None]


class ReasoningOptions(TypedDict):
    """How much a reasoning model shall think; summaries are not made, so `auto` means none."""

    __pydantic_config__ = _OPEN  # type: ignore[misc]
    effort: NotRequired[Literal["none", "minimal", "low", "medium", "high", "xhigh", "max"] | None]
    summary: NotRequired[Literal["auto"] | None]


class ResponseStreamOptions(TypedDict):
    """What a stream carries besides the text."""

    __pydantic_config__ = _OPEN  # type: ignore[misc]
    include_obfuscation: NotRequired[Literal[False] | None]


class ResponseBody(TypedDict):
    """Body of `POST /v1/responses`. `seed`, `stop`, the penalties and `logit_bias` are ours, as in a chat."""

    __pydantic_config__ = _OPEN  # type: ignore[misc]
    model: Annotated[str, Field(min_length=1, max_length=256)]
    input: str | Annotated[list[Item], Field(min_length=1)]
    instructions: NotRequired[str | None]
    stream: NotRequired[bool | None]
    stream_options: NotRequired[ResponseStreamOptions | None]
    max_output_tokens: NotRequired[Annotated[int, Field(ge=1, le=2**31)] | None]
    temperature: NotRequired[Annotated[float, Field(ge=0, le=2)] | None]
    top_p: NotRequired[Annotated[float, Field(ge=0, le=1)] | None]
    tools: NotRequired[list[FunctionTool] | None]
    tool_choice: NotRequired[Literal["none", "auto", "required"] | ToolChoice | None]
    parallel_tool_calls: NotRequired[bool | None]
    max_tool_calls: NotRequired[Annotated[int, Field(ge=1)] | None]
    text: NotRequired[TextOptions | None]
    reasoning: NotRequired[ReasoningOptions | None]
    include: NotRequired[list[Literal["message.output_text.logprobs", "reasoning.encrypted_content"]] | None]
    top_logprobs: NotRequired[Annotated[int, Field(ge=0, le=20)] | None]
    metadata: NotRequired[dict[str, str] | None]
    user: NotRequired[str | None]
    safety_identifier: NotRequired[str | None]
    prompt_cache_key: NotRequired[str | None]
    store: NotRequired[bool | None]
    truncation: NotRequired[Literal["disabled"] | None]
    background: NotRequired[Literal[False] | None]
    previous_response_id: NotRequired[None]
    conversation: NotRequired[None]
    prompt: NotRequired[None]
    seed: NotRequired[Int64 | None]
    stop: NotRequired[Stop]
    presence_penalty: NotRequired[Penalty | None]
    frequency_penalty: NotRequired[Penalty | None]
    logit_bias: NotRequired[dict[str, Annotated[float, Field(ge=-100, le=100)]] | None]
    madrigal: NotRequired[MadrigalOptions | None]


RESPONSE: TypeAdapter[ResponseBody] = TypeAdapter(ResponseBody)

_STATELESS = "Nothing is kept of a response here. Send the earlier turns in input."
_NOT_DONE: Mapping[str, str] = {
    "previous_response_id": _STATELESS,
    "conversation": _STATELESS,
    "prompt": "Stored prompts are not kept here. Send instructions and input.",
    "background": "A response is answered while you wait. Leave background out, and stream for long answers.",
    "truncation": "A conversation is never shortened unasked. Leave truncation out, and drop the oldest items yourself.",
    "include": "The others belong to tools that are not hosted here.",
    "tools": "Only tools of type function are called here, by you. Tools that a server runs are not hosted.",
    "stream_options": "Frames are never padded. Leave include_obfuscation out.",
}


def refusal(error: ValidationError) -> InputError:
    """What is wrong with a body, and where it is something that OpenAI has and we have not, what would work."""
    wrong = invalid(error)
    name = (wrong.param or "").partition("[")[0].partition(".")[0]
    first = error.errors(include_url=False)[0]
    if name not in _NOT_DONE or first["type"] not in ("none_required", "literal_error"):
        return wrong
    return InputError(f"{wrong.message}.", remedy=_NOT_DONE[name], param=name, code="unsupported_parameter")
