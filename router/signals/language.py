"""The natural language of the text, by py3langid (a naive Bayes model over byte n-grams; Lui and Baldwin 2012).

Knows no more than its 139 languages, and little of very short texts: `min_confidence` is for those. The model (79 MB of
memory, half a second to load) is read when the first policy that uses it is built, once a process.
"""

from collections.abc import Callable
from functools import lru_cache

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
"""Read of a text: 50 µs here, 150 µs for 2,000. On messages of one program in 65 languages the answer was right for
95% of pieces of 400 characters (97% of 2,000; 90% of 80; 71% of 20, and 88% of the two thirds that pass 0.3)."""


class Params(Frozen):
    """It matches if the language is one of `in` (any language, if `in` is left out) with enough confidence."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    languages: tuple[str, ...] = Field((), alias="in", description="ISO 639 codes that match; none: every language")
    min_confidence: float = Field(0.3, ge=0, le=1, description="below it the language counts as not known")
    scope: Scope = Field("user", description="which text is read: user, last, system, conversation or all")


def build(params: Params, tools: Tools) -> Evaluate:
    """The signal's label is the ISO 639 code, None where not known; its confidence is the model's probability.

    Raises `ConfigError` for codes that the model does not know. Blocks for half a second the first time.
    """
    classify, known = _model()
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
def _model() -> tuple[Callable[[str], tuple[str, float]], frozenset[str]]:
    from py3langid.langid import MODEL_FILE, LanguageIdentifier

    identifier = LanguageIdentifier.from_model_file(MODEL_FILE, norm_probs=True)
    return identifier.classify, frozenset(identifier.labels)
