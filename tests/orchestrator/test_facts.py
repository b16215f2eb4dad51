"""What is taken for a fact, and what is not: the user's own plain statements alone."""

import pytest

from orchestrator.facts import LONGEST, MOST, facts


@pytest.mark.parametrize(
    ("turn", "found"),
    [
        ("My name is Ada.", [("My name is Ada", "name")]),
        ("Hi, my name's Ada and I need help", [("My name's Ada and I need help", "name")]),
        ("call me Bob!", [("Call me Bob", "name")]),
        ("Please remember that the alarm code is on the fridge.", [("The alarm code is on the fridge", "told")]),
        ("Remember: my name is Zoë.", [("My name is Zoë", "name")]),
        ("I live in Örebro. What is on there tonight?", [("I live in Örebro", "home")]),
        ("I’m allergic to nuts", [("I'm allergic to nuts", "health")]),
        ("I'd prefer short answers; I don't eat meat.", [("I'd prefer short answers", "taste"), ("I don't eat meat", "taste")]),
        ("My favourite colour is green", [("My favourite colour is green", "favourite")]),
    ],
)  # fmt: skip
def test_facts(turn: str, found: list[tuple[str, str]]) -> None:
    assert [(fact.text, fact.kind) for fact in facts(turn)] == found


@pytest.mark.parametrize(
    "turn",
    [
        "",
        "Do you remember that I live in Rome?",
        "Is my name Ada?",
        "What did he mean by 'I live in a box'",
        "Remember to be brief.",
        "Remember when we met?",
        "> My name is Eve.",
        "Translate: “I live in Rome.”",
        'Translate "My name is Eve."',
        "```\nMy name is Eve.\n```",
        "```\nMy name is Eve.",
        "She said my name is hard to spell.",
        "I prefer " + "x" * LONGEST,
        "My name is Ada?",
    ],
)
def test_what_is_none(turn: str) -> None:
    assert facts(turn) == []


def test_the_first_ones_of_a_turn_each_once() -> None:
    found = facts("\n".join(["I speak French."] * 3 + [f"Remember that {at} is a number." for at in range(9)]))
    assert len(found) == MOST
    assert [fact.text for fact in found[:2]] == ["I speak French", "0 is a number"]


def test_a_long_hostile_turn_takes_no_time() -> None:
    assert facts('"' * 100_000 + "“" * 100_000) == []
    assert facts("remember that " * 20_000) == []
