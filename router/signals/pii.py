"""Personal data and secrets in the text: e-mail, phone, card, IBAN, SSN, IP, MAC, keys and passwords, names, firms, hosts.

Knows patterns, check digits, numbering plans, lists of names and the words around; no meanings: the name of anybody is a
name, the famous too. `router/pii/` holds a recognizer a kind; docs/benchmarks.md says how well each finds it.
"""

from pydantic import Field

from experts.spec import Frozen
from router.pii import KINDS, Kind, find, recognizer
from router.prompt import Prompt, Scope
from router.signals import Evaluate, Signal
from router.tools import Tools

COST = "cheap"
NEEDS: frozenset[str] = frozenset()
EXAMPLE = {"kinds": ["email", "card", "iban"]}


class Params(Frozen):
    """It matches if any of the kinds is found surely enough."""

    kinds: tuple[Kind, ...] = Field(KINDS, min_length=1, description="what is looked for; default: all kinds")
    threshold: float = Field(0.5, gt=0, le=1, description="how sure a find must be, in 0..1, to count")
    scope: Scope = Field(
        "given",
        description="which text is read: user, last, given (user turns and results of tools), system, conversation or all",
    )


def build(params: Params, tools: Tools) -> Evaluate:
    """The signal's value is the kinds found, in order; its confidence that of the surest find, 0 without any; its detail
    the spans in the scope's text. Loads lists and plans."""
    kinds, threshold, scope = tuple(dict.fromkeys(params.kinds)), params.threshold, params.scope
    for kind in kinds:
        recognizer(kind)

    def evaluate(prompt: Prompt) -> Signal:
        spans = tuple(find(prompt.text(scope), kinds, min_score=threshold))
        found = tuple(dict.fromkeys(span.kind for span in spans))
        sure = max((span.score for span in spans), default=0.0)
        return Signal(bool(spans), value=found, confidence=sure, count=len(spans), detail=spans)

    return evaluate
