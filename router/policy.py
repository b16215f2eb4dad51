"""`Policy`: from a prompt to a route. Knows nothing of HTTP or engines; health, chance and time are handed in.

    constraints → who wins → who can serve → who is best
    (judge)       (contest)   (screen)        (selector)

Signals are computed as the first two steps look at them, and no others.
"""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import cast

from experts import registry
from experts.errors import ConfigError, MadrigalError, NotFoundError
from experts.spec import Frozen
from router import compile as compiling
from router.card import Card, card_of
from router.compile import Chooser, Load
from router.contest import Bounds, Condition, Constraint, Contender, first, judge, surest
from router.look import Look, Source
from router.prompt import Message, Prompt
from router.route import DIRECT, REFUSED, Route, Story
from router.screen import Lineup, muster, reject
from router.selectors import Ask, Score, Select, Selection, SelectLater
from router.session import Kept, Previous, kept
from router.signals import EvaluateLater, Missing
from router.spec import Choice, DecisionSpec, PolicySpec
from router.stay import Stay
from router.tools import Tools

__all__ = ["Card", "Policy", "Route", "Tools", "card_of", "compile_policy"]

_GREETING = Prompt(tuple(Message(role, "hello") for role in ("system", "user", "assistant", "user")))
"""A prompt that has a text in every scope."""

SINGLE = Choice(type="single", params=Frozen())
"""The strategy for a model that the client named itself, unless another is given: one call."""


def compile_policy(
    spec: PolicySpec,
    experts: Mapping[str, Card],
    tools: Tools | None = None,
    *,
    direct: Choice = SINGLE,
    load: Load = registry.load,
) -> "Policy":
    """Check and build a policy. Raises `ConfigError` whose `key` is the place in the policy.

    `direct` is the strategy for models named directly; `load` finds the files of signals and selectors. May block
    for as long as its signals take to load their models.
    """
    tools = tools or Tools()
    sources = compiling.signals(spec.signals, tools, load)
    known = frozenset(sources)
    constraints = compiling.constraints(spec.constraints, known, experts)
    contenders = compiling.decisions(spec.decisions, known, experts)
    choosers = compiling.choosers(contenders, experts, tools, load)
    unless = Condition.of(spec.session.unless, known, "session.unless") if spec.session.unless is not None else None
    gates = compiling.gates(contenders, known)
    return Policy(spec, experts, sources, constraints, contenders, choosers, direct, unless, gates)


async def _tried(source: Source) -> None:
    try:
        await cast(EvaluateLater, source.evaluate)(_GREETING)
    except MadrigalError:
        raise
    except Exception as error:
        raise ConfigError(
            f"the signal {source.name!r} cannot be computed: {type(error).__name__}: {error}",
            key=f"signals.{source.name}",
        ) from error


