"""Tells when the policy file's content changed and reads it anew. Knows nothing of what the new policy is used for.

The file is looked at, not subscribed to: that works with editors that replace it, with mounted ConfigMaps and with
network drives. A file that is missing for a moment (an editor saving it) is waited for.
"""

import asyncio
import hashlib
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, TypeAlias

from experts.errors import MadrigalError
from orchestrator.config import Config, load_config

Stamp: TypeAlias = tuple[int, int, int, int] | None
"""Modification time in ns, size, inode and device; None where there is no file."""


class ConfigWatcher:
    """Calls `on_change` with every new valid `Config` of the file at `path`.

    An invalid file, and a `MadrigalError` of `on_change`, go to `on_error` and stay in `error` until a valid file is
    taken; the old configuration keeps serving. `serving` is the configuration in use: a change since it was read is
    found at the first look. Without it the constructor reads the file's content once, to compare with.
    """

    def __init__(
        self,
        path: Path,
        on_change: Callable[[Config], Awaitable[None]],
        *,
        on_error: Callable[[MadrigalError], None],
        serving: Config | None = None,
        interval_s: float = 1.0,
        settle_s: float = 0.1,
        sleep: Callable[[float], Awaitable[Any]] = asyncio.sleep,
        load: Callable[[Path], Config] = load_config,
    ) -> None:
        self.path = path
        self.error: MadrigalError | None = None
        self.reloads = 0
        self.failures = 0
        self._on_change, self._on_error = on_change, on_error
        self._interval_s, self._settle_s = interval_s, settle_s
        self._sleep, self._load = sleep, load
        self._stamp: Stamp = None
        self._digest = serving.digest if serving else digest(path)
        self._one_at_a_time = asyncio.Lock()

    async def run(self) -> None:
        """Look at the file every `interval_s` until cancelled."""
        while True:
            await self._sleep(self._interval_s)
            await self.check()

    async def check(self, *, force: bool = False) -> bool:
        """Read the file if its content changed since it was last read, or in any case with `force` (SIGHUP).

        True if `on_change` took a new configuration. Raises only what `on_change` raises beyond `MadrigalError`.
        """
        async with self._one_at_a_time:
            now = await asyncio.to_thread(stamp, self.path)
            if not force:
                if now is None or now == self._stamp:
                    return False
                # Half a file can be a valid policy, an empty one is: it is read once nobody has written to it for a while.
                await self._sleep(self._settle_s)
                if await asyncio.to_thread(stamp, self.path) != now:
                    return False
            fresh = await asyncio.to_thread(digest, self.path)
            self._stamp = now
            if not force and fresh == self._digest:  # touched, or replaced by its like
                return False
            self._digest = fresh
            return await self._reload()

    async def _reload(self) -> bool:
        try:
            config = await asyncio.to_thread(self._load, self.path)
            await self._on_change(config)
        except MadrigalError as error:
            self.error = error
            self.failures += 1
            self._on_error(error)
            return False
        self.error = None
        self.reloads += 1
        return True


def stamp(path: Path) -> Stamp:
    """What changes whenever a file is written or replaced, short of reading it. Blocks on the disk."""
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_mtime_ns, found.st_size, found.st_ino, found.st_dev


def digest(path: Path) -> str | None:
    """SHA-256 in hex of the file's content, as in `Config.digest`; None where it cannot be read. Blocks on the disk."""
    try:
        return hashlib.sha256(path.read_bytes()).hexdigest()
    except OSError:
        return None
