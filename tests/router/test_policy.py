"""From a prompt to a route: who wins, who may answer, in which order, and what is refused."""

from typing import Any

import pytest
from policies import Script, card, decision, go, names, policy, prompt, require, signal

from experts.errors import (
    ConstraintError,
    ContextLengthError,
    ExpertError,
    ForbiddenError,
    NotFoundError,
    UnsupportedError,
)
from router.prompt import Prompt
from router.signals import Signal
from router.spec import ConstraintSpec

CODE = signal("code", {"type": "keyword", "any": ["python", "sql"]})
LONG = signal("long", {"type": "context", "min_tokens": 500})
SECRET = signal("secret", {"type": "keyword", "any": ["password"]})
TOOL = {"tools": [{"type": "function", "function": {"name": "f"}}]}


async def test_the_first_decision_that_holds_wins() -> None:
    rules = policy(
        decision("code", "code and not long", "b", "a"),
        decision("long", "long", "a"),
        decision("rest", None, "a", "b"),
        signals=(CODE, LONG),
    )
    route = await go(rules, "some python")
    assert (route.policy, route.decision, names(route)) == ("auto", "code", ["b", "a"])
    assert (await go(rules, "python " * 500)).decision == "long"
    assert (await go(rules, "hello")).decision == "rest"


async def test_a_conversation_keeps_its_decision_when_the_last_line_says_little() -> None:
    rules = policy(decision("code", "code", "b"), decision("rest", None, "a"), signals=(CODE,))
    turns = [("user", "Write a python parser"), ("assistant", "Done."), ("user", "commit it")]
    body = {"messages": [{"role": role, "content": text} for role, text in turns]}
    assert (await go(rules, Prompt.from_chat(body))).decision == "code"


async def test_priority_then_file_order_and_tier_before_both() -> None:
    always = signal("always", {"type": "context", "min_tokens": 0})
    by_priority = policy(
        decision("low", "always", "a", priority=1),
        decision("high", "always", "a", priority=5),
        decision("also-high", "always", "a", priority=5),
        decision("rest", None, "a"),
        signals=(always,),
    )
    assert (await go(by_priority)).decision == "high"
    by_tier = policy(
        decision("second", "always", "a", priority=9, tier=2),
        decision("first", "always", "a", priority=1, tier=1),
        decision("rest", None, "a", priority=99),
        signals=(always,),
    )
    assert (await go(by_tier)).decision == "first"


async def test_by_confidence_the_surest_wins_and_the_catch_all_is_the_last_resort() -> None:
    script = Script(weak=Signal(True, confidence=0.4), sure=Signal(True, confidence=0.9), none=Signal(False))
    rules = policy(
        decision("weak", "weak", "a", priority=9),
        decision("both", "weak and sure", "a"),
        decision("sure", "sure", "a"),
        decision("rest", None, "a"),
        signals=tuple(script.spec(name, "cheap") for name in ("weak", "sure", "none")),
        script=script,
        order="confidence",
    )
    route = await go(rules)
    assert route.decision == "sure"
    whys = {row["name"]: row["why"] for row in route.trace()["decisions"]}
    assert whys["both"] == "outranked by sure (confidence 0.9, here 0.65)"
    assert whys["rest"] == "outranked by sure (confidence 0.9, here 0)"


async def test_a_refusal_comes_before_everything() -> None:
    rules = policy(
        decision("rest", None, "a"),
        signals=(SECRET, CODE),
        constraints=(require("code", local=True), ConstraintSpec(name="no secrets", when="secret", refuse="I can't.")),
    )
    route = await go(rules, "my password")
    assert (route.refuse, route.constraint, route.decision, names(route)) == ("I can't.", "no secrets", "refused", [])
    assert (await go(rules, "my password", only="b")).refuse == "I can't.", "also for a model named directly"
    assert route.permits("a") == "the constraint 'no secrets' refuses the request"
    assert (await go(rules, "hello")).refuse is None


async def test_requirements_hold_over_decisions_direct_models_and_whoever_else_a_strategy_calls() -> None:
    rules = policy(
        decision("rest", None, "cloud", "home"),
        signals=(SECRET,),
        constraints=(require("secret", local=True),),
        experts=(card("cloud", local=False), card("home"), card("judge", local=False)),
    )
    route = await go(rules, "my password")
    assert names(route) == ["home"]
    assert route.dropped == {
        "cloud": "it does not keep the text on this machine, which the constraint 'secret' demands"
    }
    assert route.permits("judge") is not None
    assert route.permits("home") is None
    assert route.permits("nobody") == "there is no such expert"
    with pytest.raises(ConstraintError, match="the model 'cloud'"):
        await go(rules, "my password", only="cloud")
    free = await go(rules, "hello")
    assert names(free) == ["cloud", "home"]
    assert free.permits("judge") is None


