"""A request that stays with its conversation's decision and expert, instead of being routed by its signals.

Knows nothing of when it does: see `router/session.py`.
"""

from dataclasses import dataclass

from router.compile import Chooser
from router.contest import Contender
from router.selectors import Ask, Score, Selection
from router.session import TOLD, Kept


@dataclass(frozen=True, slots=True)
class Stay:
    """The decision, the expert that answered before, and why the request stays."""

    contender: Contender
    expert: str
    why: Kept

    @property
    def chooser(self) -> Chooser:
        """A selector that prefers that expert."""
        return Chooser("session", self._select, neural=False)

    def _select(self, ask: Ask) -> Selection:
        """That expert, then the others in the decision's order."""
        ranked = sorted(ask.candidates, key=lambda card: card.name != self.expert)  # stable
        told = {self.expert: f"it answered before: {TOLD[self.why]}"}
        return Selection(
            [
                Score(card.name, float(card.name == self.expert), told.get(card.name, "only if that fails"))
                for card in ranked
            ]
        )
