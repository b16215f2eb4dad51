"""`madrigal store`: what the database holds, bringing it up to date, deleting what is old."""

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Annotated

import typer

from experts.errors import InputError
from orchestrator.cli._common import DEFAULT_CONFIG, ConfigOption, emit_json, out, table
from orchestrator.cli._store import StoreOption, read_config, with_store

if TYPE_CHECKING:
    from orchestrator.store.store import Store

app = typer.Typer(help="The database: what it holds, its schema, and deleting what is old.", no_args_is_help=True)


@app.command()
def info(
    json: Annotated[bool, typer.Option("--json", help="As JSON, for programs.")] = False,
    config: ConfigOption = DEFAULT_CONFIG,
    store: StoreOption = None,
) -> None:
    """Show which database is used, its schema, and how many rows each table has."""

    async def work(opened: "Store") -> tuple[str, dict[str, int]]:
        from orchestrator.store import queries

        return opened.url, await queries.table_rows(opened)

    url, counts = with_store(store, config, work)
    from orchestrator.store.models import SCHEMA

    if json:
        emit_json({"url": url, "schema": SCHEMA, "rows": counts})
        return
    out().print(f"{url}\nschema {SCHEMA}", markup=False, soft_wrap=True)
    shown = table("table", "rows")
    shown.columns[1].justify = "right"
    for name, count in counts.items():
        shown.add_row(name, f"{count:,}")
    out().print(shown)


@app.command()
def migrate(config: ConfigOption = DEFAULT_CONFIG, store: StoreOption = None) -> None:
    """Bring the tables up to date. The server does so itself when it starts."""

    async def work(opened: "Store") -> str:
        return opened.url

    url = with_store(store, config, work)
    from orchestrator.store.models import SCHEMA

    out().print(f"{url} has schema {SCHEMA}.", markup=False, soft_wrap=True)


@app.command()
def purge(
    older_than: Annotated[
        float | None,
        typer.Option("--older-than", min=0, help="Age in days.  [default: the configuration's store.retention_days]"),
    ] = None,
    config: ConfigOption = DEFAULT_CONFIG,
    store: StoreOption = None,
) -> None:
    """Delete requests older than so many days, with their calls and feedback. What keys used stays counted."""
    days = older_than
    if days is None:
        loaded = read_config(config)
        days = loaded.store.retention_days if loaded is not None else None
    if days is None:
        raise InputError("there is no retention to go by.", remedy="Name an age in days: --older-than 30.")
    limit = datetime.now(UTC) - timedelta(days=min(days, 365_000))

    async def work(opened: "Store") -> int:
        from orchestrator.store import queries

        return await queries.purge(opened, limit)

    removed = with_store(store, config, work)
    out().print(f"{removed:,} requests older than {days:g} days were deleted.")
