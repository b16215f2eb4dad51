"""The wire types of `POST /v1/embeddings`. Knows nothing of how texts become vectors."""

from typing import Annotated, Literal, NotRequired

from pydantic import ConfigDict, Field, TypeAdapter, ValidationError
from typing_extensions import TypedDict

from api.errors import invalid
from experts.errors import InputError
from router.embed import DIMENSIONS

_Text = Annotated[str, Field(min_length=1)]


class EmbeddingsBody(TypedDict):
    """Body of `POST /v1/embeddings`."""

    __pydantic_config__ = ConfigDict(extra="allow", strict=True)  # type: ignore[misc]
    model: Annotated[str, Field(min_length=1, max_length=256)]
    input: _Text | Annotated[list[_Text], Field(min_length=1)]
    encoding_format: NotRequired[Literal["float", "base64"] | None]
    dimensions: NotRequired[Literal[384] | None]
    user: NotRequired[str | None]


assert DIMENSIONS == 384, "Literal takes no variable"

EMBEDDINGS: TypeAdapter[EmbeddingsBody] = TypeAdapter(EmbeddingsBody)


def refusal(error: ValidationError) -> InputError:
    """What is wrong with a body; token ids, which some clients send by default, with what to do about them."""
    given = next((one["input"] for one in error.errors(include_url=False) if one["loc"][:1] == ("input",)), None)
    first = given[0] if isinstance(given, list) and given else None
    if isinstance(first, int | list) and not isinstance(first, bool):
        return InputError(
            "input must be text; token ids were given, which belong to another model's tokenizer.",
            remedy="Send the text itself (langchain-openai: OpenAIEmbeddings(check_embedding_ctx_length=False)).",
            param="input",
            code="unsupported_parameter",
        )
    return invalid(error)
