"""`Prompt`: what the router may see of a request, and `needs`: what the request asks of an engine.

Knows nothing of HTTP, keys or models: who the caller is comes in as arguments, never out of the body or the headers.
It is built for every request, so it copies little and works out the rest when first asked.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Literal, NamedTuple, TypeAlias, TypeVar, cast

import orjson

from experts.spec import Feature

Scope: TypeAlias = Literal["user", "last", "given", "system", "conversation", "all"]
"""Which text a signal reads: `user` every user turn; `last` the last user turn; `given` user turns and what tools returned,
which may hold anything and is what guards read; `system` system and developer
messages; `conversation` everything but those; `all` everything. Turns are joined by a line break."""

TOKENS_PER_CHARACTER = 0.28
TOKENS_PER_EXTRA_BYTE = 0.30
"""Fitted to the tokenizers cl100k, o200k, Qwen, DeepSeek and Anthropic (v2) on prompts, code, JSON and 69 translations
of one program's messages; see `Prompt.tokens` for the error."""
OVERESTIMATE = 1.7
"""On those texts the estimate was never more than this many times the true count."""
TOKENS_PER_MESSAGE = 4
TOKENS_PER_IMAGE = 256
"""An assumption: models differ from 85 to several thousand tokens for one image."""

_HIDDEN_HEADERS = frozenset({"authorization", "proxy-authorization", "cookie", "x-api-key", "api-key"})
_T = TypeVar("_T")


class Message(NamedTuple):
    """One message, reduced: `text` of its text parts, names of the tools it calls, number of image and audio parts."""

    role: str
    text: str
    calls: tuple[str, ...] = ()
    images: int = 0
    audio: int = 0


