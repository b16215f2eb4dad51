"""Signals, a file each, named as in YAML: what can be read off a prompt. The contract every file here keeps.

A file holds `Params`, `COST`, `NEEDS`, `EXAMPLE` and `build`:

    class Params(Frozen): ...              every field described, unknown keys refused
    COST = "cheap"                         "neural" if it asks a model; then `evaluate` is async
    NEEDS = frozenset()                    the fields of `router.tools.Tools` it cannot do without
    EXAMPLE = {"any": ["python"]}          the smallest useful parameters
    def build(params, tools) -> evaluate   raises `InputError` if the signal could not run: never a silent no-match
    evaluate(prompt) -> Signal             pure; a cheap one takes microseconds and never blocks

A signal says what it found, not what follows from it: that is what the `when:` expressions are for. Its value holds
the policy's own words, a label or a number, never the text of the request: signals are logged, prompts need not be.

A file whose `COST` is "derived" reads no prompt but other signals. It holds `reads` too, and builds a `derive`:

    def reads(params) -> Iterable[Read]    each place in the parameters and the expression or name it reads
    derive(see) -> Signal | Missing        pure; the names it still misses, where `see` gives None for one it cannot do without

It is computed once what it reads is known, so it costs what that costs, and no more of that than it needs.

A file whose answers come from a trained head holds `head` too, so that a policy can say where one is experimental:

    def head(params, tools) -> Head | None         None where these parameters ask none; raises `ConfigError` as `build`
"""

from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Literal, Protocol, TypeAlias

from pydantic import BaseModel

from router.prompt import Prompt
from router.tools import Tools


@dataclass(frozen=True, slots=True)
class Signal:
    """What one signal found in one prompt.

    `matched` is its truth in an expression; `label`, else `value`, is what comparisons read; `confidence` is in
    0..1; `count` says how many things were found; `detail` is for plugins (spans to mask) and never logged.
    """

    matched: bool
    value: Any = None
    label: str | None = None
    confidence: float = 1.0
    count: int | None = None
    detail: Any = None


Cost: TypeAlias = Literal["cheap", "neural", "derived"]
Evaluate: TypeAlias = Callable[[Prompt], Signal]
EvaluateLater: TypeAlias = Callable[[Prompt], Awaitable[Signal]]
See: TypeAlias = Callable[[str], Signal | None]
Missing: TypeAlias = frozenset[str]
"""Names of signals that must be known before a question can be answered."""
Derive: TypeAlias = Callable[[See], Signal | Missing]
Read: TypeAlias = tuple[str, str]
"""A place in a derived signal's parameters ("terms.0.when"), and the expression there; a name is in backticks."""


class SignalType(Protocol):
    """A file of this folder, seen as an object."""

    Params: type[BaseModel]
    COST: Cost
    NEEDS: frozenset[str]
    EXAMPLE: Mapping[str, Any]

    def build(self, params: Any, tools: Tools) -> Evaluate | EvaluateLater | Derive:
        """The function that computes the signal: sync if `COST` is cheap, async if it is neural, of others if derived."""


class DerivedType(SignalType, Protocol):
    """A file of this folder whose signals are made of others."""

    def reads(self, params: Any) -> Iterable[Read]:
        """What signals of these parameters read."""
