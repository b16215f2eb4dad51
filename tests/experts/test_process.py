"""Child processes: greeted, watched, stopped, and none left behind. Real processes, small scripts."""

import asyncio
import os
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import psutil
import pytest

from experts.errors import EngineDownError, EngineTimeoutError
from experts.process import Child, exit_reason, log_file

POLITE = """
import json, sys
settings = json.loads(sys.stdin.readline())
print(json.dumps({"heard": settings}), flush=True)
sys.stdin.read()
"""


async def spawned(tmp_path: Path, code: str, **settings: object) -> Child:
    script = tmp_path / "engine.py"
    script.write_text(textwrap.dedent(code))
    return await Child.spawn("general", [str(script)], settings, tmp_path / "general.log")


async def gone(pid: int, within_s: float = 30.0) -> None:
    """Wait until no such process runs."""
    deadline = time.monotonic() + within_s
    while psutil.pid_exists(pid) and psutil.Process(pid).status() != psutil.STATUS_ZOMBIE:
        assert time.monotonic() < deadline, f"process {pid} still runs after {within_s} s"
        await asyncio.sleep(0.02)


async def test_settings_go_in_and_the_greeting_comes_out(tmp_path: Path) -> None:
    child = await spawned(tmp_path, POLITE, key="s3cret")
    assert await child.greeting(10) == {"heard": {"key": "s3cret"}}
    assert "s3cret" not in " ".join(psutil.Process(child.pid).cmdline())
    assert os.getsid(child.pid) == child.pid != os.getsid(0)
    await child.stop()
    await child.stop()
    assert not child.running
    assert not psutil.pid_exists(child.pid)


async def test_a_child_that_dies_at_its_start_says_why(tmp_path: Path) -> None:
    child = await spawned(tmp_path, "import sys\nprint('no such model', file=sys.stderr)\nsys.exit(3)")
    with pytest.raises(EngineDownError, match=r"(?s)exited with status 3.*no such model"):
        await child.greeting(10)
    await child.stop()

    child = await spawned(tmp_path, 'print(\'{"error": "bad file"}\', flush=True)')
    with pytest.raises(EngineDownError, match="bad file"):
        await child.greeting(10)
    await child.stop()
    assert "no such model" in (tmp_path / "general.log.1").read_text(), "the log of the run before is kept"


async def test_a_child_that_says_nothing_is_not_waited_for_for_ever(tmp_path: Path) -> None:
    child = await spawned(tmp_path, "import sys\nsys.stdin.read()")
    with pytest.raises(EngineTimeoutError, match=r"not up after 0\.05 s"):
        await child.greeting(0.05)
    await child.stop()


async def test_kill_9_is_seen(tmp_path: Path) -> None:
    child = await spawned(tmp_path, POLITE)
    await child.greeting(10)
    watching = asyncio.ensure_future(child.exited())
    os.kill(child.pid, signal.SIGKILL)
    assert (await asyncio.wait_for(watching, 5)).startswith("killed by signal 9 (SIGKILL)")
    await child.stop()


async def test_a_child_that_will_not_end_is_killed_with_all_it_started(tmp_path: Path) -> None:
    child = await spawned(
        tmp_path,
        """
        import json, signal, subprocess, sys, time
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        own = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
        print(json.dumps({"own": own.pid}), flush=True)
        time.sleep(600)
        """,
    )
    own = (await child.greeting(10))["own"]
    await child.stop(grace_s=0.1)
    assert not child.running
    await gone(own)


def test_no_orphan_when_the_server_is_killed(tmp_path: Path) -> None:
    """Also a child that never looks at its stdin: there the kernel sees to it."""
    (tmp_path / "engine.py").write_text(
        "import json, os, time\nprint(json.dumps({'pid': os.getpid()}), flush=True)\ntime.sleep(600)\n"
    )
    (tmp_path / "server.py").write_text(
        textwrap.dedent(
            f"""
            import asyncio
            from pathlib import Path
            from experts.process import Child
            async def main():
                child = await Child.spawn("general", [{str(tmp_path / "engine.py")!r}], {{}}, Path({str(tmp_path / "e.log")!r}))
                print((await child.greeting(10))["pid"], flush=True)
                await child.exited()
            asyncio.run(main())
            """
        )
    )
    with subprocess.Popen([sys.executable, tmp_path / "server.py"], stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout is not None
        engine = int(server.stdout.readline())
        assert psutil.pid_exists(engine)
        server.kill()
        server.wait()
    asyncio.run(gone(engine))


async def test_a_command_that_cannot_be_started(tmp_path: Path) -> None:
    child = await Child.spawn("general", [str(tmp_path / "no-such-engine")], {}, tmp_path / "general.log")
    with pytest.raises(EngineDownError, match="No such file"):
        await child.greeting(10)
    await child.stop()


def test_words_and_file_names() -> None:
    assert exit_reason(-11) == "killed by signal 11 (SIGSEGV)"
    assert exit_reason(0) == "exited with status 0"
    assert log_file(Path("logs"), "qwen/7b@1").name == "qwen%2f7b@1.log".replace("%2f", "%")
