"""Every file in signals/ and selectors/ keeps its folder's contract, also those added later."""

import inspect
from types import ModuleType
from typing import Any

import pytest
from pydantic import BaseModel, ValidationError

from experts import registry
from experts.spec import Capabilities
from router.card import Card
from router.prompt import Prompt
from router.selectors import Ask, Selection
from router.signals import Signal
from router.tools import Tools

SIGNALS, SELECTORS = registry.known("router.signals"), registry.known("router.selectors")
FILES = [("router.signals", name) for name in SIGNALS] + [("router.selectors", name) for name in SELECTORS]
CARDS = [Card(name, Capabilities(features=frozenset({"chat"}))) for name in "ab"]
PROMPTS = [
    Prompt.from_chat({"messages": []}),
    Prompt.from_chat({"messages": [{"role": "user", "content": "Solve 3 + 4 in python, then explain. 今天"}]}),
    Prompt.from_chat({"messages": [{"role": "user", "content": "\ud800\x00" * 50}]}),
]


@pytest.fixture(params=FILES, ids=lambda file: ".".join(file))
def file(request: pytest.FixtureRequest) -> ModuleType:
    return registry.load(*request.param)


def test_the_issues_signals_and_selectors_are_there() -> None:
    assert {"keyword", "context", "structure", "language", "metadata"} <= set(SIGNALS)
    assert {"static", "weighted"} <= set(SELECTORS)


def test_params_are_frozen_and_described(file: ModuleType) -> None:
    params: type[BaseModel] = file.Params
    example = params.model_validate(file.EXAMPLE)
    for field, info in params.model_fields.items():
        assert info.description, f"{file.__name__}: {field} has no description"
        with pytest.raises(ValidationError):
            setattr(example, field, None)
    with pytest.raises(ValidationError, match="no_such_key"):
        params.model_validate({**file.EXAMPLE, "no_such_key": 1})
    params.model_json_schema()  # raises for what cannot be published
    assert params.model_validate(example.model_dump(by_alias=True)) == example


def test_it_says_what_it_is_and_needs(file: ModuleType) -> None:
    assert file.__doc__ and file.__doc__.strip()
    assert file.COST in ("cheap", "neural")
    assert set(Tools.__dataclass_fields__) >= file.NEEDS
    assert inspect.getdoc(file.build), "build says what value, label and confidence mean"


def can_run_here(file: ModuleType) -> Any:
    if file.NEEDS:
        pytest.skip(f"needs {', '.join(file.NEEDS)}; its own test has it")
    return file.Params.model_validate(file.EXAMPLE)


@pytest.mark.parametrize("name", SIGNALS)
def test_a_signal_answers_for_any_prompt(name: str) -> None:
    file = registry.load("router.signals", name)
    evaluate = file.build(can_run_here(file), Tools())
    assert inspect.iscoroutinefunction(evaluate) is (file.COST == "neural")
    for prompt in PROMPTS:
        signal = evaluate(prompt)
        assert isinstance(signal, Signal)
        assert isinstance(signal.matched, bool)
        assert 0 <= signal.confidence <= 1
        assert signal.label is None or isinstance(signal.label, str)
        assert evaluate(prompt) == signal, "pure: the same prompt gives the same signal"


@pytest.mark.parametrize("name", SELECTORS)
def test_a_selector_ranks_every_candidate(name: str) -> None:
    file = registry.load("router.selectors", name)
    select = file.build(can_run_here(file), CARDS, Tools())
    assert inspect.iscoroutinefunction(select) is (file.COST == "neural")
    for candidates in (CARDS, CARDS[:1], CARDS[1:], CARDS[::-1]):
        selection = select(Ask(candidates, PROMPTS[1], {}, lambda: 0.5, lambda: 0.0))
        assert isinstance(selection, Selection)
        assert sorted(score.expert for score in selection.ranking) == sorted(card.name for card in candidates)
        assert all(score.why for score in selection.ranking)
        assert 0 < selection.propensity <= 1
