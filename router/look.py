"""One request's signals: computed when first looked at, timed, and never twice. Knows nothing of decisions."""

import asyncio
import logging
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from typing import cast

from experts.errors import ExpertError
from router.prompt import Prompt
from router.signals import Cost, Derive, Evaluate, EvaluateLater, Missing, Signal
from router.spec import OnError

log = logging.getLogger(__name__)


@dataclass(slots=True)
class Source:
    """One signal of a policy, ready to run. `told` holds the kinds of failure already logged, `experimental` why its
    answers are not vouched for."""

    name: str
    type: str
    evaluate: Evaluate | EvaluateLater | Derive
    cost: Cost
    on_error: OnError
    experimental: str | None = None
    told: set[str] = field(default_factory=set)

    def failed(self, error: Exception) -> Signal:
        """What a failure to compute it means. Raises `ExpertError` where it means the request's end."""
        if self.on_error == "fail":
            raise ExpertError(
                f"the signal {self.name!r} could not be computed ({self.type}: {type(error).__name__})",
                code="signal_failed",
                remedy="The policy answers no request without it; try again, or tell whoever runs this server.",
            ) from error
        kind = type(error).__name__
        if kind not in self.told:
            self.told.add(kind)
            log.warning("signal %r failed and counts as %s (told once)", self.name, self.on_error, exc_info=error)
        return Signal(self.on_error == "match", detail=error)


class Look:
    """What is known of one prompt so far. `known` are the signals computed, `seconds` what each took, `failures`
    those that `on_error` stands in for, `total_s` the time until the route was made."""

    __slots__ = ("_clock", "_open", "_sources", "_started", "failures", "known", "prompt", "seconds", "total_s")

    def __init__(self, sources: Mapping[str, Source], prompt: Prompt, clock: Callable[[], float]) -> None:
        self.prompt = prompt
        self.known: dict[str, Signal] = {}
        self.seconds: dict[str, float] = {}
        self.failures: dict[str, str] = {}
        self.total_s = 0.0
        self._open: dict[str, Missing] = {}  # derived signals that wait for neural ones, until some are computed
        self._sources = sources
        self._clock = clock
        self._started = clock()

    def stop(self) -> None:
        """Note how long it all took, in `total_s`."""
        self.total_s = self._clock() - self._started

    def experimental(self, name: str) -> str | None:
        """Why a signal's answers are not vouched for; None where they are."""
        return self._sources[name].experimental

    def see(self, name: str) -> Signal | None:
        """A signal, computed now if it is cheap or made of known ones; None for a neural one that is not known yet,
        and for one that is made of such."""
        signal = self.known.get(name)
        if signal is not None:
            return signal
        source = self._sources[name]
        if source.cost == "neural" or name in self._open:
            return None
        started = self._clock()
        try:
            if source.cost == "derived":
                made = cast(Derive, source.evaluate)(self.see)
                if isinstance(made, frozenset):
                    self._open[name] = made
                    return None
                signal = made
            else:
                signal = cast(Evaluate, source.evaluate)(self.prompt)
        except Exception as error:
            if source.cost == "derived" and isinstance(error, ExpertError):
                raise  # from a signal it is made of, whose own `on_error` has spoken
            signal = self._stand_in(source, error)
        self.seconds[name] = self._clock() - started
        self.known[name] = signal
        return signal

    async def compute(self, names: Collection[str]) -> None:
        """Compute these signals at the same time, or what they are made of as far as that is certain to be needed.

        Raises `ExpertError` if one fails that must not.
        """
        neural: dict[str, Source] = {}
        self._leaves(names, neural)
        self._open.clear()
        found = await asyncio.gather(*(self._later(source) for source in neural.values()), return_exceptions=True)
        for outcome in found:
            if isinstance(outcome, BaseException):
                raise outcome

    def _leaves(self, names: Collection[str], neural: dict[str, Source]) -> None:
        """Gather the neural signals that these still miss."""
        for name in sorted(names):
            if name in self._open:
                self._leaves(self._open[name], neural)
            else:
                neural[name] = self._sources[name]

    async def _later(self, source: Source) -> None:
        started = self._clock()
        try:
            signal = await cast(EvaluateLater, source.evaluate)(self.prompt)
        except Exception as error:
            signal = self._stand_in(source, error)
        self.seconds[source.name] = self._clock() - started
        self.known[source.name] = signal

    def _stand_in(self, source: Source, error: Exception) -> Signal:
        self.failures[source.name] = f"{type(error).__name__}; {source.on_error} by on_error"
        return source.failed(error)
