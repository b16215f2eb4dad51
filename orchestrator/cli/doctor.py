"""`madrigal doctor`: what would fail here, and what to do about it. Changes nothing.

Heavy packages are looked up, not imported; llama.cpp's binding is tried in a process of its own, where a missing CPU
instruction can do no harm.
"""

import importlib.metadata
import os
import platform
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from experts.errors import MadrigalError
from orchestrator.cli._common import DEFAULT_CONFIG, ConfigOption, count, emit_json, out, table

if TYPE_CHECKING:
    from orchestrator.config import Config

PACKAGES = ("madrigal", "xllamacpp", "fastapi", "uvicorn", "uvloop", "aiohttp", "pydantic", "sqlalchemy", "torch")
SPARE_BYTES = 2_000_000_000
"""Free disk below this is worth a warning: a small model and its database."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing looked at. `fail`: serving would fail; `warn`: something may be missed; `ok`; `info`: a fact."""

    what: str
    state: Literal["ok", "info", "warn", "fail"]
    found: str
    remedy: str = ""


def doctor(
    config: ConfigOption = DEFAULT_CONFIG,
    as_json: Annotated[bool, typer.Option("--json", help="For programs.")] = False,
) -> None:
    """Look for whatever would fail here: exit 0 if nothing would, 1 if something would."""
    findings = list(examine(config))
    failing = [one for one in findings if one.state == "fail"]
    if as_json:
        emit_json([asdict(one) for one in findings])
    else:
        _show(findings)
        print(f"{len(failing)} of {len(findings)} would fail" if failing else "nothing would fail")
    if failing:
        raise typer.Exit(1)


def examine(path: Path) -> Iterator[Finding]:
    """Every finding, the machine first, then what the policy file needs."""
    yield _python()
    yield from _packages()
    yield _llama_cpp()
    yield from _machine()
    try:
        from orchestrator.config import load_config

        config = load_config(path)
    except MadrigalError as error:
        yield Finding("config", "fail", error.message, error.remedy or "")
        return
    except ImportError as error:
        yield Finding("config", "fail", f"cannot be read: {error}", "make install")
        return
    yield Finding("config", "ok", f"{path}: {count(len(config.experts), 'expert')}, policy {config.policy_hash}")
    yield from _config(config)


def _config(config: "Config") -> Iterator[Finding]:
    yield _door(config)
    yield _cache(config)
    yield from _experts(config)
    yield from _variables(config)
    yield _store(config)


def _python() -> Finding:
    return Finding("python", "ok", f"{platform.python_version()} ({sys.executable})")


def _packages() -> Iterator[Finding]:
    for name in PACKAGES:
        try:
            yield Finding(name, "ok", importlib.metadata.version(name))
        except importlib.metadata.PackageNotFoundError:
            yield Finding(name, "fail", "not installed", "make install")


def _llama_cpp() -> Finding:
    tried = subprocess.run([sys.executable, "-c", "import xllamacpp"], capture_output=True, text=True, timeout=60)
    if tried.returncode == 0:
        return Finding("llama.cpp", "ok", "loads")
    said = (tried.stderr.strip().splitlines() or [f"ended with {tried.returncode}"])[-1]
    remedy = "This CPU may lack AVX2; use experts with backend openai." if tried.returncode < 0 else "make install"
    return Finding("llama.cpp", "fail", said, remedy)


def _machine() -> Iterator[Finding]:
    import psutil

    memory = psutil.virtual_memory()
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    yield Finding("cpu", "info", f"{cores} cores, {memory.available / 1e9:.1f} of {memory.total / 1e9:.1f} GB free")
    compiler = next((path for name in ("cc", "gcc", "clang") if (path := shutil.which(name))), None)
    yield Finding("compiler", "info", compiler or "none (only needed to build kernels)")
    yield Finding("gpu", "info", _gpu())


def _gpu() -> str:
    tool = shutil.which("nvidia-smi")
    if tool is None:
        return "none found (no nvidia-smi); llama.cpp runs on the CPU"
    ask = [tool, "--query-gpu=name,memory.total", "--format=csv,noheader"]
    try:
        told = subprocess.run(ask, capture_output=True, text=True, timeout=20)
    except (OSError, subprocess.TimeoutExpired) as error:
        return f"nvidia-smi does not answer: {error}"
    return "; ".join(told.stdout.split("\n")).strip("; ") if told.returncode == 0 else "none (nvidia-smi finds no GPU)"


