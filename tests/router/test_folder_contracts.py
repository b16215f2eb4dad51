"""Every file in signals/ and selectors/ keeps its folder's contract, also those added later."""

import inspect
from itertools import product
from types import ModuleType
from typing import Any

import pytest
from pydantic import BaseModel, ValidationError

from experts import registry
from experts.spec import Capabilities
from router import minilm
from router.card import Card
from router.embed import Embedder
from router.head import Head
from router.prompt import Prompt
from router.rules import parse
from router.selectors import Ask, Selection
from router.signals import Signal
from router.tools import Tools
from router.tree import names

SIGNALS, SELECTORS = registry.known("router.signals"), registry.known("router.selectors")
FILES = [("router.signals", name) for name in SIGNALS] + [("router.selectors", name) for name in SELECTORS]
DERIVED = [name for name in SIGNALS if registry.load("router.signals", name).COST == "derived"]
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
    assert file.COST in ("cheap", "neural", "derived")
    assert set(Tools.__dataclass_fields__) >= file.NEEDS
    assert inspect.getdoc(file.build), "build says what value, label and confidence mean"


@pytest.fixture(scope="module")
def model() -> minilm.MiniLM:
    return minilm.load()


def can_run_here(file: ModuleType) -> Any:
    if file.NEEDS:
        pytest.skip(f"needs {', '.join(file.NEEDS)}; its own test has it")
    return file.Params.model_validate(file.EXAMPLE)


@pytest.mark.parametrize("name", [name for name in SIGNALS if name not in DERIVED])
async def test_a_signal_answers_for_any_prompt(name: str, model: minilm.MiniLM) -> None:
    file = registry.load("router.signals", name)
    assert {"embedding"} >= file.NEEDS, "what else is needed must be handed in here"
    params = file.Params.model_validate(file.EXAMPLE)
    embedder = Embedder(lambda: model)
    evaluate = file.build(params, Tools(embedding=embedder))
    assert inspect.iscoroutinefunction(evaluate) is (file.COST == "neural")
    for prompt in PROMPTS:
        signal = await evaluate(prompt) if file.COST == "neural" else evaluate(prompt)
        assert isinstance(signal, Signal)
        assert isinstance(signal.matched, bool)
        assert 0 <= signal.confidence <= 1
        assert signal.label is None or isinstance(signal.label, str)
        again = await evaluate(prompt) if file.COST == "neural" else evaluate(prompt)
        assert again == signal, "pure: the same prompt gives the same signal"
    if hasattr(file, "head") and (head := file.head(params, Tools())) is not None:
        assert isinstance(head, Head)
    await embedder.close()


SEEN = [
    Signal(True, value=0.4, confidence=0.7),
    Signal(False, confidence=0.0),
    Signal(True, value=("x", "y"), label="x", count=2),
    Signal(True, value=True),
]


@pytest.mark.parametrize("name", DERIVED)
def test_a_derived_signal_answers_for_any_signals_and_names_those_it_misses(name: str) -> None:
    file = registry.load("router.signals", name)
    params = file.Params.model_validate(file.EXAMPLE)
    parts = frozenset().union(*(names(parse(rule)) for _, rule in file.reads(params)))
    assert parts <= {"a", "b"}, "EXAMPLE reads the signals a and b"
    derive = file.build(params, Tools())
    for first, second in product([*SEEN, None], repeat=2):
        known = {"a": first, "b": second}
        made = derive(known.get)
        missing = {part for part in parts if known[part] is None}
        if isinstance(made, frozenset):
            assert made and made <= missing, "only what is not known can be missing"
        else:
            assert isinstance(made, Signal) and isinstance(made.matched, bool)
            assert 0 <= made.confidence <= 1
            assert derive(known.get) == made, "pure"
        if not missing:
            assert isinstance(made, Signal)


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