@pytest.mark.parametrize(
    ("demands", "left"),
    [
        ({"local": True}, ["home", "cheap"]),
        ({"tags": ("eu", "gdpr")}, ["home"]),
        ({"experts": ("cheap", "dear")}, ["cheap", "dear"]),
        ({"max_price": 1.0}, ["home", "cheap"]),
    ],
)
async def test_each_requirement(demands: dict[str, Any], left: list[str]) -> None:
    experts = (
        card("home", tags=("eu", "gdpr")),
        card("cheap", output=1.0, tags=("eu",)),
        card("dear", output=9.0, local=False),
    )
    always = signal("always", {"type": "context", "min_tokens": 0})
    rules = policy(
        decision("rest", None, *(e.name for e in experts)),
        signals=(always,),
        constraints=(require("always", **demands),),
        experts=experts,
    )
    route = await go(rules)
    assert names(route) == left
    assert set(route.dropped) == {e.name for e in experts} - set(left)


async def test_who_cannot_do_it_is_dropped_and_only_if_nobody_can_it_is_refused() -> None:
    rules = policy(decision("rest", None, "a", "b"), experts=(card("a"), card("b", "tools"), card("c")))
    route = await go(rules, prompt(**TOOL))
    assert names(route) == ["b"]
    assert route.dropped == {"a": "it cannot do tools, which tools asks for"}
    with pytest.raises(UnsupportedError) as caught:
        await go(rules, prompt(seed=1, **TOOL))
    assert caught.value.param == "tools", "what the first expert lacks"
    assert "a: it cannot do tools" in caught.value.message
    assert "b: it cannot do seed" in caught.value.message
    with pytest.raises(UnsupportedError, match="no expert of the model 'c'") as caught:
        await go(rules, prompt(response_format={"type": "json_schema"}), only="c")
    assert caught.value.param == "response_format"


async def test_the_next_decision_is_never_taken_because_the_first_ones_experts_cannot() -> None:
    rules = policy(
        decision("code", "code", "a"),
        decision("rest", None, "b"),
        signals=(CODE,),
        experts=(card("a"), card("b", "tools")),
    )
    with pytest.raises(UnsupportedError, match="no expert of the decision 'code'"):
        await go(rules, prompt("python", **TOOL))


async def test_what_cannot_fit_is_dropped_and_what_may_not_fit_comes_last() -> None:
    experts = (card("small", context=500), card("middle", context=1200), card("large", context=9000), card("any"))
    rules = policy(decision("rest", None, "small", "middle", "large", "any"), experts=experts)
    route = await go(rules, "word " * 1000)  # about 1,400 tokens by the estimate, hardly fewer than 823
    assert names(route) == ["large", "any", "middle"]
    assert list(route.dropped) == ["small"]
    assert "may not fit its context of 1,200" in route.experts[-1].why
    assert names(await go(rules, "word " * 1000, only="middle")) == ["middle"], "it may fit, so it is tried"


async def test_too_long_names_what_to_shorten() -> None:
    rules = policy(decision("rest", None, "a"), experts=(card("a", context=1000),))
    with pytest.raises(ContextLengthError) as caught:
        await go(rules, "word " * 5000)
    assert caught.value.param == "messages"
    with pytest.raises(ContextLengthError, match=r"max_tokens is 4,096") as caught:
        await go(rules, prompt("hi", max_tokens=4096))
    assert caught.value.param == "max_tokens"
    with pytest.raises(ContextLengthError) as caught:
        await go(rules, prompt("hi", max_completion_tokens=4096))
    assert caught.value.param == "max_completion_tokens"
    assert names(await go(rules, prompt("hi", max_tokens=900))) == ["a"]


async def test_the_error_is_that_of_the_expert_that_came_furthest() -> None:
    rules = policy(decision("rest", None, "a", "b"), experts=(card("a"), card("b", "tools", context=10)))
    with pytest.raises(ContextLengthError):
        await go(rules, prompt("word " * 100, **TOOL))
    with pytest.raises(UnsupportedError) as caught:
        await go(rules, prompt("word " * 100, **TOOL), allowed=lambda name: name == "a")
    assert "b:" not in caught.value.message, "a key need not hear of experts it may not use"


