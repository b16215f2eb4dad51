"""Who may serve a request and can: every expert that cannot is dropped with its reason. Knows nothing of signals.

The order of the questions is: may the key use it, does it keep the constraints, has it the features, is its context
long enough. Where nobody is left, the error is that of the expert that came furthest.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, NoReturn, TypeAlias

from experts.errors import ConstraintError, ContextLengthError, ForbiddenError, UnsupportedError
from router.card import Card
from router.contest import Constraint
from router.prompt import Prompt
from router.spec import Requirement

Stage: TypeAlias = Literal["key", "constraint", "feature", "context"]
_STAGES: tuple[Stage, ...] = ("key", "constraint", "feature", "context")


@dataclass(frozen=True, slots=True)
class Drop:
    """An expert that cannot serve: at which question it fell, why in words, and the request's parameter at fault."""

    expert: str
    stage: Stage
    why: str
    param: str | None = None


def obstacle(
    card: Card, prompt: Prompt, demands: Sequence[Constraint], allowed: Callable[[str], bool] | None
) -> Drop | None:
    """Why an expert cannot serve this prompt, or None if it can, as far as one can know before asking it."""
    if (drop := barred(card, demands, allowed)) is not None:
        return drop
    if not prompt.features <= card.capabilities.features:
        lacking = next(feature for feature in prompt.needs if feature not in card.capabilities.features)
        param = prompt.needs[lacking]
        return Drop(card.name, "feature", f"it cannot do {lacking}, which {param} asks for", param)
    room = card.capabilities.context_tokens
    if room is None or prompt.least_tokens + (prompt.max_tokens or 0) <= room:
        return None
    why = f"its context holds {room:,} tokens, the prompt has about {prompt.tokens:,}"
    if prompt.least_tokens > room:
        return Drop(card.name, "context", why, "messages" if "chat" in prompt.needs else "prompt")
    return Drop(
        card.name, "context", f"{why} and {prompt.max_tokens_param} is {prompt.max_tokens:,}", prompt.max_tokens_param
    )


def barred(card: Card, demands: Sequence[Constraint], allowed: Callable[[str], bool] | None) -> Drop | None:
    """Why an expert may not see a request at all, whatever it asks for."""
    if allowed is not None and not allowed(card.name):
        return Drop(card.name, "key", "this key may not use it")
    for constraint in demands:
        if constraint.require is not None and (why := lacks(card, constraint.require)) is not None:
            return Drop(card.name, "constraint", f"{why}, which the constraint {constraint.name!r} demands")
    return None


def lacks(card: Card, require: Requirement) -> str | None:
    """What an expert lacks of a requirement, in words, or None."""
    if require.local is not None and card.capabilities.local is not require.local:
        return "it does not keep the text on this machine" if require.local else "it is not remote"
    if missing := [tag for tag in require.tags if tag not in card.tags]:
        return f"it has not the tag {missing[0]!r}"
    if require.experts and card.name not in require.experts:
        return f"it is none of {', '.join(require.experts)}"
    if require.max_price is not None and card.price.output > require.max_price:
        return f"its output price {card.price.output:g} is above {require.max_price:g} USD per million tokens"
    return None


def tight(card: Card, prompt: Prompt) -> str | None:
    """Why a prompt may yet prove too long for an expert that was not dropped, or None."""
    room = card.capabilities.context_tokens
    if room is None or prompt.tokens + (prompt.max_tokens or 0) <= room:
        return None
    return f"the prompt (about {prompt.tokens:,} tokens) may not fit its context of {room:,}"


def reject(drops: Sequence[Drop], where: str) -> NoReturn:
    """Raise what it means that all of these, the experts of `where`, were dropped."""
    furthest = max(_STAGES.index(drop.stage) for drop in drops)
    stage = _STAGES[furthest]
    param = next(drop.param for drop in drops if drop.stage == stage)
    # What a key may not use it need not hear about either.
    told = "; ".join(f"{drop.expert}: {drop.why}" for drop in drops if drop.stage != "key")
    message = f"no expert of {where} can answer this request" + (f" ({told})" if told else "")
    match stage:
        case "key":
            raise ForbiddenError(
                f"this key may not use {where}", param="model", remedy="Use a key that may, or another model."
            )
        case "constraint":
            raise ConstraintError(message, remedy="The policy forbids it for this request; another request may pass.")
        case "feature":
            raise UnsupportedError(message, param=param, remedy=f"Leave {param} out, or ask for a model that has it.")
        case "context":
            remedy = "Shorten the prompt" if param in ("messages", "prompt") else f"Ask for fewer {param}"
            raise ContextLengthError(
                message, param=param, remedy=f"{remedy}, or ask for a model with a longer context."
            )


@dataclass(frozen=True, slots=True)
class Lineup:
    """The experts of a decision, sorted: among `first` the selector chooses; `later` follow in any case, each with
    why; `drops` cannot serve; `unhealthy` could, but are not well: they are among `later`, or `first` if all are."""

    first: Sequence[Card]
    later: Sequence[tuple[str, str]]
    drops: Sequence[Drop]
    unhealthy: Mapping[str, str]

    def led_by(self, card: Card) -> "Lineup":
        """The same with an expert among `first` that is later only as the prompt may prove too long for it."""
        if card.name in self.unhealthy or all(name != card.name for name, _ in self.later):
            return self
        later = [(name, why) for name, why in self.later if name != card.name]
        return Lineup([card, *self.first], later, self.drops, self.unhealthy)


def muster(
    cards: Iterable[Card],
    prompt: Prompt,
    demands: Sequence[Constraint],
    allowed: Callable[[str], bool] | None,
    healthy: Callable[[str], str | None],
) -> Lineup:
    """Sort the experts of a decision: first the well ones, then those whose context may prove too short, then the
    unhealthy; the first of these groups that has anybody is `first`, which is empty only if all were dropped."""
    well: list[Card] = []
    narrow: list[tuple[Card, str]] = []
    ill: list[tuple[Card, str]] = []
    drops: list[Drop] = []
    for card in cards:
        if (drop := obstacle(card, prompt, demands, allowed)) is not None:
            drops.append(drop)
        elif (why := healthy(card.name)) is not None:
            ill.append((card, why))
        elif (why := tight(card, prompt)) is not None:
            narrow.append((card, why))
        else:
            well.append(card)
    later = [*narrow, *ill]
    if not well and later:
        leaders = narrow or ill
        well, later = [card for card, _ in leaders], later[len(leaders) :]
    return Lineup(well, [(card.name, why) for card, why in later], drops, {card.name: why for card, why in ill})
