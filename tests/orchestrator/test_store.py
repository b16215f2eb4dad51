"""Opening databases: SQLite files and a real PostgreSQL."""

import asyncio
import os
import sqlite3
import subprocess
import sys
from pathlib import Path
from urllib.parse import quote

import pytest
import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory

from experts.errors import StoreError
from orchestrator.store import migrations
from orchestrator.store.models import SCHEMA, metadata
from orchestrator.store.store import Store


async def test_a_new_database_gets_every_table_and_opens_again(database_url: str) -> None:
    for _ in range(2):
        store = await Store.open(database_url)
        await store.ping()
        async with store.reading() as connection:
            tables = await connection.run_sync(lambda sync: set(sa.inspect(sync).get_table_names()))
        assert tables == set(metadata.tables) | {migrations.VERSION_TABLE}
        await store.close()


async def test_the_migrations_lead_to_the_models(database_url: str) -> None:
    store = await Store.open(database_url)

    def difference(connection: sa.Connection) -> list[object]:
        options = {"version_table": migrations.VERSION_TABLE, "compare_type": True}
        return list(compare_metadata(MigrationContext.configure(connection, opts=options), metadata))

    async with store.reading() as connection:
        assert await connection.run_sync(difference) == []
    await store.close()


def test_the_models_name_the_last_migration() -> None:
    folder = Path(migrations.__file__).parent
    assert ScriptDirectory(folder).get_heads() == [SCHEMA]


async def test_several_processes_may_open_a_new_database_at_once(database_url: str) -> None:
    program = (
        "import asyncio, sys\n"
        "from orchestrator.store.store import Store\n"
        "async def main():\n"
        "    store = await Store.open(sys.argv[1])\n"
        "    await store.ping()\n"
        "    await store.close()\n"
        "asyncio.run(main())"
    )
    processes = [
        await asyncio.create_subprocess_exec(sys.executable, "-c", program, database_url, stderr=subprocess.PIPE)
        for _ in range(3)
    ]
    for process in processes:
        _, errors = await process.communicate()
        assert process.returncode == 0, errors.decode()


async def test_a_newer_schema_is_left_alone(database_url: str) -> None:
    store = await Store.open(database_url)
    async with store.writing() as connection:
        await connection.execute(sa.text(f"UPDATE {migrations.VERSION_TABLE} SET version_num = '9999'"))
    await store.close()
    with pytest.raises(StoreError, match="schema 9999, this Madrigal knows schemas up to"):
        await Store.open(database_url)


async def test_a_failed_migration_leaves_nothing_behind(database_url: str) -> None:
    store = await Store.open(database_url)
    async with store.writing() as connection:  # as if another program used the database: one of our names is taken
        for table in reversed(metadata.sorted_tables):
            await connection.execute(sa.text(f"DROP TABLE {table.name}"))
        await connection.execute(sa.text(f"DROP TABLE {migrations.VERSION_TABLE}"))
        await connection.execute(sa.text("CREATE TABLE usage (theirs INTEGER)"))
    await store.close()
    with pytest.raises(StoreError, match="usage"):
        await Store.open(database_url)
    async with (plain := Store(store.engine, "")).reading() as connection:
        tables = await connection.run_sync(lambda sync: sa.inspect(sync).get_table_names())
    assert tables == ["usage"]
    await plain.close()


async def test_a_missing_folder_is_made(tmp_path: Path) -> None:
    file = tmp_path / "not there" / "50% yet" / "madrigal.db"
    store = await Store.open(f"sqlite:///{quote(str(file))}")
    assert file.exists()
    await store.close()


async def test_sqlite_is_set_up_for_many_readers_and_a_writer(tmp_path: Path) -> None:
    store = await Store.open(f"sqlite:///{tmp_path / 'x.db'}")
    async with store.reading() as connection:
        assert [
            (await connection.execute(sa.text(f"PRAGMA {name}"))).scalar()
            for name in ("journal_mode", "foreign_keys", "busy_timeout")
        ] == ["wal", 1, 5000]
    await store.close()


@pytest.mark.parametrize(
    ("url", "says"),
    [
        ("mysql://me:secret@host/name", "cannot use 'mysql' databases"),
        ("me:secret@host", "needs a database URL"),
        ("", "needs a database URL"),
        ("sqlite://", "needs a SQLite file"),
        ("sqlite:///:memory:", "needs a SQLite file"),
        ("sqlite:////dev/null/x/madrigal.db", "cannot be made"),
        ("sqlite:////tmp", "unable to open"),
        ("postgresql://me:secret@127.0.0.1:1/name", "Check that the server runs"),
        ("postgresql://me:secret@127.0.0.1:1/name?sslmode=disable&password=secret", "Check that the server runs"),
        ("postgresql://me:secret@127.0.0.1:x/name", "needs a database URL"),
    ],
)
async def test_an_unusable_url_is_explained_without_its_password(url: str, says: str) -> None:
    with pytest.raises(StoreError) as refused:
        await Store.open(url)
    assert says in str(refused.value)
    assert "secret" not in str(refused.value)


async def test_a_file_that_is_no_database_is_left_alone(tmp_path: Path) -> None:
    file = tmp_path / "notes.txt"
    file.write_text("dear diary, " * 1000)
    with pytest.raises(StoreError, match="not a database"):
        await Store.open(f"sqlite:///{file}")
    assert file.read_text() == "dear diary, " * 1000


async def test_a_missing_postgresql_database_is_explained(postgres: sa.URL) -> None:
    wrong = postgres.set(drivername="postgresql", database="nowhere").render_as_string(hide_password=False)
    with pytest.raises(StoreError, match='"nowhere" does not exist') as refused:
        await Store.open(wrong)
    assert "createdb" in str(refused.value)


async def test_writers_wait_for_each_other(database_url: str) -> None:
    store = await Store.open(database_url)

    async def count() -> None:  # reads first, writes then: the order in which a late lock would be refused
        async with store.writing() as connection:
            query = sa.text("SELECT number FROM counters WHERE name = 'test'")
            if store.engine.dialect.name == "postgresql":
                query = sa.text("SELECT number FROM counters WHERE name = 'test' FOR UPDATE")
            number = (await connection.execute(query)).scalar_one()
            await asyncio.sleep(0)
            await connection.execute(sa.text(f"UPDATE counters SET number = {number + 1} WHERE name = 'test'"))

    async with store.writing() as connection:
        await connection.execute(sa.text("INSERT INTO counters (name, number) VALUES ('test', 0)"))
    await asyncio.gather(*(count() for _ in range(20)))
    async with store.reading() as connection:
        assert (await connection.execute(sa.text("SELECT number FROM counters"))).scalar_one() == 20
    await store.close()


async def test_ping_notices_a_database_that_is_gone(tmp_path: Path) -> None:
    file = tmp_path / "x.db"
    store = await Store.open(f"sqlite:///{file}")
    await store.close()
    file.unlink()
    with sqlite3.connect(tmp_path / "y.db") as other:
        other.execute("CREATE TABLE t (n)")
    (tmp_path / "y.db").write_bytes(os.urandom(8192))
    (tmp_path / "y.db").rename(file)
    with pytest.raises(StoreError, match="cannot be used"):
        await store.ping()
    await store.close()


def test_importing_the_records_and_keys_imports_no_database() -> None:
    program = (
        "import sys, orchestrator.keys, orchestrator.shared, orchestrator.store.records; "
        "sys.exit(any(name.partition('.')[0] in ('sqlalchemy', 'alembic', 'asyncpg') for name in sys.modules))"
    )
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0
