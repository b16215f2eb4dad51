"""Measuring experts on tasks: who answered what, kept in a file that a further run completes.

How an expert is called is handed in, so nothing here knows of pools, servers or HTTP; what the outcomes are good for
is for others to find out (`router/skills.py`).
"""

import asyncio
import json
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from experts import task_files as checking
from experts.errors import ConfigError, ExpertError
from experts.task_files import Task, TaskFile

FORMAT = "madrigal-profiles/1"
_TASK = ("id", "prompt", "answer", "kind", "contains")
_SAVE_EVERY = 20
"""Outcomes between two writes: what is lost when the process is killed."""


@dataclass(frozen=True, slots=True)
class Said:
    """One expert's reply, and the revision of the expert that gave it ("" where it is not known)."""

    text: str
    revision: str = ""


Call = Callable[[str, str], Awaitable[Said]]
"""An expert's name and a prompt to its reply. Raises `ExpertError` where there is no reply."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """One expert on one task: `score` in 0..1, and the answer found in its reply, None where there was none."""

    score: float
    answer: str | None


@dataclass(slots=True)
class Record:
    """One expert's outcomes by task id, the revision that gave them, how it was asked, and when it was last."""

    revision: str = ""
    settings: dict[str, Any] = field(default_factory=dict)
    date: str = ""
    outcomes: dict[str, Outcome] = field(default_factory=dict)

    @property
    def accuracy(self) -> float:
        """Mean score; 0 where nothing was measured."""
        return sum(o.score for o in self.outcomes.values()) / len(self.outcomes) if self.outcomes else 0.0


@dataclass(slots=True)
class Profiles:
    """What a profile file holds: tasks with their answers, the files they came from, and each expert's record.

    `skills` are those an annotator named, by task id; empty where none was asked.
    """

    tasks: dict[str, Task] = field(default_factory=dict)
    sources: dict[str, str] = field(default_factory=dict)
    experts: dict[str, Record] = field(default_factory=dict)
    skills: dict[str, tuple[str, ...]] = field(default_factory=dict)

    def add(self, file: TaskFile) -> None:
        """Take in a file of tasks. Raises `ConfigError` for an id that already is another task's."""
        for task in file.tasks:
            if self.tasks.setdefault(task.id, task) != task:
                raise ConfigError(
                    f"the profiles already hold another task with the id {task.id!r}",
                    remedy="Write to another file with -o, or rename the task.",
                )
        self.sources[file.name] = file.sha256


@dataclass(frozen=True, slots=True)
class Failure:
    """A task an expert could not be asked: nothing was measured, and a further run tries again."""

    expert: str
    task: str
    reason: str


@dataclass(frozen=True, slots=True)
class Progress:
    """How far one expert is: `done` of `total` tasks, `right` of them right, `failed` without a reply."""

    expert: str
    done: int
    total: int
    right: float
    failed: int


async def measure(
    profiles: Profiles,
    experts: Sequence[str],
    wanted: Sequence[Task],
    call: Call,
    *,
    date: str,
    settings: Mapping[str, Any],
    save: Callable[[Profiles], None] = lambda profiles: None,
    report: Callable[[Progress], None] = lambda progress: None,
    concurrency: int = 4,
) -> list[Failure]:
    """Ask every expert every wanted task that it has not answered yet, and note the outcomes in `profiles`.

    One expert after the other, so that each is loaded once; `concurrency` calls at once. A reply without an answer in
    it is wrong; no reply at all (an `ExpertError`) is no outcome but a `Failure`. Outcomes under other settings, or of
    another revision than the one that now answers, are measured anew. `save` is called now and then, at the end, and
    when cancelled.
    """
    failures: list[Failure] = []
    try:
        for name in experts:
            record = profiles.experts.setdefault(name, Record(settings=dict(settings)))
            if record.settings != dict(settings):
                record.outcomes.clear()
                record.settings = dict(settings)
            failures += await _Run(profiles, name, record, call, date, save, report, concurrency).all(wanted)
    finally:
        save(profiles)
    return failures


