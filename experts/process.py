"""A child process and its life: started with a secret, greeted, watched, stopped. Knows nothing of models or HTTP.

Every child is a session of its own (a signal to the server's terminal does not reach it), is killed by the kernel when
the server dies (`_launch`), reads one JSON line of settings on stdin, so that no secret stands on a command line, says
one JSON line on stdout when it is up, and writes whatever else it has to say to a log file.
"""

import asyncio
import contextlib
import json
import os
import signal
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, BinaryIO

from experts.errors import EngineDownError, EngineTimeoutError

_LAUNCH = Path(__file__).with_name("_launch.py")
_TAIL_LINES = 12
_TAIL_BYTES = 4000
_LINE_BYTES = 1 << 20


class Child:
    """One running child. Made by `spawn`; `stop` must be called, or the server's end will do it."""

    def __init__(self, name: str, process: asyncio.subprocess.Process, log: Path) -> None:
        self._name, self._process, self._log = name, process, log

    @classmethod
    async def spawn(
        cls,
        name: str,
        command: Sequence[str],
        settings: Mapping[str, Any],
        log: Path,
        env: Mapping[str, str] | None = None,
    ) -> "Child":
        """Start `command` (a `.py` file runs under this interpreter) and hand it `settings`.

        `name` stands in messages. `env` is added to this process's environment. The log of the run before is kept
        beside the new one as `.log.1`. Raises `EngineDownError` where nothing could be started.
        """
        try:
            with _fresh(log) as sink:
                process = await asyncio.create_subprocess_exec(
                    *(sys.executable, "-P", str(_LAUNCH), str(os.getpid()), *command),
                    stdin=asyncio.subprocess.PIPE,
                    stdout=asyncio.subprocess.PIPE,
                    stderr=sink,
                    env={**os.environ, **(env or {})},
                    start_new_session=True,
                    limit=_LINE_BYTES,
                )
        except OSError as error:
            raise EngineDownError(f"{name}: the engine could not be started: {error}", expert=name) from error
        child = cls(name, process, log)
        assert process.stdin is not None
        with contextlib.suppress(ConnectionError):  # it died already: `greeting` tells why
            process.stdin.write(json.dumps(dict(settings)).encode() + b"\n")
            await process.stdin.drain()
        return child

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def running(self) -> bool:
        """Whether it lives; true to the moment, though the event loop may not have heard of its death yet."""
        if self._process.returncode is not None:
            return False
        with contextlib.suppress(ChildProcessError):
            return os.waitid(os.P_PID, self.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is None
        return False

    async def greeting(self, timeout_s: float) -> dict[str, Any]:
        """Wait for the JSON line the child says when it is up.

        Raises `EngineDownError` with the exit reason and the end of the log where it died first or said
        `{"error": …}`, `EngineTimeoutError` where it said nothing in `timeout_s`. The child is not stopped here.
        """
        assert self._process.stdout is not None
        try:
            line = await asyncio.wait_for(self._process.stdout.readline(), timeout_s)
        except TimeoutError:
            raise EngineTimeoutError(
                f"{self._name}: the engine was not up after {timeout_s:g} s.{self.tail()}", expert=self._name
            ) from None
        if not line:
            raise EngineDownError(f"{self._name}: the engine did not start: {await self.exited()}", expert=self._name)
        said: dict[str, Any] = json.loads(line)
        if "error" in said:
            raise EngineDownError(
                f"{self._name}: the engine did not start: {said['error']}.{self.tail()}", expert=self._name
            )
        return said

    async def exited(self) -> str:
        """Block until the process is gone; say how it ended, with the end of its log."""
        code = await self._process.wait()
        return f"{exit_reason(code)}.{self.tail()}"

    async def stop(self, grace_s: float = 5.0) -> None:
        """Ask it to end, kill it and all it started after `grace_s` seconds, and reap it. May be called twice."""
        self._signal(signal.SIGTERM)
        if self._process.stdin is not None:
            self._process.stdin.close()  # the end of stdin is the same wish, for a child that masks signals
        try:
            await asyncio.wait_for(self._process.wait(), grace_s)
        except TimeoutError:
            pass
        finally:
            self._signal(signal.SIGKILL, group=True)
        await self._process.wait()

    def kill(self) -> None:
        """Kill it and all it started, at once; `exited` still has to be awaited by someone."""
        self._signal(signal.SIGKILL, group=True)

    def _signal(self, number: signal.Signals, group: bool = False) -> None:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            if group:
                os.killpg(self.pid, number)  # its session's group outlives it as long as anything it started lives
            elif self.running:
                self._process.send_signal(number)

    def tail(self) -> str:
        """The last lines of its log, set off for an error message, or nothing."""
        try:
            with self._log.open("rb") as file:
                file.seek(max(0, file.seek(0, os.SEEK_END) - _TAIL_BYTES))
                lines = file.read().decode(errors="replace").splitlines()
        except OSError:
            return ""
        kept = [line for line in lines if line.strip()][-_TAIL_LINES:]
        return f" The end of {self._log}:\n" + "\n".join(f"  {line}" for line in kept) if kept else ""


def _fresh(log: Path) -> BinaryIO:
    """An empty log, the one of the run before kept beside it: what a restarted engine died of stays readable."""
    log.parent.mkdir(parents=True, exist_ok=True)
    if log.exists():
        log.replace(log.with_name(log.name + ".1"))
    return log.open("ab")


def exit_reason(code: int) -> str:
    """`killed by signal 9 (SIGKILL)` or `exited with status 3`, from a process's return code."""
    if code >= 0:
        return f"exited with status {code}"
    try:
        return f"killed by signal {-code} ({signal.Signals(-code).name})"
    except ValueError:
        return f"killed by signal {-code}"


def log_file(folder: Path, name: str) -> Path:
    """Where the engine called `name` logs; names may hold `/`, file names may not."""
    return folder / f"{name.replace('/', '%')}.log"
