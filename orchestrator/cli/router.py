"""`madrigal router`: fit learned selectors on recorded outcomes, and say what a fitted model is."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from experts.errors import InputError
from orchestrator.cli._common import DEFAULT_CONFIG, ConfigOption, emit_json, err, out
from orchestrator.cli._store import StoreOption

if TYPE_CHECKING:
    from router.learned import Learned

app = typer.Typer(help="Fit and inspect learned selectors.", no_args_is_help=True)


@app.command()
def fit(
    data: Annotated[
        list[Path] | None,
        typer.Option(help="Recorded outcomes of your experts (JSON Lines, also gzipped); may be given several times."),
    ] = None,
    log: Annotated[
        bool, typer.Option("--log", help="Learn from the judged answers of the request log instead (/v1/feedback).")
    ] = False,
    config: ConfigOption = DEFAULT_CONFIG,
    store: StoreOption = None,
    out_: Annotated[Path, typer.Option("--out", "-o", help="The model's file.")] = Path("routing.safetensors"),
    selector: Annotated[str, typer.Option(help="The learned selector to fit.")] = "ensemble",
    pool: Annotated[str | None, typer.Option(help="Only these models, separated by commas.")] = None,
    split: Annotated[str | None, typer.Option(help="Only the rows marked with this split.")] = None,
    name: Annotated[
        list[str] | None, typer.Option(help="MODEL=EXPERT: call a recorded model by an expert's name in the policy.")
    ] = None,
    folds: Annotated[int, typer.Option(min=2, help="Folds for the figures on held-out prompts.")] = 5,
    seed: Annotated[int, typer.Option(help="Seed of folds and fits.")] = 0,
    json: Annotated[bool, typer.Option("--json", help="Print the report on held-out prompts as JSON.")] = False,
) -> None:
    """Learn who is good at what, and write it into one small file for `select: {type: …, model: FILE}`.

    The file says what it was fitted on (by hash), how, when, and how well it does on prompts held out.
    """
    import shlex

    from orchestrator.cli.evaluate import embedded, part
    from router import replay
    from router.fit import fitted
    from router.learned import save

    if log == bool(data):
        raise InputError("exactly one of --data and --log says what to learn from")
    replay.check([selector], replay.fitters())
    if log:
        from orchestrator.cli._logged import from_log

        outcomes, vectors = from_log(selector, store, config, pool)
    else:
        from router.outcomes import read

        outcomes = part(read(data or []), pool, split)
        vectors = embedded(outcomes)
    names = dict(_pair(given, outcomes.experts) for given in name or [])
    command = shlex.join(["madrigal", *sys.argv[1:]])
    with err().status("fitting") as status:
        learned, told = fitted(
            selector, outcomes, vectors, names=names, k=folds, seed=seed, command=command, note=status.update
        )
    save(learned, out_)
    if json:
        emit_json({"file": str(out_), "bytes": out_.stat().st_size, **told})
        return
    held = learned.provenance["held_out"]
    size = out_.stat().st_size
    out().print(
        f"{out_}: {selector} over {len(learned.experts)} experts, fitted on {len(outcomes)} prompts, {size / 1e6:.2f} MB\n"
        f"held out ({folds} folds): accuracy {100 * held['accuracy']:.1f}% "
        f"[{100 * held['interval'][0]:.1f}, {100 * held['interval'][1]:.1f}]; "
        f"best single expert {100 * held['best_single']:.1f}%\n"
        f"use it with: select: {{type: {selector}, model: {out_.name}}}",
        markup=False,
    )


@app.command()
def show(
    file: Annotated[Path, typer.Argument(help="A file written by `madrigal router fit`.")],
    json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Say what a fitted model is: its selector, experts, data, command, date, and figures on held-out prompts."""
    from router.learned import load

    told = _told(load(file))
    if json:
        emit_json(told)
        return
    for key, value in told.items():
        text = ", ".join(f"{k}: {v}" for k, v in value.items()) if isinstance(value, dict) else value
        out().print(f"{key}: {', '.join(text) if isinstance(text, list) else text}", markup=False)


def _told(learned: "Learned") -> dict[str, Any]:
    return {
        "selector": learned.selector,
        "experts": list(learned.experts),
        "embedder": learned.embedder,
        "settings": dict(learned.settings),
        **learned.provenance,
        "numbers": sum(array.size for array in learned.arrays.values()),
    }


def _pair(given: str, known: tuple[str, ...]) -> tuple[str, str]:
    recorded, equals, expert = given.rpartition("=")
    if not (equals and recorded in known and expert):
        raise InputError(
            f"--name must be MODEL=EXPERT with a recorded model, not {given!r}",
            remedy=f"Recorded: {', '.join(known)}.",
        )
    return recorded, expert
