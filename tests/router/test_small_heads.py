"""fact_check, feedback, modality and complexity with the real embedder: what they say of plain requests, how they do on
cases that they were not made from, and that their training data can be made again.

The texts here are written for this file: they are in no recipe and in no file of cases.
"""

import hashlib
import json
import random
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from experts import registry
from router import head as heads
from router import head_training as training
from router import recipes
from router.embed import Embedder
from router.prompt import Prompt
from router.recipes import _shapes
from router.signals import Signal
from router.tools import Tools
from router.vectors import vectors

NAMES = ("complexity", "fact_check", "feedback", "modality")
CASES = Path(__file__).parent / "cases"
SHARED = Path(__file__).parents[3] / "shared" / "data"


@pytest.fixture
async def embedder() -> AsyncIterator[Embedder]:
    made = Embedder()
    yield made
    await made.close()


async def ask(embedder: Embedder, kind: str, *turns: str, **params: Any) -> Signal:
    """The signal after turns of user and assistant in their order."""
    roles = ("user", "assistant")
    messages = [{"role": roles[at % 2], "content": text} for at, text in enumerate(turns)]
    file = registry.load("router.signals", kind)
    evaluate = file.build(file.Params.model_validate(params), Tools(embedding=embedder))
    signal: Signal = await evaluate(Prompt.from_chat({"model": "auto", "messages": messages}))
    return signal


async def test_what_is_to_be_made(embedder: Embedder) -> None:
    wanted = {
        "Please draw a picture of three owls on a fence": "image",
        "Generate a video of a steam engine crossing a bridge": "video",
        "Compose a calm piece of music with harp and flute as an mp3": "audio",
        "Explain how a bill becomes law": "text",
        "How do I draw an owl? I am a beginner.": "text",
    }
    for text, label in wanted.items():
        signal = await ask(embedder, "modality", text)
        assert (signal.label, signal.matched) == (label, label != "text"), text
    assert (await ask(embedder, "modality", "Generate a video of a steam engine", **{"in": ["image"]})).matched is False


async def test_feedback_needs_an_answer_before_it(embedder: Embedder) -> None:
    wanted = {
        "Thank you, that is exactly what I needed": "satisfied",
        "No, that is wrong, the answer is 12": "wrong answer",
        "I don't understand, can you explain that more simply?": "need clarification",
        "Give me another version, shorter please": "want different",
        "Now write the minutes of Monday's meeting": None,
    }
    for text, label in wanted.items():
        signal = await ask(embedder, "feedback", "What is 3 * 4?", "It is 11.", text)
        assert (signal.label, signal.matched) == (label, label is not None), text
        assert not (await ask(embedder, "feedback", text)).matched, "nothing was answered yet"
    praised = await ask(embedder, "feedback", "a", "b", "Perfect, thanks!", **{"in": ["wrong answer"]})
    assert (praised.label, praised.matched) == ("satisfied", False)


async def test_facts_against_invention(embedder: Embedder) -> None:
    for text in ("When was the Panama Canal opened?", "What are the side effects of naproxen?"):
        assert (await ask(embedder, "fact_check", text)).matched, text
    for text in ("Write a poem about the Panama Canal", "Rewrite this politely: give me my money", "What is 12 * 31?"):
        assert not (await ask(embedder, "fact_check", text)).matched, text


async def test_hard_and_easy(embedder: Embedder) -> None:
    hard = "Prove that the ring of integers of a number field is a Dedekind domain, stating each lemma you use."
    assert (await ask(embedder, "complexity", hard)).label == "hard"
    assert (await ask(embedder, "complexity", "Say good evening in Dutch.", level="easy")).matched


@pytest.mark.parametrize("name", NAMES)
async def test_no_text_is_no_match(embedder: Embedder, name: str) -> None:
    signal = await ask(embedder, name, "   ")
    assert signal.matched is False


FLOOR = {"complexity": 0.82, "fact_check": 0.89, "feedback": 0.78, "modality": 0.82}
"""Accuracy on the cases, a few points below what was measured when the heads were made (docs/benchmarks.md)."""


@pytest.mark.parametrize("name", NAMES)
def test_cases_that_the_head_was_not_made_from(name: str, tmp_path: Path) -> None:
    path = CASES / f"{name}.jsonl"
    if not path.exists():
        pytest.skip(f"no cases of {name} are here")
    rows = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    texts, labels = [row["text"] for row in rows], [row["label"] for row in rows]
    head = heads.find(name)
    probabilities = training.all_probabilities(head, texts, vectors(texts, folder=tmp_path))
    report = training.report(head.labels, probabilities, [head.labels.index(label) for label in labels])
    assert report.rows >= 200
    assert report.accuracy >= FLOOR[name]


@pytest.mark.parametrize("name", NAMES)
def test_a_head_that_is_vouched_for_was_measured_on_enough_cases(name: str) -> None:
    head = heads.find(name)
    assert head.made is not None
    assert head.experimental or head.made["cases"]["rows"] >= 200
    assert head.made["command"].startswith(
        f"madrigal signal train --data {name}.jsonl --cases tests/router/cases/{name}"
    )


@pytest.mark.shared
@pytest.mark.parametrize("name", NAMES)
def test_the_training_data_can_be_made_again(name: str) -> None:
    """The very bytes whose SHA-256 the head names, from the recipe and the recorded data."""
    if not SHARED.exists():
        pytest.skip(f"{SHARED} is not there")
    digest, number = hashlib.sha256(), 0
    for row in registry.load("router.recipes", name).rows(SHARED):
        digest.update(recipes.written(row).encode())
        number += 1
    made = heads.find(name).made
    assert made is not None
    assert made["data"] == [{"file": f"{name}.jsonl", "sha256": digest.hexdigest(), "rows": number}]


class TestShapes:
    SLOTS = {"thing": ["a fox", "an owl"]}

    def test_ways_and_slots_are_filled(self) -> None:
        texts = {_shapes.filled("(Draw|Paint) {thing}(, please|.|)", self.SLOTS, random.Random(n)) for n in range(99)}
        assert texts == {f"{way} {one}{end}" for way in ("Draw", "Paint") for one in self.SLOTS["thing"] for end in (", please", ".", "")}  # fmt: skip

    def test_a_shape_is_a_group_and_the_same_every_time(self) -> None:
        shapes = "(Draw|Paint|Sketch) {thing}(, please|.|)\n\n  Sing of {thing}\n"
        rows = list(_shapes.rows(shapes, "x", self.SLOTS, most=5))
        assert {row.group for row in rows} == {"(Draw|Paint|Sketch) {thing}(, please|.|)", "Sing of {thing}"}
        assert len(rows) <= 7 and len({row.text for row in rows}) == len(rows)
        assert rows == list(_shapes.rows(shapes, "x", self.SLOTS, most=5))

    @pytest.mark.parametrize("name", NAMES)
    def test_no_phrase_keeps_a_mark_of_the_grammar(self, name: str) -> None:
        from router.recipes import phrases

        written = phrases(name)
        slots = {key: value for key, value in written.items() if isinstance(value, list)}
        shapes = [line for value in written.values() if isinstance(value, str) for line in value.splitlines()]
        assert len(shapes) > 80
        for shape in shapes:
            text = _shapes.filled(shape, slots, random.Random(0))
            assert not set(text) & set("{}|"), shape