class Policy:
    """A compiled policy; it has no state that a request could change, so any number may be routed at once."""

    def __init__(
        self,
        spec: PolicySpec,
        experts: Mapping[str, Card],
        sources: Mapping[str, Source],
        constraints: Sequence[Constraint],
        contenders: Sequence[Contender],
        choosers: Mapping[str, Chooser],
        direct: Choice,
        unless: Condition | None = None,
        gates: Mapping[str, tuple[Condition, ...]] = {},
    ) -> None:
        self.spec = spec
        self.name = spec.name
        self._experts = experts
        self._sources = sources
        self._signal_names = tuple(sources)
        self._constraints = constraints
        self._contenders = contenders
        self._choosers = choosers
        self._direct = direct
        self._unless = unless
        self._gates = gates
        self._by_confidence = spec.order == "confidence"
        tiers = dict.fromkeys(contender.spec.tier for contender in contenders)
        self._tiers = [[c for c in contenders if c.spec.tier == tier] for tier in tiers]

    @property
    def neural(self) -> bool:
        """Whether a signal or a selector of it asks the embedder."""
        return any(s.cost == "neural" for s in self._sources.values()) or any(
            chooser.neural for chooser in self._choosers.values()
        )

    @property
    def experimental(self) -> Mapping[str, str]:
        """Signals whose answers are not vouched for, and why."""
        return {name: s.experimental for name, s in self._sources.items() if s.experimental is not None}

    async def warm(self) -> None:
        """Compute every neural signal once, so that what it compares with is embedded before the first request.

        Raises `ConfigError` that names a signal which fails, whatever its `on_error`: nothing stands in for one that
        cannot run.
        """
        neural = [source for source in self._sources.values() if source.cost == "neural"]
        await asyncio.gather(*map(_tried, neural))

    async def route(
        self,
        prompt: Prompt,
        *,
        healthy: Callable[[str], str | None],
        random: Callable[[], float],
        clock: Callable[[], float],
        only: str | None = None,
        allowed: Callable[[str], bool] | None = None,
        previous: Previous | None = None,
    ) -> Route:
        """Decide for one request. Waits only where a neural signal or selector must be computed.

        `healthy` says None, or why an expert is not well; `random` gives numbers in [0, 1), `clock` seconds. `only`
        names an expert directly: no decision is asked, every constraint holds. `allowed` says which experts the
        caller's key may use; None: all. `previous` is who answered the conversation before, for `session`.

        Raises `UnsupportedError`, `ContextLengthError`, `ConstraintError` or `ForbiddenError` if the experts of the
        winning decision cannot or may not serve the request (the next decision is never taken instead: what a policy
        says holds), `NotFoundError` if there is no expert `only`, `ExpertError` if a signal that must not fail does.
        """
        look = self._look(prompt, clock, only)
        stay = self._stay(prompt, previous) if previous is not None and only is None else None
        while isinstance(settled := self._settle(look, only, stay), frozenset):
            await look.compute(settled)
        draft = self._draft(look, *settled, healthy, random, clock, only, allowed)
        if isinstance(draft, Route):
            return draft
        select = draft.chooser.select
        if draft.chooser.neural:
            return self._finish(draft, await cast(SelectLater, select)(draft.ask))
        return self._finish(draft, cast(Select, select)(draft.ask))

    def route_now(
        self,
        prompt: Prompt,
        *,
        healthy: Callable[[str], str | None],
        random: Callable[[], float],
        clock: Callable[[], float],
        only: str | None = None,
        allowed: Callable[[str], bool] | None = None,
        previous: Previous | None = None,
    ) -> Route | None:
        """`route` without an event loop; None where a neural signal or selector would have to be computed."""
        look = self._look(prompt, clock, only)
        stay = self._stay(prompt, previous) if previous is not None and only is None else None
        settled = self._settle(look, only, stay)
        if isinstance(settled, frozenset):
            return None
        draft = self._draft(look, *settled, healthy, random, clock, only, allowed)
        if isinstance(draft, Route):
            return draft
        if draft.chooser.neural:
            return None
        return self._finish(draft, cast(Select, draft.chooser.select)(draft.ask))

    async def open_plugins(self, route: Route) -> tuple[int, ...]:
        """Which of the decision's plugins take part in this request, by their places.

        Waits only where a `when` needs a neural signal. Raises `ExpertError` if a signal that must not fail does.
        """
        look = route.story.look
        found: list[int] = []
        for place, gate in enumerate(self._gates.get(route.decision, ())):
            while (holds := gate.truth(look.see)) is None:
                await look.compute(gate.missing(look.see))
            if holds:
                found.append(place)
        return tuple(found)

    async def bounds(self, prompt: Prompt, *, clock: Callable[[], float]) -> Bounds:
        """What the constraints alone say of a text: one that an expert, a tool or a retrieval has put beside a request.

        Waits only where they need a neural signal. Raises `ExpertError` if a signal that must not fail does.
        """
        look = Look(self._sources, prompt, clock)
        while isinstance(found := judge(self._constraints, look.see), frozenset):
            await look.compute(found)
        return found

    async def holds(self, rule: str, prompt: Prompt, *, clock: Callable[[], float]) -> bool:
        """Whether an expression over this policy's signals is true of a text, as of an answer that is to be checked.

        Raises `RuleError` for what is no such expression, `ExpertError` if a signal that must not fail does.
        """
        look, condition = Look(self._sources, prompt, clock), Condition.of(rule, frozenset(self._sources), "verifier")
        while (truth := condition.truth(look.see)) is None:
            await look.compute(condition.missing(look.see))
        return truth

    def _look(self, prompt: Prompt, clock: Callable[[], float], only: str | None) -> Look:
        if only is not None and only not in self._experts:
            raise NotFoundError(
                f"there is no expert {only!r}",
                param="model",
                code="model_not_found",
                remedy=f"Known: {', '.join(sorted(self._experts))}.",
            )
        return Look(self._sources, prompt, clock)

    def _stay(self, prompt: Prompt, previous: Previous) -> Stay | None:
        """The decision a request stays with, if it stays: that of before, or the first that may use the expert."""
        why = kept(prompt, self.spec.session)
        if why is None:
            return None
        for contender in self._contenders:
            spec = contender.spec
            if spec.name == previous.decision or (previous.decision is None and previous.expert in spec.use):
                return Stay(contender, previous.expert, why)
        return None  # the policy has changed since

    def _settle(
        self, look: Look, only: str | None, stay: Stay | None
    ) -> tuple[Bounds, Contender | None, Stay | None] | Missing:
        """What constraints say, who wins (None where no decision is asked) and whether that is by staying, or the
        signals needed to tell.

        What constraints and the contest need is asked for together, as waiting once is faster than twice.
        """
        bounds = judge(self._constraints, look.see)
        if isinstance(bounds, Bounds) and (bounds.refusal is not None or only is not None):
            return bounds, None, None
        if only is not None:
            return cast(Missing, bounds)
        if stay is not None:
            freed = self._freed(stay, look)
            if isinstance(freed, frozenset):
                return freed | (bounds if isinstance(bounds, frozenset) else frozenset())
            if not freed:
                return (bounds, stay.contender, stay) if isinstance(bounds, Bounds) else bounds
        winner = surest(self._tiers, look.see) if self._by_confidence else first(self._contenders, look.see)
        if isinstance(bounds, Bounds):
            return winner if isinstance(winner, frozenset) else (bounds, winner, None)
        return bounds | winner if isinstance(winner, frozenset) else bounds

    def _freed(self, stay: Stay, look: Look) -> bool | Missing:
        """Whether `session.unless` sets a follow-up free, or what it needs to tell. A tool loop is never broken."""
        if self._unless is None or stay.why == "tool_loop":
            return False
        freed = self._unless.truth(look.see)
        return self._unless.missing(look.see) if freed is None else freed

    def _draft(
        self,
        look: Look,
        bounds: Bounds,
        winner: Contender | None,
        stay: Stay | None,
        healthy: Callable[[str], str | None],
        random: Callable[[], float],
        clock: Callable[[], float],
        only: str | None,
        allowed: Callable[[str], bool] | None,
    ) -> "Route | _Draft":
        """The route of a refused request, or what is left for the selector. Raises if nobody can serve."""
        if bounds.refusal is not None:
            look.stop()
            story = self._story(look, bounds, None, None, allowed, None)
            refusal = bounds.refusal
            return Route(self.name, REFUSED, (), self._direct, (), 1.0, {}, {}, refusal.refuse, refusal.name, story)
        use = winner.spec.use if winner is not None else (cast(str, only),)
        lineup = muster([self._experts[name] for name in use], look.prompt, bounds.demands, allowed, healthy)
        if not lineup.first:
            reject(lineup.drops, f"the decision {winner.spec.name!r}" if winner is not None else f"the model {only!r}")
        chooser = _ALONE if winner is None else self._choosers[winner.spec.name] if stay is None else stay.chooser
        if stay is not None:
            lineup = lineup.led_by(self._experts[stay.expert]) if stay.expert in self._experts else lineup
        return _Draft(
            chooser=chooser,
            ask=Ask(lineup.first, look.prompt, look.known, random, clock),
            lineup=lineup,
            spec=winner.spec if winner is not None else None,
            story=self._story(
                look, bounds, winner, chooser.type if winner else None, allowed, stay.why if stay is not None else None
            ),
        )

    def _story(
        self,
        look: Look,
        bounds: Bounds,
        winner: Contender | None,
        selector: str | None,
        allowed: Callable[[str], bool] | None,
        why: Kept | None,
    ) -> Story:
        return Story(
            look,
            self._signal_names,
            self._constraints,
            self._contenders,
            winner,
            bounds.demands,
            self._experts,
            allowed,
            self._by_confidence,
            selector,
            why,
        )

    def _finish(self, draft: "_Draft", selection: Selection) -> Route:
        spec, lineup = draft.spec, draft.lineup
        draft.story.look.stop()
        return Route(
            policy=self.name,
            decision=spec.name if spec is not None else DIRECT,
            experts=(
                *selection.ranking,
                *(Score(name, 0.0, f"only after the others: {why}") for name, why in lineup.later),
            ),
            strategy=spec.strategy if spec is not None else self._direct,
            plugins=spec.plugins if spec is not None else (),
            propensity=selection.propensity,
            dropped={drop.expert: drop.why for drop in lineup.drops},
            unhealthy=lineup.unhealthy,
            refuse=None,
            constraint=None,
            story=draft.story,
        )


@dataclass(frozen=True, slots=True)
class _Draft:
    """A route but for the ranking."""

    chooser: Chooser
    ask: Ask
    lineup: Lineup
    spec: DecisionSpec | None
    story: Story


def _named(ask: Ask) -> Selection:
    return Selection([Score(card.name, 1.0, "the client named it") for card in ask.candidates])


_ALONE = Chooser("direct", _named, neural=False)
