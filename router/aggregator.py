"""Which expert should put several answers into one, chosen per task by a benchmark. Knows nothing of calling anyone.

Symbolic-MoE (arXiv 2503.05641, section 3.3): each validation item shows one correct and two wrong chains of thought,
shuffled, and the expert whose synthesis is right most often aggregates that task. As published, items for which nobody
had a correct chain stay in, so that guessing, or answering oneself, counts as aggregating; here they are left out.
"""

import random
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass

CORRECT, WRONG = 1, 2
"""Chains of each kind that an item shows."""


@dataclass(frozen=True, slots=True)
class Chain:
    """One expert's worked answer to an item, and whether its result is right."""

    text: str
    right: bool


@dataclass(frozen=True, slots=True)
class Case:
    """One item of the benchmark: the prompt, the chains shown in their order, and whether any of them is right."""

    id: str
    prompt: str
    chains: tuple[str, ...]
    solvable: bool


Synthesize = Callable[[str, Case], Awaitable[bool]]
"""An expert's name and a case, to whether what the expert made of the chains is right. Raises where it did not answer."""


@dataclass(frozen=True, slots=True)
class Choice:
    """The aggregator of a task, and for each expert the share of cases it got right (None: no case)."""

    expert: str
    right: Mapping[str, float | None]
    cases: int


def cases(
    chains: Mapping[str, Sequence[Chain]], prompts: Mapping[str, str], *, seed: int = 0, published: bool = False
) -> list[Case]:
    """The benchmark's items from experts' chains by item: one correct and two wrong ones, drawn and shuffled by `seed`.

    An item with fewer wrong chains shows those there are; one without wrong chains tells aggregators nothing apart and
    is left out. One without a correct chain is left out too, unless `published`: then it shows wrong chains only.
    """
    draw = random.Random(seed)
    found = []
    for id, told in chains.items():
        right = [chain.text for chain in told if chain.right]
        wrong = [chain.text for chain in told if not chain.right]
        if not wrong or not (right or published):
            continue
        shown = draw.sample(right, min(CORRECT, len(right)))
        shown += draw.sample(
            wrong, min(WRONG + CORRECT - len(shown), len(wrong)) if published else min(WRONG, len(wrong))
        )
        draw.shuffle(shown)
        found.append(Case(id, prompts[id], tuple(shown), bool(right)))
    return found


async def choose(experts: Sequence[str], items: Sequence[Case], synthesize: Synthesize) -> Choice:
    """The expert that is right in most cases, the first of equals; the first of all where there is no case.

    One expert after the other, so that each is loaded once. Raises what `synthesize` raises, and `ValueError` without
    experts.
    """
    if not experts:
        raise ValueError("an aggregator is chosen among at least one expert")
    right: dict[str, float | None] = {}
    for name in experts:
        won = [await synthesize(name, case) for case in items]
        right[name] = sum(won) / len(won) if won else None
    best = max(experts, key=lambda name: right[name] or 0.0)
    return Choice(best, right, len(items))
