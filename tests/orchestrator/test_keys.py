"""Keys: made, found, revoked, by this process and by others. On both databases."""

import asyncio
import contextlib
import hashlib
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from experts.errors import (
    AuthenticationError,
    ConfigError,
    ConflictError,
    ForbiddenError,
    InputError,
    NotFoundError,
)
from orchestrator.caller import ANONYMOUS, Key, Quota
from orchestrator.keys import Keys
from orchestrator.settings import KeySpec, Limits
from orchestrator.store.store import Store

SECRET = "a-token-of-sufficient-length"


@pytest.fixture
async def store(database_url: str) -> AsyncIterator[Store]:
    store = await Store.open(database_url)
    yield store
    await store.close()


async def test_a_new_key_is_recognised_by_its_token_alone(store: Store) -> None:
    keys = await Keys.open(store)
    key, token = await keys.create(
        "alice",
        tenant="acme",
        user="ann",
        roles=["trace", "gold"],
        models=["auto"],
        quota=Quota(60, 1000, 5.0, "day"),
        expires_at=time.time() + 3600,
    )
    assert token.startswith("sk-mad-") and len(token) == 7 + 43
    assert await keys.authenticate(token) == key
    assert await (await Keys.open(store)).authenticate(token) == key
    assert key.quota == Quota(60, 1000, 5.0, "day")
    for wrong in (None, "", "sk-mad-", token[:-1], token + "x", token.upper(), "\ud800", "ü" * 100_000):
        with pytest.raises(AuthenticationError):
            await keys.authenticate(wrong)


async def test_only_the_hash_of_a_token_is_stored(store: Store) -> None:
    _, token = await (await Keys.open(store)).create("alice")
    async with store.reading() as connection:
        [row] = (await connection.execute(sa.text("SELECT * FROM keys"))).mappings().all()
    assert bytes(row["hash"]) == hashlib.sha256(token.encode()).digest()
    assert all(token[11:] not in str(value) for value in row.values())


async def test_no_key_is_needed_until_one_was_made_and_from_then_on_always(store: Store) -> None:
    keys = await Keys.open(store)
    assert not keys.required
    assert await keys.authenticate(None) is ANONYMOUS
    assert await keys.authenticate("sk-anything-a-client-sends") is ANONYMOUS
    _, token = await keys.create("alice")
    await keys.revoke("alice")
    assert keys.required
    for sent, says in ((None, "none was sent"), (token, "was revoked")):
        with pytest.raises(AuthenticationError, match=says):
            await keys.authenticate(sent)
    assert (await Keys.open(store)).required


async def test_a_revoked_key_frees_its_name(store: Store) -> None:
    keys = await Keys.open(store)
    first, _ = await keys.create("alice")
    with pytest.raises(ConflictError, match="'alice' exists"):
        await keys.create("alice")
    revoked = await keys.revoke(first.id)
    assert revoked.revoked_at is not None
    second, _ = await keys.create("alice")
    assert [key.id for key in await keys.list()] == [second.id]
    assert [key.id for key in await keys.list(revoked=True)] == [first.id, second.id]
    for name in (first.id, "bob"):
        with pytest.raises(NotFoundError):
            await keys.revoke(name)


async def test_a_key_expires(store: Store) -> None:
    now = 1000.0
    keys = await Keys.open(store, clock=lambda: now)
    key, token = await keys.create("alice", expires_at=1060.0)
    assert (key.created_at, key.expires_at) == (1000.0, 1060.0)
    now = 1059.9
    assert await keys.authenticate(token) == key
    now = 1060.0
    with pytest.raises(AuthenticationError, match="expired"):
        await keys.authenticate(token)


async def test_what_another_process_does_is_seen_within_two_seconds(store: Store) -> None:
    async with watching(store) as keys:
        other = await Keys.open(store)
        _, token = await other.create("alice")
        await within(2.0, lambda: keys.required)
        assert (await keys.authenticate(token)).name == "alice"
        await other.revoke("alice")
        await within(2.0, lambda: refused(keys, token))


async def test_a_key_made_elsewhere_is_found_on_first_use(store: Store) -> None:
    async with watching(store, poll_s=3600) as keys:
        other = await Keys.open(store)
        await other.create("first")
        await keys.list()
        _, token = await other.create("alice")
        assert (await keys.authenticate(token)).name == "alice"


async def test_wrong_tokens_do_not_hammer_the_database(store: Store) -> None:
    async with watching(store, poll_s=3600) as keys:
        await keys.create("alice")
        queries = 0

        def count(*details: Any) -> None:
            nonlocal queries
            queries += "FROM keys" in details[2]

        sa.event.listen(store.engine.sync_engine, "before_cursor_execute", count)
        started = time.perf_counter()
        results = await asyncio.gather(*(keys.authenticate(f"sk-mad-{n}") for n in range(1000)), return_exceptions=True)
        assert all(isinstance(result, AuthenticationError) for result in results)
        assert queries <= 1 + (time.perf_counter() - started) / 1.0


async def test_a_known_key_costs_no_query_even_with_the_database_gone(store: Store) -> None:
    async with watching(store, poll_s=0.01) as keys:
        key, token = await keys.create("alice")
        async with store.writing() as connection:
            await connection.execute(sa.text("ALTER TABLE keys RENAME TO away"))
        assert await keys.authenticate(token) == key
        with pytest.raises(AuthenticationError):
            await keys.authenticate("sk-mad-unknown")
        async with store.writing() as connection:
            await connection.execute(sa.text("ALTER TABLE away RENAME TO keys"))
        _, later = await (await Keys.open(store)).create("bob")
        await within(2.0, lambda: not refused(keys, later))


