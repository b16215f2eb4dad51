"""The commands that need no server, as a user types them."""

import io
import json
import subprocess
import sys
import time
from pathlib import Path

import pytest
from jsonschema import Draft202012Validator
from rich.console import Console
from typer.testing import CliRunner, Result

from experts.sources import Progress
from orchestrator.cli import build
from orchestrator.cli.experts import shown

COMMAND = Path(sys.executable).with_name("madrigal")
POLICY = """\
experts:
  coder: {backend: openai, url: "http://127.0.0.1:9/v1", model: m, local: false, price: {input: 1, output: 2}}
  general: {source: "file:model.gguf"}
signals:
  code: {type: keyword, any: [python]}
  long: {type: context, min_tokens: 4000}
  rude: {type: keyword, any: [damn]}
constraints:
  - {name: manners, when: rude, refuse: "Please be polite."}
decisions:
  - {name: code, when: code and not long, use: [coder, general]}
  - {name: rest, use: general}
"""


@pytest.fixture
def policy(tmp_path: Path) -> Path:
    path = tmp_path / "m.yaml"
    path.write_text(POLICY)
    return path


def madrigal(*arguments: object, stdin: str | None = None) -> Result:
    return CliRunner().invoke(build(), [str(argument) for argument in arguments], input=stdin)


# madrigal


def test_help_is_quick_and_names_every_command():
    started = time.perf_counter()
    done = subprocess.run([COMMAND, "--help"], capture_output=True, text=True, check=True)
    assert time.perf_counter() - started < 5  # 0.2 s measured; torch alone would take longer than this
    for command in ("serve", "chat", "route", "policy", "experts", "doctor", "keys", "store"):
        assert f" {command} " in done.stdout


