"""A vLLM Semantic Router configuration as a policy of ours: what it says is said, what is not carried is told."""

from typing import Any

import pytest
import yaml

from experts.errors import InputError
from router.importers import Imported
from router.importers.vllm_sr import convert
from router.rules import parse

BASE = """
version: v0.3
providers:
  defaults: {default_model: small}
  models:
    - name: small
      provider_model_id: qwen/small
      pricing: {currency: USD, prompt_per_1m: 0.1, completion_per_1m: 0.4}
      backend_refs: [{endpoint: "vllm:8000", protocol: http}]
    - name: cloud/big model
      backend_refs:
        - {base_url: "https://api.example.com/v1/", api_key_env: BIG_KEY}
        - {endpoint: "other:1"}
routing:
  modelCards:
    - {name: small, context_window_size: 8192, capabilities: [chat], tags: [deployment:self_hosted], quality_score: 0.5}
"""
KB = {
    "labels": {"code": {"exemplars": ["fix my repo"]}, "chat": {"exemplars": ["hello"]}, "law": {"exemplars": ["sue"]}}
}


def made(routing: str, **more: Any) -> Imported:
    """The import of BASE with this routing section beside its model cards."""
    config = yaml.safe_load(BASE)
    config["routing"] |= yaml.safe_load(routing)
    return convert({**config, **more}, {"my_kb": KB})


def decided(routing: str) -> dict[str, str | None]:
    """The `when` of each decision; every one is an expression over the signals there are."""
    out = made(routing)
    rules = {row["name"]: row.get("when") for row in out.policy["decisions"]}
    for when in rules.values():
        if when is not None:
            parse(when, set(out.policy["signals"]))
    return rules


def test_models_become_experts() -> None:
    out = made("decisions: [{name: all, modelRefs: [{model: cloud/big model}]}]")
    assert out.policy["experts"] == {
        "small": {
            "backend": "openai",
            "url": "http://vllm:8000/v1",
            "model": "qwen/small",
            "price": {"input": 0.1, "output": 0.4},
            "context_tokens": 8192,
            "skills": ["chat"],
            "tags": ["deployment:self_hosted"],
            "local": True,
        },
        "cloud/big-model": {
            "backend": "openai",
            "url": "https://api.example.com/v1",
            "model": "cloud/big model",
            "api_key_env": "BIG_KEY",
        },
    }
    assert out.policy["decisions"] == [{"name": "all", "use": ["cloud/big-model"]}]
    lost = "\n".join(map(str, out.lost))
    for what in ("is called cloud/big-model here", "of its 2 backends only the first", "quality_score"):
        assert what in lost


SIGNALS = """
signals:
  keywords:
    - {name: plain, operator: OR, keywords: [a, 内部 SDK]}
    - {name: every, operator: AND, keywords: [a, b], case_sensitive: true}
    - {name: none of it, operator: NOR, keywords: [c]}
    - {name: pattern, operator: OR, method: regex, keywords: ['\\d+']}
    - {name: stems, operator: OR, method: bm25, keywords: [deploy], bm25_threshold: 0.2}
    - {name: shared, operator: OR, keywords: [x]}
  structure:
    - {name: shared, feature: {type: count, source: {type: regex, pattern: '[?]'}}, predicate: {gte: 4}}
    - {name: flow, feature: {type: sequence, source: {type: sequence, sequences: [[first, then]]}}}
    - {name: dense, feature: {type: density, source: {type: keyword_set, keywords: [must]}}, predicate: {gt: 0.1}}
  context: [{name: long, min_tokens: 16K, max_tokens: 1M}]
  domains: [{name: law}, {name: stem, mmlu_categories: [physics, math]}]
  language: [{name: zh, threshold: 0.5}]
  conversation: [{name: loop, feature: {type: exists, source: {type: active_tool_loop}}}]
  role_bindings: [{name: staff, role: admin, subjects: [{kind: Group, name: staff}, {kind: User, name: mia}]}]
  events: [{name: alert, event_types: [payment_failed], temporal: true}]
  user_feedbacks: [{name: wrong_answer}]
  kb: [{name: best law, kb: my_kb, target: {kind: label, value: law}, match: best}]
"""


