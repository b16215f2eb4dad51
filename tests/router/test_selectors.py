"""Each selector: its ranking, its reasons, its propensity."""

import random
from collections import Counter
from typing import Any

import pytest
from pydantic import ValidationError

from experts import registry
from experts.errors import ConfigError
from experts.spec import Capabilities
from router.card import Card
from router.prompt import Prompt
from router.selectors import Ask, Select
from router.tools import Tools

A, B, C = (Card(name, Capabilities(features=frozenset({"chat"}))) for name in "abc")
PROMPT = Prompt.from_chat({"messages": [{"role": "user", "content": "hi"}]})


def build(kind: str, **params: Any) -> Select:
    file = registry.load("router.selectors", kind)
    return file.build(file.Params.model_validate(params), [A, B, C], Tools())


def ask(*candidates: Card, point: float = 0.0) -> Ask:
    return Ask(candidates, PROMPT, {}, lambda: point, lambda: 0.0)


def test_static_keeps_the_order_of_use() -> None:
    selection = build("static")(ask(A, B, C))
    assert [s.expert for s in selection.ranking] == ["a", "b", "c"]
    assert [s.why for s in selection.ranking] == ["number 1 of use", "number 2 of use", "number 3 of use"]
    assert selection.propensity == 1
    assert [s.score for s in build("static")(ask(C)).ranking] == [pytest.approx(1 / 3)], "its place is that in `use`"


@pytest.mark.parametrize(
    ("point", "order", "propensity"),
    [(0.0, "abc", 0.7), (0.699, "abc", 0.7), (0.71, "bac", 0.2), (0.95, "cab", 0.1), (1 - 2**-53, "cab", 0.1)],
)
def test_weighted_draws_and_ranks_the_rest_by_weight(point: float, order: str, propensity: float) -> None:
    selection = build("weighted", weights={"a": 7, "b": 2, "c": 1})(ask(A, B, C, point=point))
    assert "".join(s.expert for s in selection.ranking) == order
    assert selection.propensity == pytest.approx(propensity)
    assert selection.ranking[0].why == f"drawn with a share of {propensity:.3g}"


def test_weighted_fallbacks_are_heaviest_first_whatever_their_order() -> None:
    select = build("weighted", weights={"a": 1, "b": 2, "c": 7})
    assert [s.expert for s in select(ask(A, B, C, point=0.0)).ranking] == ["a", "c", "b"]


def test_weighted_shares_are_those_of_the_candidates() -> None:
    select = build("weighted", weights={"a": 7, "b": 2, "c": 1})
    assert select(ask(B, C)).propensity == pytest.approx(2 / 3)
    draw = random.Random(1).random
    drawn = Counter(select(Ask((B, C), PROMPT, {}, draw, lambda: 0.0)).ranking[0].expert for _ in range(6000))
    assert drawn["b"] / 6000 == pytest.approx(2 / 3, abs=0.02), "three standard deviations"


def test_an_expert_without_weight_is_only_a_fallback() -> None:
    select = build("weighted", weights={"b": 1})
    assert [s.expert for s in select(ask(A, B, C, point=0.99)).ranking] == ["b", "a", "c"]
    alone = select(ask(A, C, point=0.99))
    assert [s.expert for s in alone.ranking] == ["a", "c"]
    assert alone.propensity == 1, "nothing was left to chance"


def test_weights_must_fit() -> None:
    with pytest.raises(ConfigError, match="weights are given for d, which the decision does not use"):
        build("weighted", weights={"a": 1, "d": 1})
    for weights in ({}, {"a": 0}, {"a": -1}, {"a": float("nan")}, {"a": float("inf")}):
        with pytest.raises(ValidationError):
            build("weighted", weights=weights)
