"""Brings the tables from whatever version they have to `SCHEMA`. Knows nothing of how the database was opened.

Each step is a file of `versions/` (alembic's `upgrade()`); its revision is a number of four digits, one more than the
one before. The step in force is in the table `madrigal_schema` (not `alembic_version`, which Optuna uses for its own
tables in the same database). alembic itself is imported only where a step has to be taken.
"""

from pathlib import Path

import sqlalchemy as sa

from experts.errors import StoreError
from orchestrator.store.models import SCHEMA, metadata

VERSION_TABLE = "madrigal_schema"


def current(connection: sa.Connection) -> str | None:
    """The schema's version, None in an empty database. Raises `StoreError` if it is newer than this program's."""
    if not connection.dialect.has_table(connection, VERSION_TABLE):
        return None
    version = connection.execute(sa.text(f"SELECT version_num FROM {VERSION_TABLE}")).scalar()
    if version is not None and str(version) > SCHEMA:
        raise StoreError(
            f"the database has schema {version}, this Madrigal knows schemas up to {SCHEMA}.",
            remedy="Use the newer Madrigal that wrote it, or name another database.",
        )
    return None if version is None else str(version)


def upgrade(connection: sa.Connection) -> None:
    """Take every step that is missing, within the connection's transaction. The caller keeps others out."""
    if current(connection) == SCHEMA:  # another process was faster
        return
    from alembic.config import Config
    from alembic.runtime.environment import EnvironmentContext
    from alembic.runtime.migration import MigrationContext
    from alembic.script import ScriptDirectory

    config = Config()
    # alembic reads "%" as the start of a variable
    config.set_main_option("script_location", str(Path(__file__).parent).replace("%", "%%"))
    script = ScriptDirectory.from_config(config)

    def steps(revision: object, context: MigrationContext) -> list[object]:
        return list(script._upgrade_revs("head", revision))  # type: ignore[arg-type]

    with EnvironmentContext(config, script, fn=steps) as environment:
        environment.configure(connection=connection, target_metadata=metadata, version_table=VERSION_TABLE)
        environment.run_migrations()
