"""Likeness in meaning to texts that the policy gives. Knows no labels: see `preference` and `kb` for those."""

from typing import Literal

from pydantic import Field

from experts.spec import Frozen
from router import reading
from router.prompt import Prompt, Scope
from router.signals import EvaluateLater, Signal
from router.tools import Tools

COST = "neural"
NEEDS = frozenset({"embedding"})
EXAMPLE: dict[str, object] = {"candidates": ["How do I reset my password?", "I cannot log in"]}


class Params(Frozen):
    """It matches if the text is at least `threshold` alike to the candidates."""

    candidates: tuple[str, ...] = Field(min_length=1, description="texts in whose meaning the request is compared")
    against: tuple[str, ...] = Field(
        (), description="texts of the opposite: the cosine with the nearest of them is taken off each candidate's"
    )
    threshold: float = Field(
        0.5,
        ge=-1,
        le=1,
        description="cosine from which it matches; unrelated texts have about 0.1, paraphrases 0.7; with `against` the "
        "difference, where 0.1 is much",
    )
    over: Literal["max", "mean", "any"] = Field(
        "max", description="what is compared with the threshold: the best candidate's cosine, the mean, or each (any)"
    )
    scope: Scope = Field("user", description="which text is read: user, last, given, system, conversation or all")


def build(params: Params, tools: Tools) -> EvaluateLater:
    """The signal's value is the cosine that was compared (the best one for `any`; with `against` the difference), its
    count the candidates that reach the threshold, its confidence the value, at least 0."""
    embedder, scope, number = reading.embedder_of(tools), params.scope, len(params.candidates)
    vectors = reading.exemplars(embedder, [*params.candidates, *params.against])

    async def evaluate(prompt: Prompt) -> Signal:
        text = prompt.text(scope)
        if not text.strip():
            return Signal(False, value=0.0, confidence=0.0, count=0)
        found = await reading.similarities(embedder, text, vectors)
        if params.against:
            found = found[:number] - found[number:].max()
        reached = int((found >= params.threshold).sum())
        value = float(found.mean() if params.over == "mean" else found.max())
        matched = value >= params.threshold if params.over == "mean" else reached > 0
        return Signal(matched, value=round(value, 4), confidence=min(1.0, max(0.0, value)), count=reached)

    return evaluate
