"""Selectors that go by live figures or prices: least_load, latency, bandit, elo, cascade."""

import random
from collections import Counter
from typing import Any

import numpy as np
import pytest

from experts import registry
from experts.errors import ConfigError
from experts.spec import Capabilities, Price
from router.card import Card
from router.prompt import Prompt
from router.selectors import Ask, Select, Selection
from router.selectors.elo import ratings_of
from router.tools import Reward, Tools

CHAT = Capabilities(features=frozenset({"chat"}))
A, B, C = (Card(name, CHAT, Price(input=usd, output=usd)) for name, usd in (("a", 5), ("b", 0), ("c", 1)))
PROMPT = Prompt.from_chat({"messages": [{"role": "user", "content": "hi"}]})


def build(kind: str, tools: Tools | None = None, **params: Any) -> Select:
    file = registry.load("router.selectors", kind)
    return file.build(file.Params.model_validate(params), [A, B, C], tools or Tools())


def ask(select: Select, *cards: Card, draw: random.Random | None = None) -> Selection:
    return select(Ask(cards or (A, B, C), PROMPT, {}, (draw or random.Random(0)).random, lambda: 0.0))


def order(selection: Selection) -> str:
    return "".join(score.expert for score in selection.ranking)


def test_least_load_takes_the_idlest() -> None:
    calls = {"a": 4, "b": 1, "c": None}
    select = build("least_load", Tools(load=calls.get))
    assert order(ask(select)) == "cba"
    assert [s.why for s in ask(select).ranking] == ["its load is not known", "calls on it now: 1", "calls on it now: 4"]
    calls["b"] = 0
    assert order(ask(select)) == "bca", "equals keep the decision's order, and the figures are live"


def test_latency_takes_the_fastest_and_equals_in_their_order() -> None:
    seconds = {"a": 0.21, "b": 0.2, "c": 0.1}
    select = build("latency", Tools(latency=seconds.get))
    assert order(ask(select)) == "cba"
    seconds["c"] = 0.2
    assert order(ask(select)) == "abc", "within the tolerance"
    assert ask(select).ranking[0].why == "210 ms to the first token"


def test_latency_tries_whom_it_knows_nothing_of() -> None:
    select = build("latency", Tools(latency={"a": 0.2, "b": 0.1}.get), explore=0.2)
    draw = random.Random(1)
    firsts = Counter()
    for _ in range(2000):
        selection = ask(select, draw=draw)
        first = selection.ranking[0].expert
        firsts[first] += 1
        assert selection.propensity == pytest.approx({"c": 0.2, "b": 0.8}[first])
    assert firsts["c"] / 2000 == pytest.approx(0.2, abs=0.03)
    assert order(ask(build("latency"))) == "abc", "without any figures: the decision's order"


def test_bandit_learns_and_its_propensity_is_exact() -> None:
    rewards = {"a": Reward(50, 0.4), "b": Reward(50, 0.8), "c": Reward(50, 0.5)}
    select = build("bandit", Tools(reward=rewards.__getitem__), explore=0.3, decay=1e9)
    draw = random.Random(2)
    firsts: Counter[str] = Counter()
    told: dict[str, float] = {}
    for _ in range(6000):
        selection = ask(select, draw=draw)
        firsts[selection.ranking[0].expert] += 1
        told[selection.ranking[0].expert] = selection.propensity
    assert told == pytest.approx({"b": 0.8, "a": 0.1, "c": 0.1})
    assert {name: n / 6000 for name, n in firsts.items()} == pytest.approx(told, abs=0.015)
    assert sum(told.values()) == pytest.approx(1)


def test_bandit_explores_less_the_more_it_knows_and_never_less_than_bidden() -> None:
    def propensity(count: float) -> float:
        select = build("bandit", Tools(reward=lambda name: Reward(count, 0.9 if name == "a" else 0.1)), least=0.03)
        return ask(select, draw=random.Random(0)).propensity

    shares = [
        (1 - propensity(count)) * 1.5 for count in (0, 100, 300, 10_000)
    ]  # two of three random draws go elsewhere
    assert shares == pytest.approx([0.1, 0.05, 0.03, 0.03])


def test_bandit_finds_the_best_of_a_simulated_world() -> None:
    right = {"a": 0.3, "b": 0.5, "c": 0.7}
    draw, seen = random.Random(3), {name: [0, 0.0] for name in right}
    tools = Tools(reward=lambda name: Reward(seen[name][0], seen[name][1] / max(seen[name][0], 1)))
    select = build("bandit", tools)
    firsts = []
    for _ in range(3000):
        first = ask(select, draw=draw).ranking[0].expert
        seen[first][0] += 1
        seen[first][1] += draw.random() < right[first]
        firsts.append(first)
    assert firsts[-1000:].count("c") > 850


def test_elo_ranks_by_rating() -> None:
    select = build("elo", ratings={"b": 1100, "c": 1000})
    assert order(ask(select)) == "bac", "who has no rating has 1000"
    assert ask(select).ranking[0].why == "rating 1100"
    with pytest.raises(ConfigError, match="ratings are given for x"):
        build("elo", ratings={"x": 1})


def test_ratings_are_those_of_the_odds() -> None:
    wins = np.array([[0, 750.0], [250, 0]])
    low, high = sorted(ratings_of(wins))
    assert high - low == pytest.approx(400 * np.log10(750.5 / 250.5), abs=0.01)
    assert high + low == pytest.approx(2000)
    assert np.isfinite(ratings_of(np.array([[0, 9.0], [0, 0]]))).all(), "who won every game has a rating too"


def test_cascade_goes_from_cheap_to_dear() -> None:
    selection = ask(build("cascade"))
    assert order(selection) == "bca"
    tokens = PROMPT.tokens + 300
    assert selection.ranking[2].score == pytest.approx(-5 * tokens / 1e6)
    assert selection.ranking[0].why == "without a price"
