"""What is wrong with a policy is said when it is compiled, with the place and the remedy."""

from typing import Any

import pytest
from policies import SINGLE, Script, card, decision, policy, prompt, require, signal

from experts.errors import ConfigError
from experts.spec import Frozen
from router.policy import compile_policy
from router.signals import Signal
from router.spec import Choice, ConstraintSpec, PolicySpec, Requirement

CODE = signal("code", {"type": "keyword", "any": ["python"]})
REST = decision("rest", None, "a")


@pytest.mark.parametrize(
    ("decisions", "more", "key", "says"),
    [
        ([decision("x", "cod", "a"), REST], {}, "decisions.0.when", "Did you mean code? Known signals: code."),
        ([decision("x", "code and", "a"), REST], {}, "decisions.0.when", "a signal's name is expected, the end found"),
        ([decision("x", None, "aa")], {}, "decisions.0.use", "unknown expert 'aa'"),
        ([decision("x", None, "a", "a")], {}, "decisions.0.use", "'a' is listed twice"),
        ([decision("rest", "code", "a"), REST], {}, "decisions", "there are 2 decisions named 'rest'"),
        ([decision("x", "code", "a")], {}, "decisions.0.when", "Add a last decision without `when`"),
        (
            [REST, decision("x", "code", "a")],
            {},
            "decisions.1",
            "x can never be reached: 'rest', asked before, has no `when`",
        ),
        ([decision("x", "code", "a"), decision("rest", None, "a", priority=1)], {}, "decisions.0", "lower priority"),
        ([decision("x", "code", "a"), decision("rest", None, "a", tier=1)], {}, "decisions.0", "higher tier"),
        ([REST], {"signals": (CODE, CODE)}, "signals.code", "two signals named 'code'"),
        (
            [REST],
            {"constraints": (ConstraintSpec(when="code"),)},
            "constraints.0",
            "exactly one of refuse and require, this one none",
        ),
        (
            [REST],
            {"constraints": (ConstraintSpec(when="code", refuse="no", require=Requirement(local=True)),)},
            "constraints.0",
            "this one both",
        ),
        ([REST], {"constraints": (require("code"),)}, "constraints.0.require", "it demands nothing"),
        ([REST], {"constraints": (require("code", experts=("z",)),)}, "constraints.0.require.experts", "Known: a, b."),
        ([REST], {"constraints": (require("(code", local=True),)}, "constraints.0.when", "')' is expected"),
        (
            [decision("rest", None, "a", select={"type": "weighted", "weights": {"b": 1}})],
            {},
            "decisions.0.select",
            "weights are given for b, which the decision does not use",
        ),
        (
            [REST],
            {"signals": (signal("t", {"type": "language", "in": ["german"]}),)},
            "signals.t",
            "no such language: 'german'",
        ),
    ],
)
def test_what_is_wrong_is_named_with_its_place(decisions: list[Any], more: dict[str, Any], key: str, says: str) -> None:
    with pytest.raises(ConfigError) as caught:
        policy(*decisions, **{"signals": (CODE,), **more})
    assert caught.value.key == key
    assert says in str(caught.value)


def test_a_catch_all_may_stand_anywhere_if_it_is_asked_last() -> None:
    policy(decision("rest", None, "a", priority=-1), decision("x", "code", "a"), signals=(CODE,))


def test_a_signal_whose_tool_is_missing_is_an_error_not_a_silent_no_match() -> None:
    class NeedsEmbedding(Script):
        def load(self, package: str, kind: str) -> Any:
            file = super().load(package, kind)
            if kind == "neural":
                file.NEEDS = frozenset({"embedding"})
            return file

    script = NeedsEmbedding(topic=Signal(True))
    with pytest.raises(ConfigError, match="a signal of type neural needs embedding, which is not available here"):
        policy(REST, signals=(script.spec("topic", "neural"),), script=script)


def test_the_strategy_of_direct_models_can_be_given() -> None:
    other = Choice(type="other", params=Frozen())
    compiled = compile_policy(PolicySpec(name="auto", decisions=(REST,)), {"a": card("a")}, direct=other)
    kwargs: Any = {"healthy": lambda name: None, "random": lambda: 0.0, "clock": lambda: 0.0}
    direct, decided = compiled.route_now(prompt(), only="a", **kwargs), compiled.route_now(prompt(), **kwargs)
    assert direct is not None and direct.strategy is other
    assert decided is not None and decided.strategy == SINGLE
