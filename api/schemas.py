"""The wire types: what a client may send, checked before anything else happens. Knows nothing of experts or policies.

Requests are `TypedDict`s, so that a valid body stays the plain dictionary that is sent on. Fields not named here are
accepted and passed on; fields named here are checked strictly (no text is taken for a number).
"""

from typing import Annotated, Any, Literal, NotRequired, TypeAlias

from pydantic import ConfigDict, Field, TypeAdapter
from typing_extensions import TypedDict

_OPEN = ConfigDict(extra="allow", strict=True, cache_strings="keys")  # what users write is not kept in a cache

Int64: TypeAlias = Annotated[int, Field(ge=-(2**63), le=2**63 - 1)]
Penalty: TypeAlias = Annotated[float, Field(ge=-2, le=2)]
Stop: TypeAlias = str | Annotated[list[str], Field(max_length=4)] | None


class Part(TypedDict):
    """A piece of a message: text, an image, audio, a file."""

    __pydantic_config__ = _OPEN  # type: ignore[misc]
    type: Literal["text", "image_url", "input_audio", "file", "refusal"]
    text: NotRequired[str]


class FunctionCall(TypedDict):
    """A function the model wants called, its arguments as JSON text."""

    __pydantic_config__ = _OPEN  # type: ignore[misc]
    name: str
    arguments: str


class ToolCall(TypedDict):
    """A tool call made by the assistant."""

    __pydantic_config__ = _OPEN  # type: ignore[misc]
    id: str
    type: NotRequired[Literal["function", "custom"]]
    function: NotRequired[FunctionCall]


class Message(TypedDict):
    """One turn of the conversation."""

    __pydantic_config__ = _OPEN  # type: ignore[misc]
    role: Literal["system", "developer", "user", "assistant", "tool", "function"]
    content: NotRequired[str | list[Part] | None]
    name: NotRequired[str | None]
    tool_calls: NotRequired[list[ToolCall] | None]
    tool_call_id: NotRequired[str | None]


class Function(TypedDict):
    """A function the model may call; `parameters` is a JSON schema."""

    __pydantic_config__ = _OPEN  # type: ignore[misc]
    name: Annotated[str, Field(min_length=1, max_length=128)]
    description: NotRequired[str | None]
    parameters: NotRequired[dict[str, Any] | None]
    strict: NotRequired[bool | None]


class Tool(TypedDict):
    """A tool the model may use."""

    __pydantic_config__ = _OPEN  # type: ignore[misc]
    type: Literal["function"]
    function: Function


class NamedFunction(TypedDict):
    """The name of a function."""

    name: str


class NamedTool(TypedDict):
    """A tool that must be used."""

    __pydantic_config__ = _OPEN  # type: ignore[misc]
    type: Literal["function"]
    function: NamedFunction


class JsonSchema(TypedDict):
    """A schema the answer must follow."""

    __pydantic_config__ = _OPEN  # type: ignore[misc]
    name: str
    schema: NotRequired[dict[str, Any]]
    strict: NotRequired[bool | None]


class TextFormat(TypedDict):
    """Plain text."""

    type: Literal["text"]


class JsonObjectFormat(TypedDict):
    """Any JSON object."""

    type: Literal["json_object"]


class JsonSchemaFormat(TypedDict):
    """JSON that follows a schema."""

    type: Literal["json_schema"]
    json_schema: JsonSchema


ResponseFormat: TypeAlias = Annotated[TextFormat | JsonObjectFormat | JsonSchemaFormat, Field(discriminator="type")]


class StreamOptions(TypedDict):
    """What a stream carries besides the text."""

    __pydantic_config__ = _OPEN  # type: ignore[misc]
    include_usage: NotRequired[bool | None]


class MadrigalOptions(TypedDict):
    """Madrigal's own options; `trace` puts the decision's trace into the answer."""

    __pydantic_config__ = ConfigDict(extra="forbid", strict=True)  # type: ignore[misc]
    trace: NotRequired[bool]


class _Sampling(TypedDict):
    __pydantic_config__ = _OPEN  # type: ignore[misc]
    model: Annotated[str, Field(min_length=1, max_length=256)]
    stream: NotRequired[bool | None]
    stream_options: NotRequired[StreamOptions | None]
    max_tokens: NotRequired[Annotated[int, Field(ge=1, le=2**31)] | None]
    temperature: NotRequired[Annotated[float, Field(ge=0, le=2)] | None]
    top_p: NotRequired[Annotated[float, Field(ge=0, le=1)] | None]
    n: NotRequired[Annotated[int, Field(ge=1, le=128)] | None]
    stop: NotRequired[Stop]
    seed: NotRequired[Int64 | None]
    presence_penalty: NotRequired[Penalty | None]
    frequency_penalty: NotRequired[Penalty | None]
    logit_bias: NotRequired[dict[str, Annotated[float, Field(ge=-100, le=100)]] | None]
    user: NotRequired[str | None]
    madrigal: NotRequired[MadrigalOptions | None]


class ChatBody(_Sampling):
    """Body of `POST /v1/chat/completions`."""

    __pydantic_config__ = _OPEN  # type: ignore[misc]
    messages: Annotated[list[Message], Field(min_length=1)]
    max_completion_tokens: NotRequired[Annotated[int, Field(ge=1, le=2**31)] | None]
    logprobs: NotRequired[bool | None]
    top_logprobs: NotRequired[Annotated[int, Field(ge=0, le=20)] | None]
    tools: NotRequired[list[Tool] | None]
    tool_choice: NotRequired[Literal["none", "auto", "required"] | NamedTool | None]
    parallel_tool_calls: NotRequired[bool | None]
    response_format: NotRequired[ResponseFormat | None]
    metadata: NotRequired[dict[str, str] | None]
    modalities: NotRequired[list[Literal["text", "audio"]] | None]


class CompletionBody(_Sampling):
    """Body of `POST /v1/completions`."""

    __pydantic_config__ = _OPEN  # type: ignore[misc]
    prompt: str | Annotated[list[str] | list[int] | list[list[int]], Field(min_length=1)]
    logprobs: NotRequired[Annotated[int, Field(ge=0, le=20)] | None]
    echo: NotRequired[bool | None]
    suffix: NotRequired[str | None]
    best_of: NotRequired[Annotated[int, Field(ge=1, le=20)] | None]


CHAT: TypeAdapter[ChatBody] = TypeAdapter(ChatBody)
COMPLETION: TypeAdapter[CompletionBody] = TypeAdapter(CompletionBody)


class FeedbackBody(TypedDict):
    """Body of `POST /v1/feedback`: how good an answer was."""

    __pydantic_config__ = ConfigDict(extra="forbid", strict=True)  # type: ignore[misc]
    request_id: Annotated[str, Field(min_length=1, max_length=128)]
    score: Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)]
    comment: NotRequired[Annotated[str, Field(max_length=4000)] | None]


FEEDBACK: TypeAdapter[FeedbackBody] = TypeAdapter(FeedbackBody)
