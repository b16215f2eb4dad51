"""The benchmark that chooses an aggregator, and the published flaw it has not."""

import pytest

from router.aggregator import Case, Chain, cases, choose

CHAINS = {
    "solved": [Chain("good", True), Chain("bad 1", False), Chain("bad 2", False), Chain("bad 3", False)],
    "hopeless": [Chain("bad 1", False), Chain("bad 2", False), Chain("bad 3", False)],
    "easy": [Chain("good 1", True), Chain("good 2", True)],
}
PROMPTS = {id: f"what about {id}?" for id in CHAINS}


def test_an_item_shows_one_correct_and_two_wrong_chains() -> None:
    (case,) = cases(CHAINS, PROMPTS)
    assert case.id == "solved"
    assert case.prompt == "what about solved?"
    assert len(case.chains) == 3
    assert case.chains.count("good") == 1
    assert {cases(CHAINS, PROMPTS, seed=seed)[0].chains.index("good") for seed in range(20)} == {0, 1, 2}, "shuffled"


def test_items_that_nobody_solved_are_counted_only_as_published() -> None:
    published = cases(CHAINS, PROMPTS, published=True)
    assert [(case.id, case.solvable) for case in published] == [("solved", True), ("hopeless", False)]
    assert len(published[1].chains) == 3


async def test_the_flaw_can_choose_another_expert() -> None:
    """`solver` answers hopeless items itself and ignores what it is shown; `judge` finds the right chain."""
    chains = {f"solved {i}": CHAINS["solved"] for i in range(4)} | {
        f"hopeless {i}": CHAINS["hopeless"] for i in range(6)
    }
    prompts = dict.fromkeys(chains, "?")

    async def synthesize(expert: str, case: Case) -> bool:
        return case.solvable if expert == "judge" else not case.solvable

    experts = ["solver", "judge"]
    assert (await choose(experts, cases(chains, prompts, published=True), synthesize)).expert == "solver"
    ours = await choose(experts, cases(chains, prompts), synthesize)
    assert (ours.expert, ours.cases, dict(ours.right)) == ("judge", 4, {"solver": 0.0, "judge": 1.0})


async def test_without_a_case_the_first_expert_is_taken() -> None:
    async def never(expert: str, case: Case) -> bool:
        raise AssertionError

    choice = await choose(["a", "b"], [], never)
    assert (choice.expert, dict(choice.right)) == ("a", {"a": None, "b": None})
    with pytest.raises(ValueError, match="at least one expert"):
        await choose([], [], never)
