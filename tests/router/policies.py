"""Policies in few words for tests, and signals that follow a script. No tests here."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from types import ModuleType, SimpleNamespace
from typing import Any

from experts import registry
from experts.spec import Capabilities, Feature, Frozen, Price
from router.card import Card
from router.policy import Policy, compile_policy
from router.prompt import Prompt
from router.route import Route
from router.signals import Signal
from router.spec import Choice, ConstraintSpec, DecisionSpec, OnError, PolicySpec, Requirement, SignalSpec
from router.tools import Tools

CHAT: frozenset[Feature] = frozenset({"chat"})
SINGLE = Choice(type="single", params=Frozen())


class Script:
    """Signals that answer as told: `found[name]` is a Signal or an exception. `computed` lists the calls."""

    def __init__(self, **found: Signal | Exception) -> None:
        self.found = found
        self.computed: list[str] = []
        self.running = self.most_running = 0

    def load(self, package: str, kind: str) -> Any:
        """`registry.load`, and the types `cheap` and `neural` of this script."""
        if kind not in ("cheap", "neural"):
            return registry.load(package, kind)
        build = self._neural if kind == "neural" else self._cheap
        return SimpleNamespace(COST=kind, NEEDS=frozenset(), build=build)

    def spec(self, name: str, kind: str, on_error: OnError = "fail") -> SignalSpec:
        """The signal of this name."""
        return SignalSpec(name=name, type=kind, on_error=on_error, params=Named(name=name))

    def _cheap(self, params: "Named", tools: Tools) -> Callable[[Prompt], Signal]:
        return lambda prompt: self._answer(params.name)

    def _neural(self, params: "Named", tools: Tools) -> Callable[[Prompt], Awaitable[Signal]]:
        async def evaluate(prompt: Prompt) -> Signal:
            self.running += 1
            self.most_running = max(self.most_running, self.running)
            await asyncio.sleep(0)
            self.running -= 1
            return self._answer(params.name)

        return evaluate

    def _answer(self, name: str) -> Signal:
        self.computed.append(name)
        found = self.found[name]
        if isinstance(found, Exception):
            raise found
        return found


class Named(Frozen):
    """Parameters of a scripted signal."""

    name: str


def card(
    name: str,
    *more: Feature,
    context: int | None = None,
    local: bool = True,
    output: float = 0,
    tags: tuple[str, ...] = (),
) -> Card:
    """An expert that chats and can do `more`."""
    return Card(
        name, Capabilities(features=CHAT | set(more), context_tokens=context, local=local), Price(output=output), tags
    )


def choice(package: str, row: str | Mapping[str, Any]) -> Choice:
    """`static`, or `{"type": "weighted", …}`."""
    kind, params = (row, {}) if isinstance(row, str) else (row["type"], {k: v for k, v in row.items() if k != "type"})
    file: ModuleType = registry.load(package, kind)
    return Choice(type=kind, params=file.Params.model_validate(params))


def signal(name: str, row: Mapping[str, Any], on_error: OnError = "fail") -> SignalSpec:
    """A signal as the policy file writes it."""
    made = choice("router.signals", row)
    return SignalSpec(name=name, type=made.type, on_error=on_error, params=made.params)


def decision(
    name: str, when: str | None, *use: str, select: str | Mapping[str, Any] = "static", **more: Any
) -> DecisionSpec:
    """A decision as the policy file writes it."""
    return DecisionSpec(
        name=name, when=when, use=use, select=choice("router.selectors", select), strategy=SINGLE, **more
    )


def require(when: str, **demands: Any) -> ConstraintSpec:
    """A constraint that demands something of experts."""
    return ConstraintSpec(when=when, require=Requirement(**demands))


def policy(
    *decisions: DecisionSpec,
    signals: tuple[SignalSpec, ...] = (),
    constraints: tuple[ConstraintSpec, ...] = (),
    experts: tuple[Card, ...] = (card("a"), card("b")),
    script: Script | None = None,
    tools: Tools | None = None,
    **more: Any,
) -> Policy:
    """A compiled policy."""
    spec = PolicySpec(name="auto", signals=signals, constraints=constraints, decisions=decisions, **more)
    return compile_policy(spec, {e.name: e for e in experts}, tools, load=script.load if script else registry.load)


def prompt(text: str = "hi", **body: Any) -> Prompt:
    """One user turn."""
    return Prompt.from_chat({"model": "auto", "messages": [{"role": "user", "content": text}], **body})


class Ticks:
    """A clock that advances a millisecond at each look."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        self.now += 0.001
        return self.now


async def go(policy: Policy, asked: Prompt | str = "hi", *, ill: Mapping[str, str] | None = None, **more: Any) -> Route:
    """Route with everyone well but `ill`, no chance, and a clock that ticks."""
    asked = prompt(asked) if isinstance(asked, str) else asked
    known = {"healthy": (ill or {}).get, "random": lambda: 0.0, "clock": Ticks(), **more}
    return await policy.route(asked, **known)


def names(route: Route) -> list[str]:
    """The experts in order."""
    return [score.expert for score in route.experts]
