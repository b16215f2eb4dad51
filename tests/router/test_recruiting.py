"""Recruiting by skill: who is asked, when to stop, what the file keeps, the live selector; and what it reaches."""

import random
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from experts.spec import Capabilities
from router import recruiting
from router.card import Card
from router.learned import load, save
from router.outcomes import read
from router.prompt import Prompt
from router.recruiting import Recruiter, published_lineup
from router.recruiting_replay import report
from router.selectors import Ask, Selection, skills
from router.tools import Tools
from tests.router.worlds import EXPERTS, world

SHARED = Path(__file__).parents[3] / "shared/data/routing"
TEN = [
    "Meta-Llama-3_1-8B-Instruct",
    "mathstral-7B",
    "Phi-3-mini-4k-instruct",
    "Mistral-7B-Instruct-v0.2",
    "gemma-7b",
    "Qwen1.5-7B-Chat",
    "Yi-6b-Chat",
    "Meta-Llama-3_1-8B",
    "Meta-Llama-3-8B",
    "Mistral-7B-v0.1",
]

LEARN, VECTORS = world(400, seed=1)
AXES = np.linalg.qr(np.random.default_rng(99).normal(size=(384, 3)))[0].T.astype(np.float32)
OTHERS = np.linalg.qr(np.random.default_rng(5).normal(size=(384, 9)))[0].T.astype(np.float32)
NAMES = ("verse", "sums", "code", *(f"other {i}" for i in range(9)))
ANSWERS = [["right" if score else f"wrong {e}" for e, score in enumerate(row)] for row in LEARN.scores]
FITTED = recruiting.fit(
    LEARN.asked(VECTORS),
    LEARN.scores,
    EXPERTS,
    answers=ANSWERS,
    names=NAMES,
    skills=np.concatenate([AXES, OTHERS]),
    recruits=2,
)
VERSE = AXES[0]


def test_the_best_for_the_prompt_are_recruited_each_once() -> None:
    assert FITTED.lineup(VERSE).names[0] == "poet"
    assert sorted(FITTED.lineup(VERSE).names) == sorted(EXPERTS)
    assert len(FITTED.lineup(VERSE, most=2).names) == 2
    assert FITTED.lineup(VERSE, among=["coder", "mathematician"], most=1).names[0] != "poet"


def test_the_specialist_outvotes_another_expert() -> None:
    for axis, expert in zip(AXES, EXPERTS, strict=True):
        lineup = FITTED.lineup(axis, most=2)
        answers = ["mine" if name == expert else "theirs" for name in lineup.names]
        assert FITTED.vote(lineup, answers).answer == "mine"


def test_asking_stops_when_the_answer_is_sure_enough() -> None:
    lineup = FITTED.lineup(VERSE)
    agreed = FITTED.vote(lineup, ["x", "x"]).confidence
    alone = FITTED.vote(lineup, ["x"]).confidence
    assert alone < agreed, "agreement makes surer"
    between = (alone + agreed) / 2
    assert not FITTED.enough(lineup, ["x"], between)
    assert FITTED.enough(lineup, ["x", "x"], between)
    assert not FITTED.enough(lineup, ["x", "y"], between)
    assert FITTED.enough(lineup, ["x", "y", "z"], 1.0), "nobody is left"


def test_the_file_keeps_everything(tmp_path: Path) -> None:
    save(FITTED.learned(), tmp_path / "skills.safetensors")
    again = Recruiter.of(load(tmp_path / "skills.safetensors", selector="skills", experts=EXPERTS))
    lineup, same = FITTED.lineup(VERSE), again.lineup(VERSE)
    assert lineup.names == same.names
    assert same.odds == pytest.approx(lineup.odds, abs=1e-6)
    told, before = again.vote(same, ["a", "b", "b"]), FITTED.vote(lineup, ["a", "b", "b"])
    assert (told.answer, told.shares) == (before.answer, pytest.approx(before.shares, abs=1e-6))
    assert again.skills.reason(VERSE, 0) == FITTED.skills.reason(VERSE, 0)
    draws = [random.Random(1).random, random.Random(1).random]
    assert published_lineup(again, VERSE, draws[0]) == published_lineup(FITTED, VERSE, draws[1])


class Known:
    """An embedder of three prompts."""

    async def embed(self, texts: Sequence[str]) -> np.ndarray:
        return np.stack([AXES["vsc".index(text[0])] for text in texts])

    async def windows(self, text: str, most: int = 16) -> np.ndarray:
        return await self.embed([text])


CARDS = [Card(name, Capabilities(features=frozenset({"chat"}))) for name in EXPERTS]


async def select(text: str, folder: Path, *, point: float = 0.0, **params: object) -> Selection:
    save(FITTED.learned(), folder / "skills.safetensors")
    told = skills.Params.model_validate({"model": "skills.safetensors", **params})
    chosen = skills.build(told, CARDS, Tools(embedding=Known(), folder=folder))
    prompt = Prompt.from_chat({"messages": [{"role": "user", "content": text}]})
    return await chosen(Ask(CARDS, prompt, {}, lambda: point, lambda: 0.0))


async def test_the_live_selector_ranks_by_the_chance_of_being_right_and_says_why(tmp_path: Path) -> None:
    for text, expert, skill in (
        ("verse", "poet", "verse"),
        ("sums", "mathematician", "sums"),
        ("code", "coder", "code"),
    ):
        selection = await select(text, tmp_path)
        first = selection.ranking[0]
        assert first.expert == expert
        assert first.why.startswith(f"{skill} 0.")
        assert " items, " in first.why
        assert 0.5 < first.score < 1
        assert len(selection.ranking) == 3


async def test_published_it_draws_by_weight_and_the_propensity_is_exact(tmp_path: Path) -> None:
    weights = FITTED.published_weights(VERSE[None])[0]
    assert weights is not None
    points = (np.arange(200) + 0.5) / 200
    drawn = [await select("verse", tmp_path, point=p, variant="published") for p in points]
    shares = Counter(selection.ranking[0].expert for selection in drawn)
    for place, name in enumerate(EXPERTS):
        assert shares[name] / 200 == pytest.approx(weights[place], abs=0.01)
    for selection in drawn:
        assert selection.propensity == pytest.approx(weights[EXPERTS.index(selection.ranking[0].expert)])


@pytest.mark.shared
@pytest.mark.skipif(not (SHARED / "mmlu_pro.jsonl.gz").is_file(), reason="no ../shared/data")
def test_votes_of_five_recruits_on_mmlu_pro_beat_the_published_ones() -> None:
    """Fitted on Symbolic-MoE's 349 profile items; the other part is read only here. Embeds 2,443 prompts once."""
    from router.vectors import vectors

    outcomes = read([SHARED / "mmlu_pro.jsonl.gz"]).pool(TEN)
    learn, test = outcomes.split("train"), outcomes.split("test")
    told = report(test, vectors(test.prompts), (learn, vectors(learn.prompts)))["variants"]
    ours = told["distinct 5, learned vote"]
    assert ours["accuracy"] >= 0.505  # 0.5110 measured, 0.5076 to 0.5110 over seeds; rounding may move an item or two
    assert ours["over_published"]["low"] > 0
    assert ours["over_best_single"]["low"] > 0
    assert told["up to 5, learned vote, 0.6 sure"]["calls"] < 4.2
    assert ours["accuracy"] > told["distinct 5, log-odds"]["accuracy"] > told["distinct 3, majority"]["accuracy"]