@pytest.mark.parametrize(
    ("condition", "when"),
    [
        ("{type: keyword, name: plain}", "plain"),
        ("{type: keyword, name: none of it}", "not `none of it`"),
        ("{type: keyword, name: shared}", "`shared (keyword)`"),
        ("{type: structure, name: shared}", "`shared (structure)`"),
        ("{type: domain, name: law}", '`domain (label)` == "law"'),
        ("{type: domain, name: stem}", '`domain (label)` in ["physics", "math"]'),
        ("{type: language, name: zh}", '`language (label)` == "zh"'),
        ("{type: user_feedback, name: wrong_answer}", '`feedback (label)` == "wrong answer"'),
        ("{type: authz, name: admin}", "staff"),
        ("{type: kb, name: best law}", 'my_kb == "law"'),
        ("{operator: NOT, conditions: [{type: context, name: long}]}", "not long"),
        (
            "{operator: AND, conditions: [{operator: OR, conditions: [{type: keyword, name: plain}, {type: event, name: "
            "alert}]}, {operator: NOT, conditions: [{type: conversation, name: loop}]}]}",
            "(plain or alert) and not loop",
        ),
        ("{operator: AND, conditions: []}", None),
        ("{type: keyword, name: gone}", "left out"),
        ("{operator: OR, conditions: [{type: keyword, name: gone}, {type: keyword, name: plain}]}", "plain"),
        ("{operator: AND, conditions: [{type: keyword, name: gone}, {type: keyword, name: plain}]}", "left out"),
        ("{operator: NOT, conditions: [{type: keyword, name: gone}]}", None),
    ],
)
def test_conditions_become_expressions(condition: str, when: str | None) -> None:
    rules = decided(f"{SIGNALS}\ndecisions: [{{name: x, rules: {condition}, modelRefs: [{{model: small}}]}}]")
    if when == "left out":
        assert rules == {"default": None}
    else:
        assert rules["x"] == when


def test_signals_keep_their_meaning() -> None:
    signals = made(f"{SIGNALS}\ndecisions: []").policy
    made_of = made(f"{SIGNALS}\ndecisions: [{{name: x, modelRefs: [{{model: small}}]}}]").policy["signals"]
    assert "decisions" in signals
    assert made_of["plain"] == {"type": "keyword", "any": ["a", "内部 SDK"], "scope": "last"}
    assert made_of["every"] == {"type": "keyword", "all": ["a", "b"], "scope": "last", "case_sensitive": True}
    assert made_of["pattern"] == {"type": "keyword", "regex": ["\\d+"], "scope": "last"}
    assert made_of["stems"]["bm25_threshold"] == 0.2
    assert made_of["long"] == {"type": "context", "min_tokens": 16000, "max_tokens": 1_000_000}
    assert made_of["shared (structure)"]["gte"] == 4
    assert made_of["flow"] == {
        "type": "structure",
        "sequences": [["first", "then"]],
        "measure": "sequence",
        "scope": "last",
    }
    assert made_of["staff"] == {"type": "role", "users": ["mia"], "roles": ["staff"]}


def test_domains_that_are_not_sure_are_not_known_and_a_partitions_default_stands_for_them() -> None:
    section = """
signals: {domains: [{name: law}, {name: math}, {name: other}]}
projections:
  partitions: [{name: p, semantics: softmax_exclusive, members: [law, math, other], default: other}]
decisions:
  - {name: a, rules: {type: domain, name: law}, modelRefs: [{model: small}]}
  - {name: b, rules: {type: domain, name: other}, modelRefs: [{model: small}]}
"""
    assert made(section).policy["signals"]["domain (label)"]["min_confidence"] == 0.35
    assert decided(section)["a"] == '`domain (label)` == "law"'
    assert decided(section)["b"] == '`domain (label)` == "other" or not `domain (label)`'
    modules = {"model_catalog": {"modules": {"classifier": {"domain": {"threshold": 0.7}}}}}
    given = made(section, **{"global": modules}).policy["signals"]
    assert given["domain (label)"]["min_confidence"] == 0.49


@pytest.mark.parametrize(
    ("row", "signals", "when"),
    [
        ("{name: j, threshold: 0.9}", {"j": {"type": "jailbreak", "scope": "last"}}, "j"),
        (
            "{name: j, method: contrastive, threshold: 0.2, include_history: true, jailbreak_patterns: [evil], "
            "benign_patterns: [good]}",
            {
                "j": {
                    "type": "embedding",
                    "candidates": ["evil"],
                    "scope": "user",
                    "against": ["good"],
                    "threshold": 0.18,
                }
            },
            "j",
        ),
        (
            "{name: j, method: hybrid, jailbreak_patterns: [evil]}",
            {
                "j": {"type": "jailbreak", "scope": "last"},
                "j-patterns": {"type": "embedding", "candidates": ["evil"], "scope": "last"},
            },
            "j or j-patterns",
        ),
    ],
)
def test_jailbreak_rules_by_classifier_and_by_contrast(row: str, signals: dict[str, Any], when: str) -> None:
    section = f"""
signals: {{jailbreak: [{row}]}}
decisions: [{{name: a, rules: {{type: jailbreak, name: j}}, modelRefs: [{{model: small}}]}}]
"""
    assert made(section).policy["signals"] == signals
    assert decided(section)["a"] == when


def test_any_label_of_a_knowledge_base_that_is_near_enough() -> None:
    row = "{name: k, kb: my_kb, match: threshold, target: {kind: label, value: law}}"
    out = made(f"signals: {{kb: [{row}]}}\ndecisions: [{{name: x, rules: {{type: kb, name: k}}}}]")
    signal = out.policy["signals"]["k"]
    assert (signal["in"], signal["match"]) == (["law"], "any")
    assert signal["file"] in out.files


