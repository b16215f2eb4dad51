"""Reload: what counts as a change of the policy file, and what an invalid one does. Time is stepped by hand."""

import asyncio
import os
from pathlib import Path

import pytest

from experts.errors import ConfigError, MadrigalError
from orchestrator.config import Config, load_config
from orchestrator.watch import ConfigWatcher

FIRST = "server: {port: 1}\n"


class Watched:
    """A policy file with a watcher; `sleep` is the place where the test writes while the watcher waits."""

    def __init__(self, path: Path) -> None:
        self.path = path
        path.write_text(FIRST)
        self.taken: list[int] = []
        self.errors: list[str] = []
        self.while_settling = lambda: None
        self.refuse: MadrigalError | None = None
        self.watcher = ConfigWatcher(
            path,
            self._take,
            on_error=lambda e: self.errors.append(str(e)),
            serving=load_config(path),
            sleep=self._sleep,
        )

    async def _take(self, config: Config) -> None:
        if self.refuse is not None:
            raise self.refuse
        self.taken.append(config.server.port)

    async def _sleep(self, seconds: float) -> None:
        self.while_settling()


@pytest.fixture
def watched(tmp_path: Path) -> Watched:
    return Watched(tmp_path / "m.yaml")


async def test_a_changed_file_is_read_once(watched: Watched):
    assert not await watched.watcher.check()
    watched.path.write_text("server: {port: 2}\n")
    assert await watched.watcher.check()
    assert not await watched.watcher.check()
    assert watched.taken == [2]
    assert (watched.watcher.reloads, watched.watcher.failures) == (1, 0)


async def test_a_change_between_reading_and_watching_is_found(tmp_path: Path):
    path = tmp_path / "m.yaml"
    path.write_text(FIRST)
    serving = load_config(path)
    path.write_text("server: {port: 2}\n")
    taken: list[Config] = []

    async def take(config: Config) -> None:
        taken.append(config)

    watcher = ConfigWatcher(path, take, on_error=lambda e: None, serving=serving, settle_s=0)
    assert await watcher.check()
    assert taken[0].server.port == 2


async def test_touching_or_replacing_by_the_same_content_changes_nothing(watched: Watched):
    os.utime(watched.path, (1, 1))
    assert not await watched.watcher.check()
    fresh = watched.path.with_suffix(".new")
    fresh.write_text(FIRST)
    fresh.replace(watched.path)
    assert not await watched.watcher.check()
    assert watched.taken == []


async def test_an_editor_that_replaces_the_file(watched: Watched):
    watched.path.unlink()
    assert not await watched.watcher.check()  # gone for a moment: no error
    fresh = watched.path.with_suffix(".new")
    fresh.write_text("server: {port: 3}\n")
    fresh.replace(watched.path)
    assert await watched.watcher.check()
    assert (watched.taken, watched.errors) == ([3], [])


async def test_a_file_that_is_still_being_written_is_left_alone(watched: Watched):
    watched.path.write_text("")  # truncated: on its own a valid policy
    watched.while_settling = lambda: watched.path.write_text("server: {port: 4}\n")
    assert not await watched.watcher.check()
    watched.while_settling = lambda: None
    assert await watched.watcher.check()
    assert watched.taken == [4]


async def test_an_invalid_file_is_told_once_and_the_next_valid_one_taken(watched: Watched):
    watched.path.write_text("server: {prot: 1}\n")
    assert not await watched.watcher.check()
    assert not await watched.watcher.check()
    assert len(watched.errors) == 1
    assert "m.yaml:1:10: server.prot: unknown key 'prot'" in watched.errors[0]
    assert isinstance(watched.watcher.error, ConfigError)
    assert (watched.taken, watched.watcher.failures) == ([], 1)

    watched.path.write_text("server: {port: 5}\n")
    assert await watched.watcher.check()
    assert watched.watcher.error is None
    assert watched.taken == [5]


async def test_going_back_to_what_is_served_clears_the_error(watched: Watched):
    watched.path.write_text("server: {prot: 1}\n")
    await watched.watcher.check()
    watched.path.write_text(FIRST)
    assert await watched.watcher.check()
    assert watched.watcher.error is None


async def test_a_configuration_that_cannot_be_used_is_an_error_too(watched: Watched):
    watched.refuse = ConfigError("the environment variable KEY is not set")
    watched.path.write_text("server: {port: 6}\n")
    assert not await watched.watcher.check()
    assert watched.errors == ["the environment variable KEY is not set"]


async def test_sighup_reads_the_file_even_if_nothing_changed(watched: Watched):
    assert await watched.watcher.check(force=True)
    assert watched.taken == [1]
    watched.path.unlink()
    assert not await watched.watcher.check(force=True)
    assert "there is no such file" in watched.errors[0]


async def test_run_looks_until_it_is_cancelled(tmp_path: Path):
    path = tmp_path / "m.yaml"
    path.write_text(FIRST)
    seen = asyncio.Event()

    async def take(config: Config) -> None:
        seen.set()

    watcher = ConfigWatcher(path, take, on_error=lambda e: None, interval_s=0.01, settle_s=0.01)
    task = asyncio.create_task(watcher.run())
    path.write_text("server: {port: 7}\n")
    await asyncio.wait_for(seen.wait(), 10)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
