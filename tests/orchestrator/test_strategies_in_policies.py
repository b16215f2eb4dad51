"""What a policy file may say of strategies, and that what could never run is refused with its place."""

import pytest

from experts.errors import ConfigError
from orchestrator.config import parse_config

FILE = """\
experts:
  small: {{backend: openai, url: "http://127.0.0.1:8000/v1", model: s{small}}}
  large: {{backend: openai, url: "http://127.0.0.1:8001/v1", model: l{large}}}
signals:
  good: {{type: keyword, any: [therefore]}}
decisions:
  - name: sums
    use: [small, large]
    strategy: {strategy}
"""
NO_LOGPROBS = ", without: [logprobs]"


def read(strategy: str, small: str = "", large: str = "") -> object:
    config = parse_config(FILE.format(strategy=strategy, small=small, large=large), "m.yaml")
    return config.policies["auto"].decisions[0].strategy.params


@pytest.mark.parametrize(
    "strategy",
    [
        "cascade",
        "{type: cascade, by: judge, checks: 3, judged_by: large}",
        "{type: cascade, by: verifier, verifier: good}",
        "{type: cascade, thresholds: {small: 0.9}, stages: 2}",
        "{type: best_of_n, judge: listwise, experts: 2, budget: {calls: 9, tokens: 5000, seconds: 20}}",
        "{type: self_consistency, answer: number}",
        "{type: fallback, also_on: [length, refusal]}",
        "{type: mcts, iterations: 5, width: 3, exploration: 1.4}",
    ],
)
def test_what_may_be_said(strategy: str) -> None:
    assert read(strategy) is not None


@pytest.mark.parametrize(
    ("strategy", "told"),
    [
        (
            "{type: cascade, by: free_energy, threshold: 9}",
            "needs logits for by: free_energy, which 'small' cannot give",
        ),
        ("{type: cascade, by: free_energy}", "needs a threshold"),
        ("{type: cascade, by: verifier}", "needs an expression"),
        ("{type: cascade, verifier: good}", "needs an expression"),
        ("{type: cascade, by: verifier, verifier: god}", "god"),
        ("{type: cascade, by: guess}", "by"),
        ("{type: cascade, thresholds: {smal: 1}}", "unknown expert 'smal'; did you mean 'small'?"),
        ("{type: best_of_n, judged_by: larg}", "unknown expert 'larg'; did you mean 'large'?"),
        ("{type: mcts, judged_by: nobody}", "unknown expert 'nobody'"),
        ("{type: self_consistency, sample: 3}", "did you mean 'samples'?"),
        ("{type: fallback, also_on: [silence]}", "silence"),
    ],
)
def test_what_may_not_be_said(strategy: str, told: str) -> None:
    with pytest.raises(ConfigError) as raised:
        read(strategy)
    assert told in str(raised.value)
    assert "m.yaml:9:" in str(raised.value), "the strategy's line"


def test_log_probabilities_are_needed_of_all_whose_answers_are_judged_by_them() -> None:
    assert read("cascade", large=NO_LOGPROBS), "the last stage's answer is taken as it is"
    for strategy, expert in (("cascade", "small"), ("{type: best_of_n, judge: logprob}", "large")):
        with pytest.raises(ConfigError, match=f"needs logprobs .*'{expert}' cannot give"):
            read(strategy, **{expert: NO_LOGPROBS})
    assert read("best_of_n", small=NO_LOGPROBS, large=NO_LOGPROBS)


def test_an_engine_that_says_it_gives_logits_is_believed() -> None:
    """Of a server that is not ours only its operator knows: `features` lists what it can do."""
    features = ", features: [chat, logprobs, logits]"
    assert read("{type: cascade, by: free_energy, threshold: 9}", small=features)