@dataclass(frozen=True, eq=False)
class Prompt:
    """The router's view of one request. `user`, `tenant` and `roles` are those of the API key.

    `needs` maps every feature the request uses to the parameter that asks for it; `max_tokens` is the longest
    answer asked for, None where the request sets none, and `max_tokens_param` the parameter that sets it.
    """

    messages: tuple[Message, ...]
    model: str = ""
    metadata: Mapping[str, Any] = field(default_factory=dict)
    user: str = ""
    tenant: str = ""
    roles: tuple[str, ...] = ()
    tools: tuple[str, ...] = ()
    needs: Mapping[str, str] = field(default_factory=dict)
    max_tokens: int | None = None
    max_tokens_param: str = "max_tokens"
    raw_headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    tool_schemas: Sequence[Any] = field(default=(), repr=False)
    token_counts: tuple[int, ...] = ()
    _memo: dict[Any, Any] = field(default_factory=dict, repr=False)

    @classmethod
    def from_chat(
        cls,
        body: Mapping[str, Any],
        *,
        headers: Mapping[str, str] | None = None,
        user: str = "",
        tenant: str = "",
        roles: Sequence[str] = (),
    ) -> "Prompt":
        """The view of a chat body, or of a completions body (one with `prompt` and no `messages`).

        The API has checked the types; what it lets through in odd shapes counts as empty here. Never blocks.
        """
        counts: tuple[int, ...] = ()
        if "messages" in body:
            messages = tuple(_message(message) for message in body["messages"] or ())
        else:
            texts, counts = _prompt(body.get("prompt"))
            messages = tuple(Message("user", text) for text in texts)
        metadata = body.get("metadata")
        schemas = body.get("tools") or body.get("functions") or ()
        limit_param = "max_completion_tokens" if body.get("max_completion_tokens") is not None else "max_tokens"
        return cls(
            messages=messages,
            model=body.get("model") or "",
            metadata=metadata if isinstance(metadata, Mapping) else {},
            user=user,
            tenant=tenant,
            roles=tuple(roles),
            tools=_tool_names(schemas) if schemas else (),
            needs=_needs(body, "messages" in body, any(m.images for m in messages), any(m.audio for m in messages)),
            max_tokens=body.get(limit_param),
            max_tokens_param=limit_param,
            raw_headers=headers if headers is not None else {},
            tool_schemas=schemas,
            token_counts=counts,
        )

    @cached_property
    def headers(self) -> Mapping[str, str]:
        """Request headers under lower-case names, without those that carry secrets."""
        lower = ((name.lower(), value) for name, value in self.raw_headers.items())
        return {name: value for name, value in lower if name not in _HIDDEN_HEADERS}

    @cached_property
    def user_text(self) -> str:
        """Every user turn: a conversation is judged as a whole, not by its last line."""
        return "\n".join([m.text for m in self.messages if m.role == "user"])

    @cached_property
    def last_text(self) -> str:
        """The last user turn."""
        return next((m.text for m in reversed(self.messages) if m.role == "user"), "")

    @cached_property
    def given_text(self) -> str:
        """What came from outside: every user turn, and every result of a tool."""
        return "\n".join([m.text for m in self.messages if m.role in ("user", "tool", "function")])

    @cached_property
    def system_text(self) -> str:
        """System and developer messages."""
        return "\n".join([m.text for m in self.messages if m.role in ("system", "developer")])

    @cached_property
    def conversation_text(self) -> str:
        """Everything said by user, assistant and tools."""
        return "\n".join([m.text for m in self.messages if m.role not in ("system", "developer")])

    @cached_property
    def all_text(self) -> str:
        """Every message."""
        return "\n".join([m.text for m in self.messages])

    def text(self, scope: Scope) -> str:
        """The text of a scope."""
        return str(getattr(self, f"{scope}_text"))

    def data(self, scope: Scope) -> bytes:
        """The text of a scope in UTF-8, encoded once; lone surrogates become `?`."""
        return self.memo(("data", scope), lambda: self.text(scope).encode("utf-8", "replace"))

    def memo(self, key: object, make: Callable[[], _T]) -> _T:
        """`make()`, once per prompt and key: signals of one type share their work on a prompt.

        A key is a tuple that starts with the name of the module that owns it.
        """
        try:
            return self._memo[key]  # type: ignore[no-any-return]
        except KeyError:
            made = self._memo[key] = make()
            return made

    def recall(self, key: object) -> Any:
        """What `memo` has kept under this key, or None."""
        return self._memo.get(key)

    @cached_property
    def tokens(self) -> int:
        """Estimated length of the prompt in tokens, tool schemas, images and the chat template's marks included.

        0.28 per character and 0.30 more per UTF-8 byte beyond one a character: no tokenizer is asked, as each expert
        has its own. Measured as estimate / true count over 75 texts and the five tokenizers named above: 0.88 in the
        median, 0.62 to 1.27 for nine in ten, 0.31 (Armenian) to 1.65 (Russian) at the extremes; English prompts and
        code 1.11 to 1.23. Where the request gives token ids they are counted; several prompts of one completions
        request are separate calls, so the longest counts.
        """
        if self.token_counts:
            return max(self.token_counts)
        total = 0.0
        for message in self.messages:
            total += estimate(message.text) + TOKENS_PER_MESSAGE + TOKENS_PER_IMAGE * message.images
        if self.tool_schemas:
            total += TOKENS_PER_CHARACTER * len(orjson.dumps(self.tool_schemas, default=str))
        return int(total)

    @cached_property
    def least_tokens(self) -> int:
        """A length in tokens that the prompt hardly falls short of: what may be held against a client."""
        return max(self.token_counts) if self.token_counts else int(self.tokens / OVERESTIMATE)

    @cached_property
    def features(self) -> frozenset[str]:
        """The keys of `needs`."""
        return frozenset(self.needs)


def estimate(text: str) -> float:
    """Estimated tokens of a text; see `Prompt.tokens` for rule and error."""
    characters = len(text)
    if text.isascii():
        return TOKENS_PER_CHARACTER * characters
    extra = len(text.encode("utf-8", "surrogatepass")) - characters
    return TOKENS_PER_CHARACTER * characters + TOKENS_PER_EXTRA_BYTE * extra


def needs(body: Mapping[str, Any], path: Literal["chat/completions", "completions"]) -> dict[str, str]:
    """What a request asks of an engine beyond its text: each feature and the parameter that asks for it."""
    images = audio = 0
    for message in body.get("messages") or ():
        if isinstance(message, Mapping) and isinstance(message.get("content"), list):
            _, more_images, more_audio = _parts(message["content"])
            images += more_images
            audio += more_audio
    return _needs(body, path == "chat/completions", images > 0, audio > 0)


