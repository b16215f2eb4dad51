"""`madrigal import vllm-sr`: the file it writes is a policy, and it reaches the decisions of the other's probes."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from experts import registry
from orchestrator.cases import read_cases
from orchestrator.cli import build
from orchestrator.probes import read_probes

SHARED = Path(__file__).parents[3] / "shared/data"
CONFIG = """
version: v0.3
providers:
  models:
    - {name: local/small, backend_refs: [{endpoint: "vllm:8000"}]}
    - {name: big, backend_refs: [{base_url: "https://api.example.com/v1"}]}
routing:
  signals:
    keywords: [{name: hard words, operator: OR, keywords: [prove]}]
    kb: [{name: private, kb: mine, target: {kind: label, value: secret}}]
  decisions:
    - {name: hard, priority: 9, rules: {type: keyword, name: hard words}, modelRefs: [{model: big}]}
    - {name: rest, priority: 1, rules: {operator: AND}, modelRefs: [{model: local/small}], plugins: [{type: rag}]}
"""
PROBES = """
decisions:
  - expected_decision: hard
    variants:
      - {id: a, query: Prove it., repeat: 2}
      - {id: b, query: Prove it., padding: {text: bla, repeat: 3, placement: before}}
  - expected_decision: rest
    variants:
      - {id: c, messages: [{role: user, content: hi}], tools: [{type: function, function: {name: f}}]}
"""


KNOWN = set(registry.known("router.signals"))
needs_kb = pytest.mark.skipif("kb" not in KNOWN, reason="the signal kb is not here")
needs_neural = pytest.mark.skipif(
    not {"jailbreak", "domain", "embedding"} <= KNOWN, reason="the recipes use neural signals that are not here"
)


def madrigal(*args: object) -> Result:
    return CliRunner().invoke(build(), [str(arg) for arg in args])


@needs_kb
def test_import_writes_a_policy_and_tells_what_is_lost(tmp_path: Path) -> None:
    (tmp_path / "config.yaml").write_text(CONFIG)
    (tmp_path / "labels.json").write_text(json.dumps({"labels": {"secret": {"exemplars": ["our code"]}}}))
    (tmp_path / "probes.yaml").write_text(PROBES)
    out = tmp_path / "ours.yaml"
    done = madrigal(
        "import", "vllm-sr", tmp_path / "config.yaml", "-o", out, "--kb", f"mine={tmp_path / 'labels.json'}"
    )
    assert done.exit_code == 0, done.output
    assert "2 experts, 2 decisions in 1 policy; 1 thing not carried" in done.stdout
    assert "not carried: routing.decisions.rest: the plugin rag is not carried" in done.stderr
    assert "#   routing.decisions.rest: the plugin rag is not carried" in out.read_text()
    assert json.loads((tmp_path / "mine.json").read_text())["labels"]["secret"]["exemplars"] == ["our code"]
    tested = madrigal("policy", "test", tmp_path / "probes.yaml", "--config", out)
    assert tested.exit_code == 0, tested.output
    assert "3 of 3 cases as expected" in tested.stdout
    again = madrigal("import", "vllm-sr", tmp_path / "config.yaml", "-o", out)
    assert again.exit_code == 2
    assert "is there already" in again.stderr


@pytest.mark.parametrize(
    ("args", "says"),
    [
        ("{}/gone.yaml", "cannot be read"),
        ("{}/not.yaml", "is no YAML"),
        ("{}/config.yaml --kb x", "--kb takes NAME=FILE"),
        ("{}/config.yaml --kb x={}/config.yaml", "holds no labelled examples"),
    ],
)
def test_wrong_calls_are_told(tmp_path: Path, args: str, says: str) -> None:
    (tmp_path / "config.yaml").write_text(CONFIG)
    (tmp_path / "not.yaml").write_text("a: [")
    done = madrigal("import", "vllm-sr", *args.replace("{}", str(tmp_path)).split(), "-o", tmp_path / "out.yaml")
    assert done.exit_code == 2
    assert says in done.stderr


def test_probes_keep_their_lines_and_texts() -> None:
    probes = read_probes(PROBES, "probes.yaml")
    assert [line for line, _ in probes] == [5, 6, 9]
    assert [case.shown for _, case in probes] == ["Prove it. Prove it.", "bla bla bla Prove it.", "hi"]
    assert probes[2][1].request == {"tools": [{"type": "function", "function": {"name": "f"}}]}
    assert read_cases('{"text": "a", "decision": "x"}', "c.jsonl")[0][1].decision == "x"


@needs_neural
@pytest.mark.shared
def test_the_shared_recipes_reach_nine_of_ten_of_their_decisions(tmp_path: Path) -> None:
    """225 probes over five recipes; docs/benchmarks.md tells every miss."""
    if not SHARED.exists():
        pytest.skip("../shared/data is not here")
    right = cases = 0
    for config in sorted((SHARED / "vllm_sr").glob("*.config.yaml")):
        recipe = config.name.removesuffix(".config.yaml")
        out = tmp_path / f"{recipe}.yaml"
        kbs = [
            f"--kb={kb}={SHARED}/signals/kb_{kb.removesuffix('_kb')}.labels.json" for kb in ("privacy_kb", "mmlu_kb")
        ]
        command = [sys.executable, "-c", "from orchestrator.cli import main; main()"]
        subprocess.run([*command, "import", "vllm-sr", config, "-o", out, *kbs], check=True, capture_output=True)
        probes = config.with_name(f"{recipe}.probes.yaml")
        done = subprocess.run(
            [*command, "policy", "test", probes, "-c", out, "--json"], capture_output=True, text=True, check=False
        )
        told = json.loads(done.stdout)
        right, cases = right + told["cases"] - told["missed"], cases + told["cases"]
    assert cases == 225
    assert right >= 0.9 * cases
