"""Labels by example: a file of labelled texts, of which the nearest decide. Knows only those examples.

The file is JSON, `{"labels": {name: {"exemplars": [text, …]}}}`, as vLLM Semantic Router's knowledge bases are.
"""

import json
from pathlib import Path
from typing import Literal

from pydantic import ConfigDict, Field

from experts.errors import ConfigError
from experts.spec import Frozen
from router import reading
from router.prompt import Prompt, Scope
from router.signals import EvaluateLater, Signal
from router.tools import Tools

COST = "neural"
NEEDS = frozenset({"embedding"})
EXAMPLE = {"labels": {"refund": ["I want my money back"], "delivery": ["Where is my parcel?"]}}


class Params(Frozen):
    """It matches if the label is one of `in` (any, if left out) and its examples are near enough."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    file: str | None = Field(None, description="the file of labelled examples, seen from the policy's folder")
    labels: dict[str, tuple[str, ...]] = Field({}, description="label → examples, instead of or beside a file")
    among: tuple[str, ...] = Field((), alias="in", description="labels that match; none: every label")
    nearest: int = Field(
        3, ge=1, le=50, description="a label's cosine is the mean over so many of its nearest examples"
    )
    match: Literal["best", "any"] = Field(
        "best", description="what must be one of `in`: the nearest label, or any label that is near enough"
    )
    threshold: float = Field(0.3, ge=-1, le=1, description="cosine below which no label fits")
    scope: Scope = Field("user", description="which text is read: user, last, given, system, conversation or all")


def build(params: Params, tools: Tools) -> EvaluateLater:
    """The signal's label is the nearest one (with `match: any` the nearest of `in`), None where it is not near enough;
    value and confidence are its cosine (the confidence at least 0). Raises `ConfigError` where the file cannot be used or `in` has other labels."""
    import numpy as np

    examples = {**_read(params.file, tools.folder), **params.labels}
    if not any(examples.values()):
        raise ConfigError("there are no labelled examples", remedy="Give file, labels or both.")
    if strangers := [label for label in params.among if label not in examples]:
        raise ConfigError(f"in: there is no label {strangers[0]!r}", remedy=f"Labels: {', '.join(examples)}.")
    embedder, scope, wanted = reading.embedder_of(tools), params.scope, frozenset(params.among)
    told = [(label, text) for label, texts in examples.items() for text in texts]
    vectors = reading.exemplars(embedder, [text for _, text in told])
    places = {
        label: [at for at, (name, _) in enumerate(told) if name == label]
        for label in examples
        if examples[label] and (params.match == "best" or not wanted or label in wanted)
    }
    if not places:
        raise ConfigError(f"in: the labels {', '.join(params.among)} have no examples", remedy="Add some to the file.")

    async def evaluate(prompt: Prompt) -> Signal:
        text = prompt.text(scope)
        if not text.strip():
            return Signal(False, confidence=0.0)
        found = await reading.similarities(embedder, text, vectors)
        means = {label: float(np.sort(found[at])[-params.nearest :].mean()) for label, at in places.items()}
        label, value = reading.best(means)
        confidence = min(1.0, max(0.0, value))
        if value < params.threshold:
            return Signal(False, value=round(value, 4), confidence=confidence)
        return Signal(not wanted or label in wanted, value=round(value, 4), label=label, confidence=confidence)

    return evaluate


def _read(file: str | None, folder: Path) -> dict[str, tuple[str, ...]]:
    if file is None:
        return {}
    path = folder / Path(file).expanduser()
    try:
        labels = json.loads(path.read_text(encoding="utf-8"))["labels"]
        return {label: tuple(map(str, told["exemplars"])) for label, told in labels.items()}
    except OSError as error:
        raise ConfigError(f"the labelled examples cannot be read: {error.strerror}", file=str(path)) from None
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise ConfigError(
            f"these are no labelled examples: {type(error).__name__}: {error}",
            file=str(path),
            remedy='Write {"labels": {"name": {"exemplars": ["a text"]}}}.',
        ) from None