def _needs(body: Mapping[str, Any], chat: bool, images: bool, audio: bool) -> dict[str, str]:
    found: dict[Feature, str] = {"chat": "messages"} if chat else {"completions": "prompt"}
    get = body.get
    if get("tools"):
        found["tools"] = "tools"
    elif get("functions"):
        found["tools"] = "functions"
    form = get("response_format")
    if form is not None and isinstance(form, Mapping):
        if form.get("type") == "json_schema":
            found["json_schema"] = "response_format"
        elif form.get("type") == "json_object":
            found["json_object"] = "response_format"
    logprobs = get("logprobs")
    if logprobs is not None and logprobs is not False:  # 0 is a number of alternatives in /v1/completions
        found["logprobs"] = "logprobs"
    elif get("top_logprobs"):
        found["logprobs"] = "top_logprobs"
    if get("logsumexp"):
        found["logits"] = "logsumexp"
    if get("logit_bias"):
        found["logit_bias"] = "logit_bias"
    if get("seed") is not None:
        found["seed"] = "seed"
    if (get("n") or 1) > 1:
        found["n"] = "n"
    if get("echo"):
        found["echo"] = "echo"
    if get("suffix"):
        found["suffix"] = "suffix"
    if (get("best_of") or 1) > 1:
        found["best_of"] = "best_of"
    if get("web_search_options") is not None:
        found["web_search"] = "web_search_options"
    if images:
        found["images"] = "messages"
    if audio:
        found["audio"] = "messages"
    elif get("audio") is not None:
        found["audio"] = "audio"
    elif "audio" in (get("modalities") or ()):
        found["audio"] = "modalities"
    return cast(dict[str, str], found)


def _message(message: Mapping[str, Any]) -> Message:
    content, calls = message.get("content"), message.get("tool_calls")
    role = message.get("role") or ""
    if calls:
        names = tuple(_tool_names(calls))
    elif isinstance(legacy := message.get("function_call"), Mapping):
        names = (str(legacy.get("name") or ""),)
    else:
        names = ()
    if isinstance(content, str):
        return Message(role, content, names)
    if isinstance(content, list):
        text, images, audio = _parts(content)
        return Message(role, text, names, images, audio)
    return Message(role, "", names)


def _parts(content: Sequence[Any]) -> tuple[str, int, int]:
    """Text, number of images and number of audio clips of a list of content parts."""
    texts: list[str] = []
    images = audio = 0
    for part in content:
        if isinstance(part, str):
            texts.append(part)
        elif isinstance(part, Mapping):
            kind = part.get("type")
            if kind in ("image_url", "input_image", "image"):
                images += 1
            elif kind in ("input_audio", "audio"):
                audio += 1
            else:
                text = part.get("refusal") if kind == "refusal" else part.get("text")
                if isinstance(text, str):
                    texts.append(text)
    return "\n".join(texts), images, audio


def _tool_names(schemas: Sequence[Any]) -> tuple[str, ...]:
    """Names of declared tools or of tool calls, in the wire's forms old and new."""

    def names() -> Iterator[str]:
        for schema in schemas:
            if isinstance(schema, Mapping):
                inner = schema.get("function") or schema.get("custom") or schema
                yield str(inner.get("name") or "") if isinstance(inner, Mapping) else ""

    return tuple(names())


def _prompt(prompt: Any) -> tuple[tuple[str, ...], tuple[int, ...]]:
    """The texts of `prompt` (a string, strings, token ids or lists of them), and tokens where they can be counted
    one prompt at a time."""
    if isinstance(prompt, str):
        return (prompt,), ()
    if not isinstance(prompt, list) or not prompt:
        return (), ()
    if isinstance(prompt[0], int):
        return (), (len(prompt),)
    if isinstance(prompt[0], list):
        return (), tuple(len(tokens) for tokens in prompt if isinstance(tokens, list))
    texts = tuple(text for text in prompt if isinstance(text, str))
    return texts, tuple(int(estimate(text)) for text in texts) if len(texts) > 1 else ()
