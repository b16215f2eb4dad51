"""Skills of prompts: what an annotator says, what is kept of it, and what the embedder says where there is none."""

import numpy as np
import pytest

from router.skill_annotation import (
    agreed,
    annotate,
    counted,
    keywords,
    known_skills,
    nearest,
    shares,
    vocabulary,
)


def test_keywords_are_lower_case_and_short_whatever_the_list_looks_like() -> None:
    assert keywords("Algebra, Geometry.") == ["algebra", "geometry"]
    assert keywords("1. Cell Biology\n2. Genetics\n- **x**") == ["cell biology", "genetics", "x"]
    assert keywords("algebra, a keyword of more than twenty letters, Algebra") == ["algebra"]
    assert keywords("") == []


def test_only_what_is_named_more_than_once_is_kept_the_most_frequent_first() -> None:
    samples = [["algebra", "sums"], ["geometry", "algebra"], ["geometry"], ["algebra", "algebra"]]
    assert agreed(samples) == ("algebra", "geometry"), "sums once; a word twice in one sample counts once"
    assert agreed([]) == ()


async def test_the_annotator_is_asked_five_times_at_temperature_07() -> None:
    asked: list[tuple[str, float]] = []

    async def ask(prompt: str, temperature: float) -> str:
        asked.append((prompt, temperature))
        return "Algebra, luck" if len(asked) % 2 else "algebra, sums"

    done: list[int] = []
    found = await annotate(["What is x?"], ask, progress=lambda n, total: done.append(n))
    assert found == [("algebra", "luck", "sums")], "luck three times, sums twice"
    assert len(asked) == 5
    assert {temperature for _, temperature in asked} == {0.7}
    assert "What is x?" in asked[0][0]
    assert done == [1]


async def test_annotations_come_back_in_the_prompts_order() -> None:
    async def ask(prompt: str, temperature: float) -> str:
        return "first" if "cats" in prompt else "second"

    assert await annotate(["cats", "dogs", "cats"], ask, concurrency=2) == [("first",), ("second",), ("first",)]


SKILLS = np.eye(3, dtype=np.float32)
NAMES = ("a", "b", "c")


def test_the_embedder_names_the_nearest_two_and_those_almost_as_near() -> None:
    prompts = np.array([[0.9, 0.3, 0.1], [0.6, 0.58, 0.55]], np.float32)
    assert nearest(prompts, SKILLS, NAMES) == [("a", "b"), ("a", "b", "c")]
    assert nearest(prompts, SKILLS, NAMES, least=1, most=1) == [("a",), ("a",)]


def test_shares_are_a_softmax_of_cosines() -> None:
    made = shares(np.array([[0.6, 0.4, 0.0]], np.float32), SKILLS, 0.2)
    assert made.sum() == pytest.approx(1)
    assert made[0, 0] / made[0, 1] == pytest.approx(np.e, rel=1e-5), "0.2 nearer counts e times as much"


def test_annotations_become_a_vocabulary_and_a_table() -> None:
    words = [("algebra", "sums"), ("algebra",), ()]
    known = known_skills(words)
    assert known == {"algebra": "algebra", "sums": "sums"}
    table = counted([*words, ("never seen",)], {"algebra": 0, "sums": 1})
    assert table.tolist() == [[1, 1], [1, 0], [0, 0], [0, 0]]


def test_the_shipped_vocabulary_is_usable() -> None:
    words = vocabulary()
    assert len(words) > 100
    assert all(text.startswith(f"{name}: ") and len(text) > len(name) + 10 for name, text in words.items())
    assert all(name == name.lower() for name in words)