async def test_a_key_sees_only_its_models() -> None:
    rules = policy(decision("rest", None, "a", "b"))
    route = await go(rules, allowed=lambda name: name == "b")
    assert names(route) == ["b"]
    assert route.dropped == {"a": "this key may not use it"}
    assert route.permits("a") == "this key may not use it"
    with pytest.raises(ForbiddenError, match="this key may not use the decision 'rest'"):
        await go(rules, allowed=lambda name: False)


async def test_the_unhealthy_come_last_and_stay_so_that_one_may_wait() -> None:
    rules = policy(decision("rest", None, "a", "b"))
    route = await go(rules, ill={"a": "its circuit is open for 12 s"})
    assert names(route) == ["b", "a"]
    assert route.unhealthy == {"a": "its circuit is open for 12 s"}
    assert route.experts[-1].why == "only after the others: its circuit is open for 12 s"
    nobody = await go(rules, ill={"a": "down", "b": "down"})
    assert names(nobody) == ["a", "b"]
    assert set(nobody.unhealthy) == {"a", "b"}


async def test_a_draw_is_among_the_healthy_and_its_propensity_theirs() -> None:
    weighted = {"type": "weighted", "weights": {"a": 6, "b": 3, "c": 1}}
    rules = policy(decision("rest", None, "a", "b", "c", select=weighted), experts=(card("a"), card("b"), card("c")))
    route = await go(rules, ill={"a": "down"}, random=lambda: 0.74)
    assert names(route) == ["b", "c", "a"]
    assert route.propensity == pytest.approx(0.75)


async def test_a_model_named_directly_asks_no_decision() -> None:
    script = Script(topic=Signal(True, label="law"))
    rules = policy(
        decision("law", "topic == 'law'", "a"),
        decision("rest", None, "a"),
        signals=(script.spec("topic", "neural"),),
        script=script,
    )
    route = await go(rules, only="b")
    assert (route.decision, names(route), script.computed) == ("direct", ["b"], [])
    assert route.strategy.type == "single"
    with pytest.raises(NotFoundError) as caught:
        await go(rules, only="c")
    assert caught.value.code == "model_not_found"


async def test_a_signal_that_fails_counts_as_told() -> None:
    def rules(on_error: Any) -> Any:
        script = Script(guard=RuntimeError("boom"))
        spec = script.spec("guard", "cheap", on_error)
        return policy(decision("guarded", "guard", "a"), decision("rest", None, "b"), signals=(spec,), script=script)

    assert (await go(rules("match"))).decision == "guarded"
    route = await go(rules("no_match"))
    assert route.decision == "rest"
    assert route.trace()["signals"]["guard"]["error"] == "RuntimeError; no_match by on_error"
    with pytest.raises(ExpertError, match="the signal 'guard' could not be computed") as caught:
        await go(rules("fail"))
    assert isinstance(caught.value.__cause__, RuntimeError)
    assert "boom" not in str(caught.value), "what broke inside is for the log, not for clients"


async def test_a_failure_is_logged_once(caplog: pytest.LogCaptureFixture) -> None:
    script = Script(guard=RuntimeError("boom"))
    spec = script.spec("guard", "neural", "no_match")
    rules = policy(decision("guarded", "guard", "a"), decision("rest", None, "b"), signals=(spec,), script=script)
    for _ in range(3):
        await go(rules)
    assert [record.message for record in caplog.records] == ["signal 'guard' failed and counts as no_match (told once)"]


def test_without_neural_signals_no_event_loop_is_needed() -> None:
    healthy: dict[str, str] = {}
    kwargs: Any = {"healthy": healthy.get, "random": lambda: 0.0, "clock": lambda: 0.0}
    plain = policy(decision("code", "code", "b"), decision("rest", None, "a"), signals=(CODE,))
    route = plain.route_now(prompt("python"), **kwargs)
    assert route is not None and route.decision == "code"

    script = Script(topic=Signal(True))
    mixed = policy(
        decision("code", "code or topic", "b"),
        decision("rest", None, "a"),
        signals=(CODE, script.spec("topic", "neural")),
        script=script,
    )
    route = mixed.route_now(prompt("python"), **kwargs)
    assert route is not None and route.decision == "code", "the neural signal could not change it"
    assert mixed.route_now(prompt("hello"), **kwargs) is None
    assert script.computed == []
