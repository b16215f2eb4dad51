"""`Route`: what was decided for one request, and why. Knows nothing of how it was decided.

Raw facts are kept and words are made of them only when `trace` is asked, as most requests never ask.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from router.card import Card
from router.contest import Constraint, Contender
from router.kleene import because
from router.look import Look
from router.predicted import EMBEDDED
from router.screen import barred
from router.selectors import Score
from router.session import TOLD, Kept
from router.signals import Signal
from router.spec import Choice, PluginChoice, Requirement

DIRECT = "direct"
"""The decision's name where the client named an expert itself."""
REFUSED = "refused"
"""The decision's name where a constraint refuses the request."""


@dataclass(frozen=True, slots=True)
class Story:
    """What a trace is told from."""

    look: Look
    signals: tuple[str, ...]
    constraints: Sequence[Constraint]
    contenders: Sequence[Contender]
    winner: Contender | None
    demands: Sequence[Constraint]
    cards: Mapping[str, Card]
    allowed: Callable[[str], bool] | None
    by_confidence: bool
    selector: str | None
    kept: Kept | None = None


@dataclass(frozen=True, slots=True)
class Route:
    """Whom to ask, in order, and how.

    `experts` is never empty unless `refuse` is set: the text to answer with, no model called. `dropped` are those of
    the decision that cannot serve this request, with the reason; `unhealthy` those that could but are not well: they
    come last in `experts`, so that a caller may wait for them, and where all are there none is healthy. `propensity`
    is the probability with which the selector puts first whom it did, for learning from the log.
    """

    policy: str
    decision: str
    experts: tuple[Score, ...]
    strategy: Choice
    plugins: tuple[PluginChoice, ...]
    propensity: float
    dropped: Mapping[str, str]
    unhealthy: Mapping[str, str]
    refuse: str | None
    constraint: str | None
    story: Story

    @property
    def kept(self) -> Kept | None:
        """Why the request stays with the expert of its conversation; None where it was routed by its signals."""
        return self.story.kept

    @property
    def signals(self) -> Mapping[str, Signal]:
        """The signals that were computed."""
        return self.story.look.known

    def permits(self, expert: str, also: Sequence[Constraint] = ()) -> str | None:
        """None if the constraints and the key let this request's text reach an expert, else why not.

        To be asked of whomever a strategy calls beyond `experts`: an aggregator, a judge, the solver of a sub-task.
        `also` are constraints that hold for what else that expert would read (`Policy.bounds`).
        """
        card = self.story.cards.get(expert)
        if card is None:
            return "there is no such expert"
        if self.refuse is not None:
            return f"the constraint {self.constraint!r} refuses the request"
        drop = barred(card, (*self.story.demands, *also), self.story.allowed)
        return None if drop is None else drop.why

    def keeps_text_here(self, expert: str) -> bool:
        """Whether an expert keeps what it reads on this machine; False for one that is not known."""
        card = self.story.cards.get(expert)
        return card is not None and card.capabilities.local

    def embedding(self) -> bytes | None:
        """The vector that the request was routed by, float32 little-endian, where a learned selector made one."""
        vector = self.story.look.prompt.recall(EMBEDDED)
        return vector.astype("<f4").tobytes() if vector is not None else None

    def features(self) -> dict[str, Any]:
        """What may be kept of this request to learn from: labels and numbers, none of its words."""
        prompt = self.story.look.prompt
        return {
            "tokens": prompt.tokens,
            "turns": len(prompt.messages),
            "needs": sorted(prompt.needs),
            "first": self.experts[0].expert if self.experts else None,
            "signals": {
                name: {
                    "matched": signal.matched,
                    "label": signal.label,
                    "confidence": round(signal.confidence, 4),
                    "value": signal.value if isinstance(signal.value, int | float) else None,
                    "count": signal.count,
                }
                for name, signal in self.signals.items()
            },
        }

    def trace(self) -> dict[str, Any]:
        """Every signal, constraint and decision, and why each won or lost; JSON-able. Shape: docs of `/v1/route`."""
        story = self.story
        trace: dict[str, Any] = {
            "policy": self.policy,
            "decision": self.decision,
            "experts": [{"name": s.expert, "score": s.score, "why": s.why} for s in self.experts],
            "strategy": _choice(self.strategy),
            "select": story.selector,
            "session": story.kept,
            "signals": {name: self._signal(name) for name in story.signals},
            "constraints": [self._constraint(constraint) for constraint in story.constraints],
            "decisions": [self._decision(contender) for contender in story.contenders],
            "dropped": dict(self.dropped),
            "unhealthy": dict(self.unhealthy),
            "propensity": self.propensity,
            "ms": _ms(story.look.total_s),
        }
        if self.refuse is not None:
            trace["refuse"] = {"constraint": self.constraint, "text": self.refuse}
        return trace

    def _signal(self, name: str) -> dict[str, Any]:
        look = self.story.look
        signal = look.known.get(name)
        doubt = look.experimental(name)
        doubted = {} if doubt is None else {"experimental": doubt}
        if signal is None:
            return dict.fromkeys(("matched", "value", "label", "confidence", "ms")) | {"computed": False} | doubted
        value = list(signal.value) if isinstance(signal.value, tuple | set | frozenset) else signal.value
        told = {
            "computed": True,
            "matched": signal.matched,
            "value": value,
            "label": signal.label,
            "confidence": round(signal.confidence, 4),
            "ms": _ms(look.seconds.get(name, 0.0)),
        } | doubted
        if name in look.failures:
            told["error"] = look.failures[name]
        return told

    def _constraint(self, constraint: Constraint) -> dict[str, Any]:
        see = self.story.look.known.get
        matched = constraint.condition.truth(see)
        why = because(constraint.condition.rule, see) if constraint.condition.rule is not None else "it always holds"
        if matched is None:
            why = f"not settled: {self.constraint!r} refuses already"
        effect = "refuse" if constraint.refuse is not None else _requirement(constraint.require)
        return {"name": constraint.name, "matched": matched, "why": why, "effect": effect}

    def _decision(self, contender: Contender) -> dict[str, Any]:
        see = self.story.look.known.get
        matched = contender.condition.truth(see)
        return {"name": contender.spec.name, "matched": matched, "why": self._why(contender, matched)}

    def _why(self, contender: Contender, matched: bool | None) -> str:
        story, rule = self.story, contender.condition.rule
        see = story.look.known.get
        if story.winner is None:
            if self.refuse is not None:
                return f"not reached: the constraint {self.constraint!r} refuses the request"
            return "not asked: the client named the expert"
        if story.kept is not None:
            whose = "it answered before" if contender is story.winner else f"stays with {self.decision}"
            return f"{whose}: {TOLD[story.kept]}"
        if contender is story.winner:
            return f"won: {because(rule, see) if rule is not None else 'it always holds'}"
        if matched is False and rule is not None:
            return because(rule, see)
        if matched is None:
            return f"not reached: {self.decision} won before"
        if not story.by_confidence or contender.spec.tier != story.winner.spec.tier:
            return f"outranked by {self.decision}"
        ours, theirs = contender.condition.confidence(see)[0], story.winner.condition.confidence(see)[0]
        return f"outranked by {self.decision} (confidence {theirs:.3g}, here {ours:.3g})"


def _choice(choice: Choice) -> dict[str, Any]:
    return {"type": choice.type, **choice.params.model_dump(mode="json")}


def _requirement(require: Requirement | None) -> str:
    given = require.model_dump(exclude_defaults=True) if require is not None else {}
    return "require " + ", ".join(f"{key}: {_plain(value)}" for key, value in given.items())


def _plain(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    return ", ".join(value) if isinstance(value, tuple) else str(value)


def _ms(seconds: float) -> float:
    return round(seconds * 1e3, 4)
