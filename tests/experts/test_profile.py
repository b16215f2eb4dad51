"""Measuring experts on tasks: what is counted, what is kept, what a second run does."""

import asyncio
from pathlib import Path

import pytest

from experts.errors import ConfigError, EngineDownError
from experts.profile import Failure, Outcome, Profiles, Progress, Said, load, measure, save
from experts.task_files import Task, TaskFile

TASKS = tuple(Task(str(n), f"{n} + {n}?", str(2 * n), "number") for n in range(1, 6))
FILE = TaskFile("sums.jsonl", "0" * 64, TASKS)
SETTINGS = {"max_tokens": 16}


class Experts:
    """`able` doubles, `odd` says no number to odd ones, `away` fails; all calls are noted."""

    def __init__(self, revision: str = "r1") -> None:
        self.calls: list[tuple[str, str]] = []
        self.revision = revision
        self.running = self.most_running = 0

    async def __call__(self, name: str, prompt: str) -> Said:
        self.calls.append((name, prompt))
        self.running += 1
        self.most_running = max(self.most_running, self.running)
        await asyncio.sleep(0)
        self.running -= 1
        number = int(prompt.split()[0])
        if name == "away" and number > 2:
            raise EngineDownError("it is away", expert=name)
        return Said("no idea" if name == "odd" and number % 2 else f"It is {2 * number}.", self.revision)


def profiles() -> Profiles:
    made = Profiles()
    made.add(FILE)
    return made


async def run(found: Profiles, experts: list[str], call: Experts, **more: object) -> list[Failure]:
    return await measure(found, experts, TASKS, call, date="2026-01-01", **{"settings": SETTINGS, **more})  # type: ignore[arg-type]


async def test_right_wrong_and_no_reply_are_told_apart() -> None:
    found = profiles()
    failures = await run(found, ["able", "odd", "away"], Experts())
    assert {name: record.accuracy for name, record in found.experts.items()} == {"able": 1, "odd": 0.4, "away": 1}
    assert found.experts["odd"].outcomes["1"] == Outcome(0.0, None), "an answer without a number is wrong"
    assert set(found.experts["away"].outcomes) == {"1", "2"}, "no reply is no outcome"
    assert sorted((failure.task, failure.reason) for failure in failures) == [(n, "it is away") for n in "345"]
    assert found.experts["able"].revision == "r1"
    assert found.experts["able"].date == "2026-01-01"


async def test_a_second_run_asks_only_what_is_missing() -> None:
    found = profiles()
    await run(found, ["away"], Experts())
    again = Experts()
    await run(found, ["away"], again)
    assert sorted(prompt.split()[0] for _, prompt in again.calls) == ["3", "4", "5"]


async def test_another_revision_or_other_settings_are_measured_anew() -> None:
    found = profiles()
    await run(found, ["able"], Experts())
    newer = Experts("r2")
    await run(found, ["able"], newer)
    assert len(newer.calls) == 5, "all again, as the revision changed"
    assert found.experts["able"].revision == "r2"
    same = Experts("r2")
    await run(found, ["able"], same)
    assert len(same.calls) == 1, "one call tells that it is the same expert"
    longer = Experts("r2")
    await run(found, ["able"], longer, settings={"max_tokens": 99})
    assert len(longer.calls) == 5


async def test_calls_run_at_once_but_one_expert_at_a_time() -> None:
    call = Experts()
    await run(profiles(), ["able", "odd"], call, concurrency=3)
    assert call.most_running == 3
    assert [name for name, _ in call.calls] == ["able"] * 5 + ["odd"] * 5


async def test_it_saves_now_and_then_and_when_it_is_cut_off() -> None:
    tasks = tuple(Task(str(n), f"{n} + {n}?", str(2 * n), "number") for n in range(50))
    kept: list[int] = []
    reached = asyncio.Event()

    class Stuck(Experts):
        async def __call__(self, name: str, prompt: str) -> Said:
            if len(self.calls) == 45:
                reached.set()
                await asyncio.Event().wait()
            return await super().__call__(name, prompt)

    running = asyncio.ensure_future(
        measure(
            Profiles(),
            ["able"],
            tasks,
            Stuck(),
            date="",
            settings={},
            save=lambda now: kept.append(len(now.experts["able"].outcomes)),
            concurrency=1,
        )
    )
    await reached.wait()
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    assert kept == [20, 40, 45]


async def test_progress_tells_how_far_and_how_well() -> None:
    told: list[Progress] = []
    await run(profiles(), ["odd"], Experts(), report=told.append, concurrency=1)
    assert told[-1] == Progress("odd", 5, 5, 2.0, 0)
    assert [progress.done for progress in told] == [1, 2, 3, 4, 5]


async def test_a_file_keeps_everything(tmp_path: Path) -> None:
    found = profiles()
    await run(found, ["able", "odd"], Experts())
    found.skills["1"] = ("arithmetic",)
    save(found, tmp_path / "deep" / "profiles.json")
    assert load(tmp_path / "deep" / "profiles.json") == found


def test_what_is_no_profile_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot be read"):
        load(tmp_path / "none.json")
    for text in ("{", "[]", '{"format": "else"}', '{"format": "madrigal-profiles/1", "tasks": 1}'):
        (tmp_path / "bad.json").write_text(text)
        with pytest.raises(ConfigError, match="holds no profiles"):
            load(tmp_path / "bad.json")


def test_one_id_is_one_task() -> None:
    found = profiles()
    found.add(FILE)
    other = TaskFile("other.jsonl", "1" * 64, (Task("1", "something else", "x", "text"),))
    with pytest.raises(ConfigError, match="another task with the id '1'"):
        found.add(other)
