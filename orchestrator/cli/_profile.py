"""`madrigal experts profile` and `madrigal experts skills`: measure experts on tasks, and show what they are good at."""

import asyncio
import hashlib
from collections.abc import Sequence
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from experts.errors import ConfigError
from orchestrator.cli._common import DEFAULT_CONFIG, ConfigOption, count, emit_json, err, out, table

if TYPE_CHECKING:
    from experts.profile import Call, Failure, Profiles
    from experts.profile import Progress as Measured
    from experts.task_files import Task, TaskFile
    from orchestrator.cli._asking import Asking
    from router.recruiting import Recruiter
    from router.skills import Skills


def profile(
    names: Annotated[list[str], typer.Argument(help="Experts to measure.", show_default=False)],
    tasks: Annotated[
        list[Path], typer.Option(help='JSON Lines of {"id", "prompt", "answer"}; several times for more.')
    ],
    output: Annotated[Path, typer.Option("--output", "-o", help="File of profiles; one that is there is completed.")],
    limit: Annotated[
        int | None, typer.Option(min=1, help="Only so many tasks of each file, drawn by the seed.")
    ] = None,
    seed: Annotated[int, typer.Option(help="Seed of that draw, and of the experts' sampling.")] = 0,
    max_tokens: Annotated[int, typer.Option(min=1, help="Longest answer, in tokens.")] = 512,
    temperature: Annotated[float, typer.Option(min=0.0, help="Sampling temperature.")] = 0.0,
    concurrency: Annotated[int, typer.Option(min=1, help="Calls at once.")] = 4,
    annotator: Annotated[
        str | None, typer.Option(help="Expert that names the skills of each task (Symbolic-MoE's way).")
    ] = None,
    url: Annotated[
        str | None, typer.Option(help="A running server. Without it, the experts are started here.", show_default=False)
    ] = None,
    key: Annotated[str | None, typer.Option(help="Its API key.", envvar="MADRIGAL_API_KEY", show_default=False)] = None,
    config: ConfigOption = DEFAULT_CONFIG,
) -> None:
    """Measure experts on tasks with known answers and keep who got what right; goes on where an earlier run stopped."""
    from experts.profile import Profiles, load, save
    from experts.task_files import read
    from orchestrator.cli._asking import calling

    files = [read(path) for path in tasks]
    profiles = load(output) if output.exists() else Profiles()
    for file in files:
        profiles.add(file)
    settings = {"max_tokens": max_tokens, "temperature": temperature, "seed": seed}
    wanted = [task for file in files for task in _drawn(file, limit, seed)]

    async def run() -> "list[Failure]":
        everyone = list(dict.fromkeys([*names, *([annotator] if annotator else [])]))
        async with calling(everyone, url=url, key=key, config=config) as ask:
            found = await _measured(profiles, names, wanted, partial(ask, settings), settings, output, concurrency)
            if annotator:
                await _annotated(profiles, annotator, wanted, ask, concurrency)
                save(profiles, output)
            return found

    failures = asyncio.run(run())
    made = table("expert", "right", "of", "accuracy %", "no answer found", "revision")
    for name in names:
        record = profiles.experts[name]
        done = [record.outcomes[task.id] for task in wanted if task.id in record.outcomes]
        right = sum(outcome.score for outcome in done)
        share = f"{100 * right / len(done):.1f}" if done else "–"
        none = sum(outcome.answer is None for outcome in done)
        made.add_row(name, f"{right:g}", str(len(done)), share, str(none), record.revision[:12])
    out().print(made)
    print(f"written to {output}")
    if failures:
        first = failures[0]
        err().print(
            f"{count(len(failures), 'task')} had no reply and {'is' if len(failures) == 1 else 'are'} not counted, the "
            f"first: {first.expert} on {first.task}: {first.reason}\nThe same command tries them again.",
            markup=False,
        )
        raise typer.Exit(1)


