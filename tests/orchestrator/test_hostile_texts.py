"""What users and experts write is read in a time that grows with its length, not with its square."""

import time
from collections.abc import Callable

import pytest

from orchestrator.facts import facts
from orchestrator.judging import number_in
from orchestrator.listing import listed
from orchestrator.plugins.grounding import sentences

LONG = 20_000


@pytest.mark.parametrize(
    ("read", "letter"),
    [
        (facts, "\n"),
        (lambda text: listed(text, 8), "*"),
        (lambda text: number_in(text, 10), "1"),
        (sentences, " "),
        (sentences, "\t"),
    ],
)
def test_a_letter_many_times(read: Callable[[str], object], letter: str) -> None:
    def seconds(length: int) -> float:
        began = time.process_time()
        read(letter * length + "x")
        return time.process_time() - began

    seconds(10)
    assert min(seconds(LONG) for _ in range(3)) < 0.1, "a square takes a second"
