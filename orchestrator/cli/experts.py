"""`madrigal experts`: who can answer, and fetching their models. Only `profile` starts an engine."""

import asyncio
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from experts.errors import InputError
from orchestrator.cli._common import DEFAULT_CONFIG, ConfigOption, emit_json, err, out, table
from orchestrator.cli._profile import profile, skills

if TYPE_CHECKING:
    from rich.console import Console

    from experts.sources import Progress, Report
    from experts.spec import ExpertSpec
    from orchestrator.config import Config

app = typer.Typer(
    help="Experts of the policy: what they are, fetching their models, measuring what they are good at.",
    no_args_is_help=True,
)
app.command()(profile)
app.command()(skills)


@app.command("list")
def show(
    config: ConfigOption = DEFAULT_CONFIG,
    as_json: Annotated[bool, typer.Option("--json", help="For programs.")] = False,
) -> None:
    """List the experts: backend, source, whether it is here, size, features and price."""
    from orchestrator.config import load_config

    rows = list(_rows(load_config(config)))
    if as_json:
        emit_json(rows)
        return
    from rich.text import Text

    made = table("expert", "backend", "source", "here", "context", "local", "USD/M in, out")
    for row in rows:
        here = "–" if row["pulled"] is None else f"{row['bytes'] / 1e6:.0f} MB" if row["pulled"] else "no"
        price = f"{row['price']['input']:g}, {row['price']['output']:g}"
        what = (row["name"], row["backend"], row["source"] or row["url"] or "", here)
        able = (str(row["context_tokens"] or "?"), "yes" if row["local"] else "no", price)
        made.add_row(*(Text(cell) for cell in (*what, *able)))
    console = out()
    console.print(made)
    for row in rows:
        console.print(Text(f"\n{row['name']}: {', '.join(row['features'])}", style="dim"), soft_wrap=True)


@app.command()
def pull(
    names: Annotated[list[str] | None, typer.Argument(help="Experts; none: all.", show_default=False)] = None,
    config: ConfigOption = DEFAULT_CONFIG,
) -> None:
    """Fetch the experts' models into the cache; what is there already is only checked."""
    from orchestrator.config import load_config
    from orchestrator.problems import suggest

    settings = load_config(config)
    for name in names or ():
        if name not in settings.experts:
            raise InputError(f"there is no expert {name!r}{suggest(name, settings.experts)}")
    specs = [settings.experts[name] for name in names or settings.experts]
    for spec, path in pull_all(specs, cache_of(settings), err()):
        print(f"{spec.name}: {path}")


def cache_of(config: "Config") -> Path:
    """The folder of pulled models."""
    from experts.sources import default_cache

    return Path(config.pool.cache).expanduser() if config.pool.cache else default_cache()


def pull_missing(config: "Config", console: "Console") -> None:
    """Fetch every model that is not in the cache, showing how far it is. Raises `SourceError`."""
    for _ in pull_all(list(config.experts.values()), cache_of(config), console):
        pass


def pull_all(specs: Sequence["ExpertSpec"], cache: Path, console: "Console") -> Iterator[tuple["ExpertSpec", Path]]:
    """Fetch models one after the other; nothing is shown for what is there. Raises `SourceError`."""
    from experts.sources import pull as fetch

    for spec in specs:
        if spec.source is None:
            continue
        with shown(console) as report:
            path = asyncio.run(fetch(spec.source, cache, sha256=spec.sha256, progress=report))
        yield spec, path


@contextmanager
def shown(console: "Console") -> Iterator["Report"]:
    """A progress bar (MB, rate, time left), or a line now and then where stderr is no terminal."""
    if not console.is_terminal:
        yield _Lines(console)
        return
    from rich.progress import BarColumn, DownloadColumn, TextColumn, TimeRemainingColumn, TransferSpeedColumn
    from rich.progress import Progress as Bars

    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        DownloadColumn(),
        TransferSpeedColumn(),
        TimeRemainingColumn(compact=True),
    )
    with Bars(*columns, console=console) as bars:
        tasks: dict[str, Any] = {}

        def report(progress: "Progress") -> None:
            if progress.phase not in tasks:
                tasks[progress.phase] = bars.add_task(f"{progress.phase} {progress.source}", total=None)
            bars.update(tasks[progress.phase], completed=progress.done_bytes, total=progress.total_bytes)

        yield report


class _Lines:
    """Progress as lines: one when a phase begins, one each further tenth."""

    def __init__(self, console: "Console") -> None:
        self._console = console
        self._told: tuple[str, int] = ("", -1)

    def __call__(self, progress: "Progress") -> None:
        tenth = progress.done_bytes * 10 // progress.total_bytes if progress.total_bytes else 0
        if (progress.phase, tenth) == self._told:
            return
        self._told = (progress.phase, tenth)
        size = (
            f" {progress.done_bytes / 1e6:.0f} of {progress.total_bytes / 1e6:.0f} MB" if progress.total_bytes else ""
        )
        self._console.print(f"{progress.phase} {progress.source}{size}", markup=False, soft_wrap=True)


def _rows(config: "Config") -> Iterator[dict[str, Any]]:
    from experts.catalog import Catalog
    from experts.sources import cached

    for name, expert in Catalog.of(config.experts.values()).items():
        spec = expert.spec
        path = cached(spec.source, cache_of(config), sha256=spec.sha256) if spec.source else None
        yield {
            "name": name,
            "backend": spec.backend,
            "source": spec.source,
            "url": getattr(spec.options, "url", None),
            "model": spec.model,
            "pulled": None if spec.source is None else path is not None,
            "path": str(path) if path else None,
            "bytes": _bytes(path) if path else None,
            "context_tokens": expert.capabilities.context_tokens,
            "concurrency": expert.concurrency,
            "local": expert.capabilities.local,
            "features": sorted(expert.capabilities.features),
            "price": spec.price.model_dump(),
            "skills": list(spec.skills),
            "tags": list(spec.tags),
            "description": spec.description,
        }


def _bytes(path: Path) -> int:
    files = path.rglob("*") if path.is_dir() else [path]
    return sum(file.stat().st_size for file in files if file.is_file())
