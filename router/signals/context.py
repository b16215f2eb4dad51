"""How long the prompt is, in estimated tokens. Knows no tokenizer: see `Prompt.tokens` for the estimate's error."""

from pydantic import Field, model_validator

from experts.spec import Frozen
from router.prompt import Prompt
from router.signals import Evaluate, Signal
from router.tools import Tools

COST = "cheap"
NEEDS: frozenset[str] = frozenset()
EXAMPLE = {"min_tokens": 4000}


class Params(Frozen):
    """A band of lengths, both ends included; at least one is needed."""

    min_tokens: int | None = Field(None, ge=0, description="shortest prompt that matches, in tokens")
    max_tokens: int | None = Field(None, ge=0, description="longest prompt that matches, in tokens")
    answer: bool = Field(False, description="whether the longest answer the request allows is added")

    @model_validator(mode="after")
    def _band(self) -> "Params":
        if self.min_tokens is None and self.max_tokens is None:
            raise ValueError("a context signal needs min_tokens, max_tokens or both")
        if self.min_tokens is not None and self.max_tokens is not None and self.min_tokens > self.max_tokens:
            raise ValueError(f"min_tokens {self.min_tokens} is above max_tokens {self.max_tokens}: nothing can match")
        return self


def build(params: Params, tools: Tools) -> Evaluate:
    """The signal's value and count are the estimated tokens of the whole prompt, every turn and tool included."""
    least = params.min_tokens or 0
    most = float("inf") if params.max_tokens is None else params.max_tokens

    def evaluate(prompt: Prompt) -> Signal:
        tokens = prompt.tokens + (prompt.max_tokens or 0 if params.answer else 0)
        return Signal(least <= tokens <= most, value=tokens, count=tokens)

    return evaluate