def test_the_command_line_loads_nothing_heavy():
    script = (
        "import sys; from orchestrator.cli import build; build();"
        "print([m for m in ('torch', 'sqlalchemy', 'aiohttp', 'fastapi', 'numpy', 'pydantic', 'yaml') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_an_error_is_one_line_and_what_would_work():
    done = madrigal("route", "hello", "--config", "nowhere.yaml")
    assert (done.exit_code, done.stdout) == (2, "")
    first, second = done.stderr.strip().split("\n")
    assert first == "error: nowhere.yaml: there is no such file"
    assert second.startswith("Name another with --config")


def test_debug_shows_where_an_error_came_from():
    done = madrigal("--debug", "route", "hello", "--config", "nowhere.yaml")
    assert done.exit_code == 2
    assert "Traceback" in done.stderr
    assert "error: nowhere.yaml" in done.stderr


def test_version():
    assert madrigal("--version").stdout.startswith("madrigal 0.")


def test_an_unknown_option_is_a_wrong_call():
    assert madrigal("route", "hello", "--jsonn").exit_code == 2


# madrigal policy check


def test_check_a_valid_policy(policy: Path):
    done = madrigal("policy", "check", policy)
    assert done.exit_code == 0
    assert "valid: 2 experts, 3 signals, 2 decisions in 1 policy; hash " in done.stdout


def test_check_tells_every_error_and_exits_with_1(policy: Path):
    policy.write_text(POLICY.replace("not long", "not lang").replace("model: m", "modle: m"))
    done = madrigal("policy", "check", policy)
    assert (done.exit_code, done.stdout) == (1, "")
    first, second = done.stderr.strip().split("\n")
    assert first.startswith(f"{policy}:2:58: experts.coder.modle: unknown key 'modle'; did you mean 'model'?")
    assert second.startswith(f"{policy}:11:37: decisions[0].when: unknown signal 'lang'. Did you mean long?")


def test_check_of_no_file_is_a_wrong_call(tmp_path: Path):
    assert madrigal("policy", "check", tmp_path / "no.yaml").exit_code == 2


def test_schema_is_json():
    done = madrigal("policy", "schema")
    assert done.exit_code == 0
    Draft202012Validator.check_schema(json.loads(done.stdout))


# madrigal policy test


def test_cases_that_are_decided_as_expected(policy: Path, tmp_path: Path):
    cases = tmp_path / "cases.jsonl"
    cases.write_text(
        """\
# comments and blank lines are skipped

{"text": "a python script", "decision": "code", "expert": "coder", "signals": {"code": true, "long": false}}
{"messages": [{"role": "user", "content": "python"}, {"role": "assistant", "content": "yes"}, {"role": "user", "content": "go on"}], "decision": "code"}
{"text": "python", "model": "general", "decision": "direct", "expert": "general"}
{"text": "damn python", "decision": "refused"}
{"text": "hi", "decision": "rest", "expert": "general", "signals": {"code": {"matched": false, "value": []}}}
"""
    )
    done = madrigal("policy", "test", cases, "--config", policy)
    assert done.exit_code == 0, done.output
    assert "5 of 5 cases as expected" in done.stdout


def test_cases_that_miss(policy: Path, tmp_path: Path):
    cases = tmp_path / "cases.jsonl"
    cases.write_text(
        """\
{"text": "python", "decision": "rest"}
{"text": "python", "decision": "code", "expert": "general"}
{"text": "hi", "decision": "rest", "signals": {"code": true, "cod": true, "long": true}}
{"text": "hi", "decision": "rest"}
"""
    )
    done = madrigal("policy", "test", cases, "--config", policy, "--json")
    assert done.exit_code == 1
    told = json.loads(done.stdout)
    assert (told["cases"], told["missed"]) == (4, 3)
    assert [one["misses"] for one in told["outcomes"]] == [
        ["decision code, expected rest"],
        ["expert coder, expected general"],
        [
            "code.matched is false, expected true",
            "there is no signal 'cod'; did you mean 'code'? Known: code, long, rude",
            "signal long was not needed, so not computed",
        ],
        [],
    ]
    table = madrigal("policy", "test", cases, "--config", policy)
    assert table.exit_code == 1
    assert "1 of 4 cases as expected" in table.stdout


def test_wrong_lines_of_cases_are_told_by_number(policy: Path, tmp_path: Path):
    cases = tmp_path / "cases.jsonl"
    cases.write_text(
        '{"text": "a", "decision": "rest"}\n{"text": "a"}\n\nnot json\n{"text": "a", "desicion": "x", "decision": "y"}\n'
        '{"decision": "x"}\n{"text": 5, "decision": "x"}\n'
    )
    done = madrigal("policy", "test", cases, "--config", policy)
    assert done.exit_code == 2
    lines = done.stderr.replace("error: ", "").split("\n")
    assert lines[0] == f"{cases}:2: key 'decision' is missing"
    assert lines[1].startswith(f"{cases}:4: not JSON: ")
    assert lines[2].startswith(f"{cases}:5: unknown key 'desicion'; did you mean 'decision'?")
    assert lines[3] == f"{cases}:6: a case needs exactly one of 'text' and 'messages'"
    assert lines[4].startswith(f"{cases}:7: text: ")
    cases.write_text("\n")
    assert "holds no cases" in madrigal("policy", "test", cases, "--config", policy).stderr


# madrigal route


def test_route_says_who_and_why(policy: Path):
    done = madrigal("route", "write python please", "--config", policy)
    assert done.exit_code == 0, done.output
    for words in ("decision  code", "coder", "number 1 of use", "code is true", "long is false", "selector static"):
        assert words in done.stdout


def test_route_as_json_has_the_promised_keys(policy: Path):
    trace = json.loads(madrigal("route", "write python please", "--json", "--config", policy).stdout)
    assert {"decision", "experts", "strategy", "signals", "decisions", "ms"} <= set(trace)
    assert [set(expert) for expert in trace["experts"]] == [{"name", "score", "why"}] * 2
    assert set(trace["signals"]["code"]) == {"computed", "matched", "value", "label", "confidence", "ms"}
    assert [set(decision) for decision in trace["decisions"]] == [{"name", "matched", "why"}] * 2


def test_route_of_a_refused_request_shows_the_answer(policy: Path):
    done = madrigal("route", "damn", "--config", policy)
    assert "Please be polite." in done.stdout
    assert "not needed" in done.stdout


def test_route_reads_stdin_and_conversations(policy: Path, tmp_path: Path):
    assert "decision  code" in madrigal("route", "--config", policy, stdin="some python").stdout
    messages = tmp_path / "messages.json"
    messages.write_text('[{"role": "user", "content": "python"}, {"role": "user", "content": "more"}]')
    assert "decision  code" in madrigal("route", "--messages", messages, "--config", policy).stdout
    messages.write_text('{"model": "general", "messages": [{"role": "user", "content": "python"}]}')
    assert "decision  direct" in madrigal("route", "--messages", messages, "--config", policy).stdout
    messages.write_text('{"messages": 5}')
    assert "must hold a list of messages" in madrigal("route", "--messages", messages, "--config", policy).stderr
    messages.write_text("{")
    assert "is not JSON" in madrigal("route", "--messages", messages, "--config", policy).stderr


def test_route_of_an_unknown_model(policy: Path):
    done = madrigal("route", "hi", "--model", "genral", "--config", policy)
    assert done.exit_code == 2
    assert "did you mean 'general'?" in done.stderr


# madrigal experts


def test_experts_list(policy: Path):
    (policy.parent / "model.gguf").write_bytes(b"x" * 2_000_000)
    done = madrigal("experts", "list", "--json", "--config", policy)
    coder, general = json.loads(done.stdout)
    assert (coder["name"], coder["pulled"], coder["local"], coder["price"]["output"]) == ("coder", None, False, 2.0)
    assert (general["pulled"], general["bytes"], general["context_tokens"]) == (True, 2_000_000, 4096)
    assert "2 MB" in madrigal("experts", "list", "--config", policy).stdout


def test_a_source_that_was_pulled_is_found_without_network(policy: Path, tmp_path: Path):
    policy.write_text(
        f"pool: {{cache: {tmp_path}}}\nexperts: {{a: {{source: 'pypi:Some_Model==1.0'}}, b: {{source: 'https://x/y.gguf'}}}}"
    )
    pulled = tmp_path / "pypi" / "some-model-1.0"
    pulled.mkdir(parents=True)
    (pulled / "model.gguf").write_bytes(b"xyz")
    (pulled / ".whole").touch()
    a, b = json.loads(madrigal("experts", "list", "--json", "--config", policy).stdout)
    assert (a["path"], a["bytes"]) == (str(pulled / "model.gguf"), 3)
    assert (b["pulled"], b["path"]) == (False, None)


@pytest.mark.parametrize("terminal", [True, False])
def test_progress_shows_source_and_size(terminal: bool):
    console = Console(file=io.StringIO(), force_terminal=terminal, width=160)
    with shown(console) as report:
        report(Progress("pypi:m==1", "resolve"))
        for done in range(101):
            report(Progress("pypi:m==1", "download", done * 1_000_000, 100_000_000))
    told = console.file.getvalue()  # type: ignore[attr-defined]
    assert "download pypi:m==1" in told
    assert "100.0/100.0 MB" in told if terminal else "download pypi:m==1 50 of 100 MB\n" in told
    if not terminal:
        assert told.count("\n") == 12


def test_experts_pull(policy: Path):
    (policy.parent / "model.gguf").write_bytes(b"x")
    done = madrigal("experts", "pull", "--config", policy)
    assert done.stdout == f"general: {policy.parent / 'model.gguf'}\n"
    assert "did you mean 'general'?" in madrigal("experts", "pull", "genral", "--config", policy).stderr


def test_experts_pull_of_a_model_that_is_not_there(policy: Path):
    done = madrigal("experts", "pull", "general", "--config", policy)
    assert done.exit_code == 2
    assert f"there is no {policy.parent / 'model.gguf'}" in done.stderr


# madrigal doctor


def findings(policy: Path, code: int) -> dict[str, dict[str, str]]:
    done = madrigal("doctor", "--json", "--config", policy)
    assert done.exit_code == code, done.output
    return {one["what"]: one for one in json.loads(done.stdout)}


def test_doctor_finds_what_would_fail(policy: Path):
    text = POLICY.replace("model: m,", "model: m, api_key_env: NO_SUCH_KEY,")
    text += f"pool: {{cache: {policy}/x}}\nstore: {{url: 'sqlite:///{policy}/x.db'}}\nserver: {{port: 0}}\n"  # a file is no folder
    policy.write_text(text)
    found = findings(policy, 1)
    assert found["expert coder"]["remedy"] == "export NO_SUCH_KEY=…"
    assert found["expert general"]["state"] == "fail"
    assert found["cache"]["remedy"] == "Name another: pool.cache, or MADRIGAL_CACHE."
    assert found["store"]["state"] == "fail"
    assert found["llama.cpp"]["state"] == found["python"]["state"] == "ok"


def test_doctor_is_content(policy: Path, tmp_path: Path):
    policy.write_text(
        f"pool: {{cache: {tmp_path}}}\nstore: {{url: 'sqlite:///{tmp_path}/m.db'}}\nserver: {{port: 0}}\n"
    )
    found = findings(policy, 0)
    assert found["expert general"]["state"] == "warn"  # not pulled yet; serve does it
    assert found["config"]["state"] == "ok"
    assert "nothing would fail" in madrigal("doctor", "--config", policy).stdout
    assert not (tmp_path / "m.db").exists()  # it changes nothing


def test_doctor_of_an_invalid_policy(policy: Path):
    policy.write_text("server: {prot: 1}")
    assert "unknown key 'prot'" in findings(policy, 1)["config"]["found"]
