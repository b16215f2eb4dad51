"""Opening the store from the command line: which URL applies, and running coroutines over it. Knows no command."""

import asyncio
import os
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypeAlias, TypeVar

import typer

from experts.errors import ConfigError
from orchestrator.cli._common import DEFAULT_CONFIG

if TYPE_CHECKING:
    from orchestrator.config import Config
    from orchestrator.store.store import Store

T = TypeVar("T")

StoreOption: TypeAlias = Annotated[
    str | None,
    typer.Option("--store", envvar="MADRIGAL_STORE", help="Database URL.  [default: the configuration's store.url]"),
]


def read_config(path: Path) -> "Config | None":
    """The configuration at `path`; None where none was named and the default file is not there."""
    if path == DEFAULT_CONFIG and not path.exists():
        return None
    from orchestrator.config import load_config

    return load_config(path)


def store_url(url: str | None, config: Path) -> str | None:
    """`--store`, else what the configuration says (`store.url`, `store.url_env`), else None: the default file."""
    if url:
        return url
    loaded = read_config(config)
    if loaded is None:
        return None
    if (variable := loaded.store.url_env) is not None:
        if value := os.environ.get(variable):
            return value
        raise ConfigError(
            f"the environment variable {variable!r} must hold the database URL; it is unset.", key="store.url_env"
        )
    return loaded.store.url


def with_store(url: str | None, config: Path, work: "Callable[[Store], Awaitable[T]]") -> T:
    """Open the store, do `work` with it, close it; return what `work` returned."""

    async def run() -> Any:
        from orchestrator.store.store import Store

        store = await Store.open(store_url(url, config))
        try:
            return await work(store)
        finally:
            await store.close()

    result: T = asyncio.run(run())
    return result