async def test_changes_of_many_processes_are_all_seen(store: Store) -> None:
    async with watching(store, poll_s=0.001) as keys:
        others = [await Keys.open(store) for _ in range(4)]
        made = await asyncio.gather(*(other.create(f"k{i}-{n}") for n in range(5) for i, other in enumerate(others)))
        tokens = [token for _, token in made]
        await within(2.0, lambda: not any(refused(keys, token) for token in tokens))


async def test_keys_of_the_configuration_live_beside_those_of_the_store(store: Store) -> None:
    spec = KeySpec(
        name="ci", key_env="CI_KEY", tenant="acme", roles=("trace",), models=("coder",), limits=Limits(budget_usd=1)
    )
    keys = await Keys.open(store, [spec], environ={"CI_KEY": f"{SECRET}\n"})
    key = await keys.authenticate(SECRET)
    assert (key.id, key.tenant, key.roles, key.models) == ("config:ci", "acme", {"trace"}, ("coder",))
    assert key.quota == Quota(budget_usd=1)
    await keys.create("alice")
    assert [key.name for key in await keys.list()] == ["ci", "alice"]
    with pytest.raises(InputError, match=r"server\.keys"):
        await keys.revoke("ci")
    keys.configure([])
    with pytest.raises(AuthenticationError):
        await keys.authenticate(SECRET)


async def test_configured_keys_need_their_variable_and_no_store() -> None:
    spec = KeySpec(name="ci", key_env="CI_KEY")
    keys = await Keys.open(None, [spec], environ={"CI_KEY": SECRET})
    assert keys.required and (await keys.authenticate(SECRET)).name == "ci"
    with pytest.raises(InputError, match="store"):
        await keys.create("alice")
    with pytest.raises(ConfigError, match="'GONE' must hold the token of key 'x'") as refused:
        keys.configure([spec, KeySpec(name="x", key_env="GONE")])
    assert "server.keys[1].key_env" in str(refused.value)
    with pytest.raises(ConfigError, match="same token"):
        keys.configure([spec, KeySpec(name="twin", key_env="CI_KEY")])
    assert (await keys.authenticate(SECRET)).name == "ci"  # a refused reload changed nothing


@pytest.mark.parametrize(
    ("allowed", "model", "may"),
    [
        ((), "anything", True),
        (("auto",), "auto", True),
        (("auto",), "coder", False),
        (("qwen/*",), "qwen/7b", True),
        (("qwen/*",), "qwen", False),
        (("qwen/*", "auto"), "auto", True),
        (("*",), "anything", True),
    ],
)
def test_the_models_a_key_may_use(allowed: tuple[str, ...], model: str, may: bool) -> None:
    key = Key("k", "alice", models=allowed)
    assert key.may_use(model) is may
    with contextlib.nullcontext() if may else pytest.raises(ForbiddenError, match="may not use the model"):
        key.demand_model(model)


def test_roles_open_parts_of_the_api() -> None:
    assert Key("k", "alice", roles=frozenset({"trace"})).has("trace")
    assert Key("k", "root", roles=frozenset({"admin"})).has("trace")
    with pytest.raises(ForbiddenError, match="role 'admin'"):
        Key("k", "alice", roles=frozenset({"trace"})).demand("admin")


@pytest.mark.parametrize(
    ("wrong", "param"),
    [
        ({"name": " "}, "name"),
        ({"name": "a\nb"}, "name"),
        ({"models": ["a*b"]}, "models"),
        ({"models": [""]}, "models"),
        ({"quota": Quota(requests_per_minute=0)}, "requests_per_minute"),
        ({"quota": Quota(tokens_per_minute=-1)}, "tokens_per_minute"),
        ({"quota": Quota(budget_usd=float("nan"))}, "budget_usd"),
        ({"expires_at": 1.0}, "expires_at"),
    ],
)
async def test_impossible_keys_are_refused(tmp_path: Path, wrong: dict[str, Any], param: str) -> None:
    store = await Store.open(f"sqlite:///{tmp_path / 'x.db'}")
    with pytest.raises(InputError) as refused:
        await (await Keys.open(store)).create(**{"name": "alice", **wrong})
    assert refused.value.param == param
    await store.close()


async def test_a_key_made_in_another_process_works_here(database_url: str, store: Store) -> None:
    program = (
        "import asyncio, sys\n"
        "from orchestrator.keys import Keys\n"
        "from orchestrator.store.store import Store\n"
        "async def main():\n"
        "    store = await Store.open(sys.argv[1])\n"
        "    print((await (await Keys.open(store)).create('alice'))[1])\n"
        "    await store.close()\n"
        "asyncio.run(main())"
    )
    async with watching(store) as keys:
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-c", program, database_url, stdout=subprocess.PIPE
        )
        token = (await process.communicate())[0].decode().strip()
        await within(2.0, lambda: keys.required)
        assert (await keys.authenticate(token)).name == "alice"


@contextlib.asynccontextmanager
async def watching(store: Store, **options: Any) -> AsyncIterator[Keys]:
    keys = await Keys.open(store, **options)
    keys.start()
    yield keys
    await keys.close()


def refused(keys: Keys, token: str) -> bool:
    """Whether `token` is refused from memory alone: driven by hand, so that nothing is looked up."""
    attempt = keys.authenticate(token)
    try:
        attempt.send(None)
    except StopIteration:
        return False
    except AuthenticationError:
        return True
    attempt.close()
    return True


async def within(seconds: float, true: Callable[[], bool]) -> None:
    async with asyncio.timeout(seconds):
        while not true():  # noqa: ASYNC110
            await asyncio.sleep(0.01)  # nothing tells us: another process is at work
