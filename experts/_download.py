"""One file over HTTP into a folder: resumed where it was cut off, checked, put in place whole. Knows nothing of models."""

import asyncio
import errno
import hashlib
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO

import httpx

from experts.errors import SourceError

_CHUNK = 1 << 20
_CUTS = 4
_TIMEOUT = httpx.Timeout(30.0, connect=10.0)


async def download(
    url: str,
    target: Path,
    *,
    sha256: str | None,
    progress: Callable[[int, int | None], None],
    http: httpx.AsyncClient | None = None,
) -> None:
    """Fetch `url` into `target`, which is there only once it is whole and, where `sha256` is given, right.

    What has arrived is kept in `target.part` when the connection is cut: this call resumes it a few times while
    more arrives, a later call goes on from there. Raises `SourceError`; on a wrong hash nothing is kept. The caller
    sees to it that nobody else writes the same target. `progress` gets bytes so far and in total.
    """
    client = http or httpx.AsyncClient(follow_redirects=True, timeout=_TIMEOUT)
    part = target.with_name(target.name + ".part")
    try:
        cuts = 0
        while True:
            before = _size(part)
            try:
                await _fetch(client, url, part, progress)
                break
            except (httpx.TransportError, httpx.DecodingError) as error:
                arrived = _size(part)
                cuts = 0 if arrived > before + _CHUNK else cuts + 1
                if cuts >= _CUTS or not arrived:
                    raise SourceError(
                        f"{shown(url)} could not be fetched: {type(error).__name__} {error}".rstrip(),
                        remedy=f"{arrived / 1e6:.0f} MB are kept; the next try goes on from there."
                        if arrived
                        else "Check the network and the address.",
                    ) from error
                await asyncio.sleep(0.1 * 2**cuts)
        if sha256 is not None and (found := await asyncio.to_thread(digest_of, part)) != sha256:
            _forget(part)
            raise SourceError(
                f"{shown(url)} is not what was promised: its SHA-256 must be {sha256}, it is {found}",
                remedy="It was deleted. Pull it again; if this repeats, the server or a proxy changes it.",
            )
        part.replace(target)
        _validator(part).unlink(missing_ok=True)
    except OSError as error:
        raise unwritable(target.parent, error) from error
    finally:
        if http is None:
            await client.aclose()


async def _fetch(client: httpx.AsyncClient, url: str, part: Path, progress: Callable[[int, int | None], None]) -> None:
    have = _size(part)
    headers = {"Accept-Encoding": "identity"}
    if have:
        headers["Range"] = f"bytes={have}-"
        if _validator(part).exists():
            headers["If-Range"] = _validator(part).read_text()
    async with client.stream("GET", url, headers=headers) as answer:
        for hop in (*answer.history, answer):
            allowed(str(hop.url))
        if answer.status_code == 416:  # more is here than there: another version, or a broken part
            _forget(part)
            return await _fetch(client, url, part, progress)
        if answer.status_code not in (200, 206):
            raise SourceError(
                f"{shown(url)} could not be fetched: the server answered {answer.status_code} {answer.reason_phrase}",
                remedy="Check the address." if answer.status_code in (404, 410) else None,
            )
        if answer.status_code == 200:
            have = 0
        length = int(answer.headers.get("Content-Length", 0))
        total = have + length if length else None
        _room(part.parent, length)
        tag = answer.headers.get("ETag", "")
        mark = answer.headers.get("Last-Modified", "") if tag.startswith("W/") or not tag else tag
        _validator(part).unlink(missing_ok=True)
        if mark:
            _validator(part).write_text(mark)
        with part.open("ab" if have else "wb") as file:
            await _write(answer, file, have, total, progress)
    return None


async def _write(
    answer: httpx.Response, file: BinaryIO, have: int, total: int | None, progress: Callable[[int, int | None], None]
) -> None:
    progress(have, total)
    async for chunk in answer.aiter_bytes(_CHUNK):
        file.write(chunk)
        have += len(chunk)
        progress(have, total)


def digest_of(path: Path) -> str:
    """SHA-256 of a file, lower-case hex. Blocks: about half a second per GB."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def allowed(url: str) -> None:
    """Raise `SourceError` unless `url` is https, or http to this machine: weights are code to whoever runs them."""
    parts = httpx.URL(url)
    loopback = parts.host in ("localhost", "::1") or parts.host.startswith("127.")
    if parts.scheme != "https" and not (parts.scheme == "http" and loopback):
        raise SourceError(f"models are fetched over https (http only from this machine), not from {shown(url)}")


def shown(url: str) -> str:
    """The URL without user, password and query: those may be secrets."""
    parts = httpx.URL(url)
    return str(parts.copy_with(userinfo=b"", query=None, fragment=None))


def unwritable(folder: Path, error: OSError) -> SourceError:
    """What a failed write to the cache is called."""
    full = error.errno in (errno.ENOSPC, errno.EDQUOT)
    return SourceError(
        f"the model cache {folder} cannot be written: {error.strerror or error}",
        remedy="Free some space there, or name another folder in MADRIGAL_CACHE."
        if full
        else "Name a folder that can be written in MADRIGAL_CACHE.",
    )


def _room(folder: Path, needed: int) -> None:
    free = shutil.disk_usage(folder).free
    if needed > free:
        raise SourceError(
            f"the model cache {folder} has {free / 1e6:.0f} MB free, {needed / 1e6:.0f} MB are needed",
            remedy="Free some space there, or name another folder in MADRIGAL_CACHE.",
        )


def _size(part: Path) -> int:
    return part.stat().st_size if part.exists() else 0


def _validator(part: Path) -> Path:
    return part.with_name(part.name + ".tag")


def _forget(part: Path) -> None:
    part.unlink(missing_ok=True)
    _validator(part).unlink(missing_ok=True)
