"""The trace of a route: the shape others rely on, and what it tells."""

import json

from policies import Script, decision, go, policy, require, signal

from router.signals import Signal
from router.spec import ConstraintSpec


async def test_the_whole_trace() -> None:
    script = Script(topic=Signal(True, value="law", label="law", confidence=0.8))
    rules = policy(
        decision("sums", "topic == 'math'", "a"),
        decision("code", "code and not long", "b", "a"),
        decision("law", "topic == 'law'", "a"),
        decision("german", "tongue == 'de'", "a"),
        decision("rest", None, "a"),
        signals=(
            signal("code", {"type": "keyword", "any": ["python"]}),
            signal("long", {"type": "context", "min_tokens": 500}),
            script.spec("topic", "neural"),
            script.spec("tongue", "neural"),
        ),
        constraints=(require("code", local=True), ConstraintSpec(when="long", refuse="Too long.")),
        script=script,
    )
    trace = (await go(rules, "python please", ill={"a": "down"})).trace()
    assert json.loads(json.dumps(trace)) == trace, "plain JSON"
    assert trace["decision"] == "code"
    assert trace["experts"] == [
        {"name": "b", "score": 1.0, "why": "number 1 of use"},
        {"name": "a", "score": 0.0, "why": "only after the others: down"},
    ]
    assert trace["strategy"] == {"type": "single"}
    assert trace["signals"] == {
        "code": {"computed": True, "matched": True, "value": ["python"], "label": None, "confidence": 1.0, "ms": 1.0},
        "long": {"computed": True, "matched": False, "value": 7, "label": None, "confidence": 1.0, "ms": 1.0},
        "topic": {"computed": True, "matched": True, "value": "law", "label": "law", "confidence": 0.8, "ms": 1.0},
        "tongue": {"computed": False, "matched": None, "value": None, "label": None, "confidence": None, "ms": None},
    }
    assert trace["decisions"] == [
        {"name": "sums", "matched": False, "why": 'topic == "math" is false (it is "law")'},
        {"name": "code", "matched": True, "why": "won: code is true and long is false"},
        {"name": "law", "matched": True, "why": "outranked by code"},
        {"name": "german", "matched": None, "why": "not reached: code won before"},
        {"name": "rest", "matched": True, "why": "outranked by code"},
    ]
    assert trace["constraints"] == [
        {"name": "code", "matched": True, "why": "code is true", "effect": "require local: true"},
        {"name": "long", "matched": False, "why": "long is false", "effect": "refuse"},
    ]
    assert trace["dropped"] == {}
    assert trace["unhealthy"] == {"a": "down"}
    assert trace["ms"] > 0


async def test_the_trace_of_a_refusal_and_of_a_direct_model() -> None:
    rules = policy(
        decision("rest", None, "a"),
        signals=(signal("secret", {"type": "keyword", "any": ["password"]}),),
        constraints=(ConstraintSpec(name="no secrets", when="secret", refuse="I can't."),),
    )
    refused = (await go(rules, "my password")).trace()
    assert refused["refuse"] == {"constraint": "no secrets", "text": "I can't."}
    assert refused["experts"] == []
    assert refused["decisions"][0]["why"] == "not reached: the constraint 'no secrets' refuses the request"
    direct = (await go(rules, "hi", only="b")).trace()
    assert direct["experts"] == [{"name": "b", "score": 1.0, "why": "the client named it"}]
    assert direct["decisions"][0]["why"] == "not asked: the client named the expert"


async def test_features_hold_labels_and_numbers_but_no_words() -> None:
    rules = policy(
        decision("code", "code and tongue == 'en'", "a"),
        decision("rest", None, "a"),
        signals=(
            signal("code", {"type": "keyword", "any": ["python"]}),
            signal("tongue", {"type": "language"}),
            signal("team", {"type": "metadata", "header": "x-team"}),
        ),
    )
    features = (await go(rules, "Please write some python for my neighbour Tim")).features()
    assert features["signals"]["tongue"]["label"] == "en"
    assert features["signals"]["code"]["count"] == 1
    assert features["turns"] == 1
    assert "Tim" not in json.dumps(features)
