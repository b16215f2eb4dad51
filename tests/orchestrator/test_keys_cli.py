"""`madrigal keys` and `madrigal store`, as typed, on both databases."""

import asyncio
import json
import re
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from experts.errors import InputError
from orchestrator.cli import build
from orchestrator.cli.keys import moment
from orchestrator.keys import Keys
from orchestrator.store.recorder import Recorder
from orchestrator.store.records import CallRecord, RequestRecord
from orchestrator.store.store import Store

CONFIG = """
experts:
  far: {{backend: openai, url: http://127.0.0.1:1/v1, model: m}}
decisions:
  - {{name: rest, use: [far]}}
store: {{url: "{url}", retention_days: 1}}
server:
  keys: [{{name: ci, key_env: CI_KEY}}]
"""


@pytest.fixture
def config(tmp_path: Path, database_url: str) -> Path:
    file = tmp_path / "madrigal.yaml"
    file.write_text(CONFIG.format(url=database_url))
    return file


def madrigal(*words: Any, **environment: str) -> Result:
    runner = CliRunner(env={"COLUMNS": "120", "MADRIGAL_STORE": None, **environment})
    return runner.invoke(build(), [str(word) for word in words], catch_exceptions=False)


def test_a_key_from_creation_to_revocation(config: Path, database_url: str) -> None:
    made = madrigal("keys", "create", "alice", "--role", "trace", "--model", "auto", "--rpm", 60, "-c", config)
    assert made.exit_code == 0
    token = made.stdout.splitlines()[-1]
    assert token.startswith("sk-mad-")

    listed = madrigal("keys", "list", MADRIGAL_STORE=database_url)
    assert listed.exit_code == 0 and token not in listed.stdout
    assert all(word in listed.stdout for word in ("alice", "trace", "auto", "60 req/min", "in force"))

    again = madrigal("keys", "create", "alice", "--store", database_url)
    assert (again.exit_code, again.stdout) == (2, "")
    assert again.stderr.splitlines()[0] == "error: a key named 'alice' exists already."

    assert madrigal("keys", "revoke", "alice", "--store", database_url).exit_code == 0
    assert madrigal("keys", "revoke", "alice", "--store", database_url).exit_code == 2
    assert "No keys" in madrigal("keys", "list", "--store", database_url).stdout
    [key] = json.loads(madrigal("keys", "list", "--revoked", "--json", "--store", database_url).stdout)
    assert key["name"] == "alice" and key["revoked_at"] is not None


async def test_the_token_shown_is_the_one_that_works(database_url: str) -> None:
    made = await asyncio.to_thread(
        madrigal, "keys", "create", "bob", "--budget", 5, "--period", "day", "--expires", "2d", "--json",
        "--store", database_url,
    )  # fmt: skip
    shown = json.loads(made.stdout)
    store = await Store.open(database_url)
    key = await (await Keys.open(store)).authenticate(shown["token"])
    assert (key.id, key.quota.budget_usd, key.quota.budget_period) == (shown["id"], 5.0, "day")
    assert key.expires_at == pytest.approx(time.time() + 2 * 86_400, abs=60)
    await store.close()


async def test_usage_info_and_purge(config: Path, database_url: str) -> None:
    store = await Store.open(database_url)
    alice, _ = await (await Keys.open(store)).create("alice")
    recorder = Recorder(store, retention_days=None)
    recorder.start()
    for number, (key_id, age_days) in enumerate([(alice.id, 0), (alice.id, 3), ("config:ci", 9)]):
        call = CallRecord("coder", prompt_tokens=1000, completion_tokens=5, cost_usd=0.25)
        created_at = time.time() - age_days * 86_400
        recorder.put(RequestRecord(f"r{number}", created_at, "chat/completions", key_id, expert="coder", calls=(call,)))
    await recorder.close()
    await store.close()

    async def typed(*words: Any) -> str:
        result = await asyncio.to_thread(madrigal, *words, "--config", config)
        assert result.exit_code == 0, result.stderr
        return result.stdout

    [row] = json.loads(await typed("keys", "usage", "alice", "--by", "expert", "--json"))
    assert row == {
        "expert": "coder",
        "requests": 2,
        "calls": 2,
        "prompt_tokens": 2000,
        "completion_tokens": 10,
        "cached_tokens": 0,
        "cost_usd": 0.5,
    }
    assert "2,000" in await typed("keys", "usage", alice.id, "--by", "expert")
    assert "1,000" in await typed("keys", "usage", "ci")
    today = datetime.now(UTC).date().isoformat()
    assert len(json.loads(await typed("keys", "usage", "alice", "--since", today, "--json"))) == 1
    assert "Nothing was used" in await typed("keys", "usage", "alice", "--until", "2020-01-01")
    assert json.loads(await typed("store", "info", "--json"))["rows"]["requests"] == 3
    assert "1 requests older than 5 days" in await typed("store", "purge", "--older-than", 5)
    assert "1 requests older than 1 days" in await typed("store", "purge")  # store.retention_days
    assert re.search(r"^requests +1$", await typed("store", "info"), re.MULTILINE)
    assert "has schema" in await typed("store", "migrate")


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["keys", "usage", "nobody"], "no key has the name or id 'nobody'"),
        (["keys", "usage", "nobody", "--since", "yesterday"], "--since must be a day"),
        (["keys", "create", "x", "--expires", "soon"], "--expires must be a day"),
        (["keys", "create", "x", "--model", "a*b"], "a model is named exactly"),
        (["store", "purge", "--config", "gone.yaml"], "gone.yaml"),
        (["store", "info", "--store", "mysql://u:secret@h/d"], "cannot use 'mysql' databases"),
    ],
)
def test_what_cannot_be_done_is_said_in_one_line(tmp_path: Path, words: list[str], says: str) -> None:
    url = f"sqlite:///{tmp_path / 'x.db'}"
    result = madrigal(*words, MADRIGAL_STORE="" if "--config" in words else url)
    assert result.exit_code == 2
    assert says in result.stderr.splitlines()[0]
    assert "secret" not in result.output


NOW = datetime(2026, 1, 31, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    ("text", "means"),
    [
        ("12h", NOW + timedelta(hours=12)),
        ("30d", NOW + timedelta(days=30)),
        ("2026-12-31", datetime(2027, 1, 1, tzinfo=UTC)),
        ("2026-12-31T18:00+01:00", datetime(2026, 12, 31, 17, tzinfo=UTC)),
    ],
)
def test_when_a_key_expires(text: str, means: datetime) -> None:
    assert moment(text, NOW) == means


@pytest.mark.parametrize("text", ["", "soon", "30", "2026-13-01", "2026-12-31T18:00", "9999999d", "9999-12-31"])
def test_no_moment(text: str) -> None:
    with pytest.raises(InputError, match="--expires must be"):
        moment(text, NOW)