@dataclass(slots=True)
class _Run:
    """One expert being measured."""

    profiles: Profiles
    name: str
    record: Record
    call: Call
    date: str
    save: Callable[[Profiles], None]
    report: Callable[[Progress], None]
    concurrency: int
    failures: list[Failure] = field(default_factory=list)
    unsaved: int = 0

    async def all(self, wanted: Sequence[Task]) -> list[Failure]:
        """The first open task alone, as it tells the revision; then the others. What an older revision had answered is
        opened again."""
        before = self.record.revision
        left = [task for task in wanted if task.id not in self.record.outcomes]
        probe = left[:1] or list(wanted[:1])  # all done: one is asked again, to see whether it is still the same expert
        for task in probe:
            await self._one(task, wanted)
        if self.record.revision != before:
            left = [task for task in wanted if task.id not in self.record.outcomes]
        queue = [task for task in left if task.id not in self.record.outcomes and task not in probe]
        workers = min(self.concurrency, len(queue))
        async with asyncio.TaskGroup() as group:
            for _ in range(workers):
                group.create_task(self._work(queue, wanted))
        return self.failures

    async def _work(self, queue: list[Task], wanted: Sequence[Task]) -> None:
        while queue:
            await self._one(queue.pop(0), wanted)

    async def _one(self, task: Task, wanted: Sequence[Task]) -> None:
        try:
            said = await self.call(self.name, task.asked)
        except ExpertError as error:
            self.failures.append(Failure(self.name, task.id, error.message))
        else:
            if said.revision != self.record.revision:
                self.record.outcomes.clear()
                self.record.revision = said.revision
            answer = checking.given(task, said.text)
            self.record.outcomes[task.id] = Outcome(checking.score(task, answer), answer)
            self.record.date = self.date
            self.unsaved += 1
        if self.unsaved >= _SAVE_EVERY:
            self.save(self.profiles)
            self.unsaved = 0
        measured = [outcome for task in wanted if (outcome := self.record.outcomes.get(task.id))]
        right = sum(outcome.score for outcome in measured)
        self.report(Progress(self.name, len(measured), len(wanted), right, len(self.failures)))


def save(profiles: Profiles, path: Path) -> None:
    """Write the file, whole or not at all. Blocks. Raises `ConfigError` where it cannot be written."""
    told = {
        "format": FORMAT,
        "sources": profiles.sources,
        "tasks": [
            {name: getattr(task, name) for name in _TASK}
            | ({"skills": list(profiles.skills[task.id])} if task.id in profiles.skills else {})
            for task in profiles.tasks.values()
        ],
        "experts": {
            name: {
                "revision": record.revision,
                "date": record.date,
                "settings": record.settings,
                "outcomes": {id: [outcome.score, outcome.answer] for id, outcome in sorted(record.outcomes.items())},
            }
            for name, record in profiles.experts.items()
        },
    }
    part = path.with_name(path.name + ".part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        part.write_text(json.dumps(told, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")
        part.replace(path)
    except OSError as error:
        raise ConfigError(f"the profiles cannot be written to {path}: {error.strerror}") from error


def load(path: Path) -> Profiles:
    """Read a file. Blocks. Raises `ConfigError` for what is none."""
    try:
        told = json.loads(path.read_text(encoding="utf-8"))
        if not isinstance(told, dict) or told.get("format") != FORMAT:
            raise ValueError(f"it is not of the format {FORMAT}")
        return Profiles(
            tasks={row["id"]: Task(**{name: row[name] for name in _TASK}) for row in told["tasks"]},
            sources=dict(told["sources"]),
            experts={name: _record(row) for name, row in told["experts"].items()},
            skills={row["id"]: tuple(row["skills"]) for row in told["tasks"] if "skills" in row},
        )
    except OSError as error:
        raise ConfigError(
            f"{path} cannot be read: {error.strerror}", remedy=f"Make it: madrigal experts profile … -o {path.name}."
        ) from None
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise ConfigError(
            f"{path} holds no profiles: {error}", remedy="Such files are written by `madrigal experts profile`."
        ) from None


def _record(row: Mapping[str, Any]) -> Record:
    outcomes = {id: Outcome(float(points), answer) for id, (points, answer) in row["outcomes"].items()}
    return Record(row["revision"], dict(row["settings"]), row["date"], outcomes)
