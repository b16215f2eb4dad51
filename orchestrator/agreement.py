"""Whether several voices say the same, and which answer has most of them. Pure; knows no strategy."""

from collections.abc import Sequence
from dataclasses import dataclass

from orchestrator.extraction import Kind, answer_of
from orchestrator.voice import Voice


@dataclass(frozen=True, slots=True)
class Tally:
    """The answer in each voice (None: it holds none of the kind), and what its vote weighs."""

    answers: tuple[str | None, ...]
    weights: tuple[float, ...]

    @classmethod
    def of(cls, voices: Sequence[Voice], prompt: str, kind: Kind, weights: Sequence[float] | None = None) -> "Tally":
        """Of voices to what `prompt` asks; without weights each counts 1."""
        answers = tuple(
            answer_of(voice["text"], prompt=prompt, kind=kind, cut=voice["finish"] == "length") for voice in voices
        )
        return cls(answers, tuple(weights) if weights is not None else (1.0,) * len(answers))

    @property
    def unanimous(self) -> bool:
        """Two voices or more, all with the same answer."""
        return len(self.answers) > 1 and self.answers[0] is not None and len(set(self.answers)) == 1

    def winner(self, least: int = 1) -> int | None:
        """The number of the first voice with the heaviest answer, the first given of equals; None where fewer than
        `least` voices share it."""
        totals: dict[str, float] = {}
        for answer, weight in zip(self.answers, self.weights, strict=True):
            if answer is not None:
                totals[answer] = totals.get(answer, 0.0) + weight
        if not totals:
            return None
        answer = max(totals, key=totals.__getitem__)
        return self.answers.index(answer) if self.answers.count(answer) >= least else None

    def shown(self, at: int) -> str:
        """For the trace: the answer of a voice and how many share it."""
        answer = self.answers[at]
        return f"{(answer or '')[:80]!r} by {self.answers.count(answer)} of {len(self.answers)}"