PROJECTIONS = """
signals:
  keywords: [{name: k, operator: OR, keywords: [a]}]
  embeddings:
    - {name: one, threshold: 0.8, aggregation_method: max, candidates: [x]}
    - {name: two, threshold: 0.8, candidates: [y]}
  complexity:
    - name: hardness
      threshold: 0.1
      composer: {operator: AND, conditions: [{type: keyword, name: k}]}
      hard: {candidates: [prove]}
      easy: {candidates: [say hi]}
projections:
  partitions: [{name: who, semantics: softmax_exclusive, temperature: 0.1, members: [one, two], default: two}]
  scores:
    - name: sum
      method: weighted_sum
      inputs:
        - {type: keyword, name: k, weight: 0.5, value_source: confidence}
        - {type: embedding, name: one, weight: 0.25}
        - {type: complexity, name: 'hardness:hard', weight: 0.5, match: 2, miss: -1}
        - {type: keyword, name: gone, weight: 9}
  mappings:
    - {name: level, source: sum, method: threshold_bands, calibration: {method: sigmoid_distance, slope: 9},
       outputs: [{name: low, lt: 0.5}, {name: high, gte: 0.5}]}
    - {name: each, source: sum, method: multi_emit, outputs: [{name: some, gt: 0}, {name: much, gte: 1, lt: 9}]}
decisions:
  - {name: a, priority: 2, rules: {type: projection, name: high}, modelRefs: [{model: small}]}
  - {name: b, priority: 1, rules: {type: projection, name: much}, modelRefs: [{model: small}]}
"""


def test_projections_become_derived_signals() -> None:
    out = made(PROJECTIONS)
    signals = out.policy["signals"]
    assert signals["who"] == {"type": "partition", "of": ["one", "two"], "temperature": 0.1, "default": "two"}
    assert signals["sum"]["terms"] == [
        {"when": "k", "weight": 0.5, "by": "confidence"},
        {"when": 'who == "one"', "weight": 0.25},
        {"when": 'hardness == "hard" and k', "weight": 1.0},
        {"when": 'not (hardness == "hard" and k)', "weight": -0.5},
    ]
    assert signals["level"]["slope"] == 9.0
    assert decided(PROJECTIONS) == {"a": 'level == "high"', "b": "sum >= 1.0 and sum < 9.0", "default": None}
    assert any("'gone' has no meaning here" in str(lost) for lost in out.lost)


def test_decisions_are_asked_as_there_and_what_never_holds_is_told() -> None:
    out = made(
        """
signals: {keywords: [{name: k, operator: OR, keywords: [a]}]}
decisions:
  - {name: last, tier: 2, rules: {operator: AND}, modelRefs: [{model: small}]}
  - {name: never, tier: 3, rules: {type: keyword, name: k}, modelRefs: [{model: small}]}
  - name: first
    tier: 1
    rules: {type: keyword, name: k}
    modelRefs: [{model: cloud/big model, use_reasoning: true}, {model: gone}]
    algorithm: {type: fusion}
    plugins: [{type: response_cache}]
"""
    )
    assert [row["name"] for row in out.policy["decisions"]] == ["first", "last"]
    told = "\n".join(map(str, out.lost))
    for what in (
        "never: can never be reached",
        "algorithm fusion",
        "plugin response_cache",
        "model 'gone'",
        "reasoning",
    ):
        assert what in told


def test_recipes_become_policies_called_by_their_model_names() -> None:
    out = made(
        "{}",
        recipes=[{"name": "r", "description": "d", "routing": {"decisions": [{"name": "x", "modelRefs": []}]}}],
        entrypoints=[{"recipe": "r", "model_names": ["vllm-sr/r", "other"]}],
    )
    assert out.policy["policies"] == {"vllm-sr/r": {"description": "d", "decisions": [{"name": "x", "use": ["small"]}]}}
    assert "recipes.r: is not called other here, only vllm-sr/r" in map(str, out.lost)


def test_a_knowledge_base_that_is_not_given_is_told() -> None:
    rows = "{name: k, kb: %s, target: {kind: label, value: law}}"
    out = made(f"signals: {{kb: [{rows % 'other_kb'}]}}\ndecisions: [{{name: x, modelRefs: []}}]")
    assert any("--kb other_kb=FILE" in str(lost) for lost in out.lost)
    assert "my_kb.json" in made(f"signals: {{kb: [{rows % 'my_kb'}]}}\ndecisions: [{{name: x}}]").files


@pytest.mark.parametrize("config", [{}, [], {"experts": {}}, {"routing": {"decisions": []}, "version": "v0.9"}])
def test_what_is_no_such_configuration_is_refused(config: Any) -> None:
    with pytest.raises(InputError):
        convert(config)