def _door(config: "Config") -> Finding:
    from orchestrator.cli.serve import listen

    server = config.server
    what = f"{server.host}:{server.port}"
    try:
        listen(server.host, server.port).close()
    except MadrigalError as error:
        return Finding("port", "fail", error.message, error.remedy or "")
    return Finding("port", "ok", f"{what} is free")


def _cache(config: "Config") -> Finding:
    from orchestrator.cli.experts import cache_of

    cache = cache_of(config)
    there = next(folder for folder in (cache, *cache.absolute().parents) if folder.exists())
    if not there.is_dir() or not os.access(there, os.W_OK | os.X_OK):
        return Finding("cache", "fail", f"{cache} cannot be written", "Name another: pool.cache, or MADRIGAL_CACHE.")
    free = shutil.disk_usage(there).free
    found = f"{cache}, {free / 1e9:.1f} GB free"
    if free < SPARE_BYTES:
        return Finding("cache", "warn", found, "Models may not fit: free some disk, or name another folder.")
    return Finding("cache", "ok", found)


def _experts(config: "Config") -> Iterator[Finding]:
    from experts.sources import cached
    from orchestrator.cli.experts import cache_of

    for name, spec in config.experts.items():
        what = f"expert {name}"
        if spec.source is None:
            yield _remote(what, str(getattr(spec.options, "url", "")))
            continue
        path = cached(spec.source, cache_of(config), sha256=spec.sha256)
        if path is not None:
            yield Finding(what, "ok", str(path))
        elif spec.source.startswith("file:"):
            yield Finding(what, "fail", f"there is no {spec.source.removeprefix('file:')}", "Mend its source.")
        else:
            yield Finding(
                what, "warn", f"{spec.source} is not here yet", "madrigal serve fetches it, or: madrigal experts pull"
            )


def _remote(what: str, url: str) -> Finding:
    import socket
    from urllib.parse import urlsplit

    parts = urlsplit(url)
    port = parts.port or (443 if parts.scheme == "https" else 80)
    try:
        socket.create_connection((parts.hostname or "", port), timeout=3).close()
    except OSError as error:
        return Finding(what, "warn", f"{url} cannot be reached: {error}", "Start it; until then it counts as down.")
    return Finding(what, "ok", f"{url} accepts connections")


def _variables(config: "Config") -> Iterator[Finding]:
    named = {f"server.keys: {key.name}": key.key_env for key in config.server.keys}
    named |= {
        f"expert {name}": variable
        for name, spec in config.experts.items()
        if (variable := getattr(spec.options, "api_key_env", None))
    }
    for what, variable in named.items():
        if not os.environ.get(variable):
            yield Finding(what, "fail", f"the environment variable {variable} is not set", f"export {variable}=…")


def _store(config: "Config") -> Finding:
    from orchestrator.store.url import default_url, parse, shown

    try:
        url = parse(config.store.address() or default_url())
    except MadrigalError as error:
        return Finding("store", "fail", error.message, error.remedy or "")
    if url.get_backend_name() == "sqlite":
        file = Path(str(url.database))
        there = next(folder for folder in (file, *file.absolute().parents) if folder.exists())
        if not os.access(there, os.W_OK) or not (there.is_dir() or there == file):
            return Finding("store", "fail", f"{file} cannot be written", "Name another: store.url.")
        return Finding("store", "ok", shown(url))
    return _postgres(url.host or "localhost", url.port or 5432, shown(url))


def _postgres(host: str, port: int, told: str) -> Finding:
    import socket

    try:
        socket.create_connection((host, port), timeout=3).close()
    except OSError as error:
        return Finding("store", "fail", f"{told} cannot be reached: {error}", "Start the database, or mend store.url.")
    return Finding("store", "ok", f"{told} accepts connections")


def _show(findings: list[Finding]) -> None:
    from rich.text import Text

    styles = {"ok": "green", "info": "dim", "warn": "yellow", "fail": "bold red"}
    made = table("", "what", "found", "what to do")
    for one in findings:
        made.add_row(Text(one.state, style=styles[one.state]), one.what, Text(one.found), Text(one.remedy))
    out().print(made)