def skills(
    profiles: Annotated[Path, typer.Argument(help="File written by `madrigal experts profile`.", show_default=False)],
    top: Annotated[int, typer.Option(min=1, help="Skills shown: those with the most evidence.")] = 20,
    plot: Annotated[Path | None, typer.Option(help="Draw the heat map into this PNG or SVG file.")] = None,
    model: Annotated[
        Path | None, typer.Option(help="Write the fitted model for `select: {type: skills, model: …}`.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="For programs.")] = False,
) -> None:
    """Show what each expert is good at: accuracy by skill, shrunk toward its overall accuracy by how little was seen."""
    if plot is not None:
        drawable()
    from experts.profile import load

    recruiter, tasks = _fitted(load(profiles), profiles)
    if model is not None:
        from router.learned import save

        today = datetime.now(UTC).date().isoformat()
        save(
            recruiter.learned().came(
                data={profiles.name: hashlib.sha256(profiles.read_bytes()).hexdigest()}, rows=tasks, date=today
            ),
            model,
        )
    fitted = recruiter.skills
    accuracy = fitted.table()
    order = sorted(range(len(fitted.names)), key=lambda s: -fitted.items[s])[:top]
    order = [s for s in order if fitted.items[s] >= 0.5]
    if plot is not None:
        from router.heat_map import draw

        draw(fitted, order, plot)
    if as_json:
        rows = {fitted.names[s]: dict(zip(fitted.experts, accuracy[s].tolist(), strict=True)) for s in order}
        emit_json(
            {
                "tasks": tasks,
                "overall": dict(zip(fitted.experts, fitted.overall.tolist(), strict=True)),
                "skills": [
                    {"skill": fitted.names[s], "items": float(fitted.items[s]), "accuracy": rows[fitted.names[s]]}
                    for s in order
                ],
            }
        )
        return
    _heat(fitted, order)
    for path, what in ((plot, "drawn into"), (model, "model written to")):
        if path is not None:
            print(f"{what} {path}")


def drawable() -> None:
    """Raises `ConfigError` where matplotlib is not installed."""
    import importlib.util

    if importlib.util.find_spec("matplotlib") is None:
        raise ConfigError("--plot needs matplotlib, which is not installed", remedy="Run: pip install 'madrigal[plot]'")


def _drawn(file: "TaskFile", limit: int | None, seed: int) -> "Sequence[Task]":
    """The tasks to ask: all, or `limit` of them in the file's order."""
    if limit is None or limit >= len(file.tasks):
        return file.tasks
    import random

    return [file.tasks[i] for i in sorted(random.Random(seed).sample(range(len(file.tasks)), limit))]


async def _measured(
    profiles: "Profiles",
    names: Sequence[str],
    wanted: "Sequence[Task]",
    call: "Call",
    settings: dict[str, Any],
    output: Path,
    concurrency: int,
) -> "list[Failure]":
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    from experts.profile import measure, save

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn(compact=True))
    with Progress(*columns, console=err()) as bars:
        shown: dict[str, Any] = {}

        def report(now: "Measured") -> None:
            if now.expert not in shown:
                shown[now.expert] = bars.add_task(now.expert, total=now.total)
            told = f"{now.expert} {100 * now.right / max(now.done, 1):.0f}%" + (
                f", {now.failed} without reply" if now.failed else ""
            )
            bars.update(shown[now.expert], completed=now.done, description=told)

        return await measure(
            profiles,
            names,
            wanted,
            call,
            date=datetime.now(UTC).isoformat(timespec="seconds"),
            settings=settings,
            save=lambda found: save(found, output),
            report=report,
            concurrency=concurrency,
        )


async def _annotated(
    profiles: "Profiles", annotator: str, wanted: "Sequence[Task]", ask: "Asking", concurrency: int
) -> None:
    """Name the skills of the tasks that have none yet, as Symbolic-MoE does: five samples, those repeated are kept."""
    from router.skill_annotation import annotate

    left = [task for task in wanted if task.id not in profiles.skills]

    async def say(prompt: str, temperature: float) -> str:
        return (await ask({"max_tokens": 64, "temperature": temperature}, annotator, prompt)).text

    for task, words in zip(left, await annotate([t.prompt for t in left], say, concurrency=concurrency), strict=True):
        profiles.skills[task.id] = words


def _fitted(profiles: "Profiles", path: Path) -> "tuple[Recruiter, int]":
    """The model fitted on a file's outcomes, over the annotated skills where there are any, and the number of tasks."""
    from router import recruiting
    from router.profiled import outcomes, vocabulary
    from router.vectors import vectors

    found = outcomes(profiles, path)
    names = skills = None
    if words := vocabulary(profiles):
        names, skills = list(words), vectors(list(words.values()))
    asked = found.asked(vectors(list(found.prompts)))
    fitted = recruiting.fit(asked, found.scores, found.experts, answers=found.answers, names=names, skills=skills)
    return fitted, len(found)


def _heat(fitted: "Skills", order: Sequence[int]) -> None:
    """The heat map in the terminal: red is 0% right, green 100%."""
    from rich.text import Text

    made = table("skill", "items", *fitted.experts)
    accuracy = fitted.table()
    made.add_row("overall", "", *(Text(f"{100 * share:.0f}", style="bold") for share in fitted.overall))
    for s in order:
        cells = [
            Text(f"{100 * accuracy[s, e]:.0f}", style=f"black on {_colour(accuracy[s, e])}")
            for e in range(len(fitted.experts))
        ]
        made.add_row(fitted.names[s], f"{fitted.items[s]:.0f}", *cells)
    out().print(made)


def _colour(share: float) -> str:
    """From red (0) over yellow to green (1)."""
    share = min(max(float(share), 0.0), 1.0)
    red, green = (255, int(510 * share)) if share < 0.5 else (int(510 * (1 - share)), 255)
    return f"rgb({red},{green},80)"
