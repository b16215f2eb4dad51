"""`madrigal evaluate`: measure on recorded outcomes, without calling any model."""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from experts.errors import ConfigError, InputError
from orchestrator.cli._common import emit_json, err, out, table
from orchestrator.cli._recruiting import recruiting

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from router.outcomes import Outcomes

app = typer.Typer(help="Measure routing on recorded outcomes.", no_args_is_help=True)
app.command()(recruiting)


@app.callback()
def _group() -> None:
    pass


@app.command()
def routing(
    data: Annotated[
        list[Path], typer.Option(help="Outcomes to route (JSON Lines, also gzipped); may be given several times.")
    ],
    fit: Annotated[
        list[Path] | None, typer.Option(help="Outcomes to fit on. Without it: folds of the data itself.")
    ] = None,
    selector: Annotated[
        list[str] | None, typer.Option(help="Selectors to measure, or `all`. Default: knn and ensemble.")
    ] = None,
    pool: Annotated[str | None, typer.Option(help="Only these models, separated by commas.")] = None,
    split: Annotated[str | None, typer.Option(help="Route only the rows marked with this split.")] = None,
    fit_split: Annotated[str | None, typer.Option(help="Fit only on the rows marked with this split.")] = None,
    folds: Annotated[int, typer.Option(min=2, help="Folds, where nothing else is given to fit on.")] = 5,
    prices: Annotated[
        Path | None, typer.Option(help='JSON of USD per million tokens: {"model": {"input": …, "output": …}}.')
    ] = None,
    share: Annotated[
        float | None, typer.Option(min=0.0, max=1.0, help="Also route one causal pass with this share of strong calls.")
    ] = None,
    seed: Annotated[int, typer.Option(help="Seed of folds, fits and intervals.")] = 0,
    json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
    plot: Annotated[Path | None, typer.Option(help="Draw quality against cost into this PNG or SVG file.")] = None,
) -> None:
    """What each selector would have scored, beside the best single model, kNN, the oracle and chance.

    Selectors see prompts and their embeddings, never the groups, scores or answers of what they route. New embeddings
    are computed once (about 40 a second on two cores) and kept in the cache folder.
    """
    from router import replay
    from router.outcomes import read

    if plot is not None:
        _drawable()
    wanted, known = list(selector or ["knn", "ensemble"]), replay.fitters()
    names = list(known) if "all" in wanted else wanted
    replay.check(names, known)
    names = list(dict.fromkeys([*names, "knn"]))  # the paired comparison is always with kNN
    test = part(read(data), pool, split)
    learn = part(read(fit), pool, fit_split) if fit else None
    if learn is None and fit_split is not None:
        learn = part(read(data), pool, fit_split)
    show = err()
    vectors = embedded(test)
    fitted = None if learn is None else (learn, embedded(learn))
    with show.status("fitting") as status:
        done = replay.run(names, test, vectors, fitted, k=folds, seed=seed, note=status.update)
    costs = _prices(prices, test.experts) if prices is not None else None
    told: dict[str, Any] = {"data": [str(path) for path in data], "fit": [str(path) for path in fit or []] or None}
    told |= {"folds": None if fitted is not None else folds, "seed": seed} | replay.report(done, costs, seed=seed)
    if share is not None:
        from router.dial import online

        for name, predicted in done.predicted.items():
            told["selectors"][name]["online"] = online(test, predicted, share, seed=seed)
    if plot is not None:
        from router.drawing import cost_quality

        cost_quality(done, replay.spent(test, costs), plot)
    emit_json(told) if json else _print(told)


def part(outcomes: "Outcomes", pool: str | None, split: str | None) -> "Outcomes":
    """The rows of a split that score every model of the pool; says on stderr how many do not."""
    if split is not None:
        outcomes = outcomes.split(split)
    if pool is not None:
        outcomes = outcomes.pool([name.strip() for name in pool.split(",")])
    complete = outcomes.complete()
    if len(complete) < len(outcomes):
        err().print(
            f"{len(outcomes) - len(complete)} of {len(outcomes)} prompts are left out: not every model has a score"
        )
    return complete


def embedded(outcomes: "Outcomes") -> "NDArray[np.float32]":
    """Vectors of the prompts, from the cache folder or computed with a progress bar: float32 [N, D]. Blocks."""
    from rich.progress import Progress

    from router.vectors import vectors

    with Progress(console=err(), transient=True) as bar:
        task = bar.add_task("embedding prompts", total=None, visible=False)
        return vectors(
            outcomes.prompts, progress=lambda done, total: bar.update(task, completed=done, total=total, visible=True)
        )


def _prices(path: Path, experts: tuple[str, ...]) -> "NDArray[np.float64]":
    """USD per million tokens of each expert, input and output alike weighed."""
    import json as reader

    import numpy as np

    try:
        given = reader.loads(path.read_text())
        return np.array([(given[name]["input"] + given[name]["output"]) / 2 for name in experts])
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror}") from None
    except (ValueError, TypeError, KeyError) as error:
        raise InputError(
            f"{path} holds no price of every model: {error!r}",
            remedy='It must hold {"model": {"input": USD per million tokens, "output": …}} for each model.',
        ) from None


def _drawable() -> None:
    import importlib.util

    if importlib.util.find_spec("matplotlib") is None:
        raise ConfigError("--plot needs matplotlib, which is not installed", remedy="Run: pip install 'madrigal[plot]'")


def _print(told: dict[str, Any]) -> None:
    base = told["baselines"]
    fitted = f"fitted on {', '.join(told['fit'])}" if told["fit"] else "fitted on the rest of the data"
    if told["folds"]:
        fitted = f"{told['folds']} folds"
    out().print(f"{told['n']} prompts, {len(told['experts'])} models, {fitted}\n", markup=False)
    ranked = sorted(told["selectors"].items(), key=lambda item: -item[1]["accuracy"])
    columns: dict[str, Callable[[dict[str, Any]], str]] = {
        "accuracy %": lambda one: _percent(one["accuracy"]),
        "95%": _range,
        "over best single": lambda one: _signed(one.get("over_best_single")),
        "over kNN": lambda one: _signed(one.get("over_knn")),
        "to oracle": lambda one: f"{one['gap_at_oracle']:.2f}" if "gap_at_oracle" in one else "",
        "APGR": lambda one: f"{one['apgr']:.3f}" if "apgr" in one else "",
        "CPT50 %": lambda one: _percent(one["cpt50"]) if "cpt50" in one else "",
        "CPT80 %": lambda one: _percent(one["cpt80"]) if "cpt80" in one else "",
        "AIQ": lambda one: f"{one['aiq']:.4f}" if "aiq" in one else "",
    }
    named = [(name.replace("_", " ") + (" (cheats)" if one.get("cheats") else ""), one) for name, one in base.items()]
    named += ranked
    used = {title: cell for title, cell in columns.items() if any(cell(one) for _, one in named)}
    rows = table("", *used)
    for name, one in named:
        rows.add_row(name, *(cell(one) for cell in used.values()))
    wide = out()
    wide.width = max(wide.width, 132)  # a table that a pipe would cut into syllables helps nobody
    wide.print(rows)
    for name, one in told["selectors"].items():
        calls = ", ".join(
            f"{expert} {_percent(part)}" for expert, part in sorted(one["calls"].items(), key=lambda c: -c[1])
        )
        wide.print(f"{name} calls: {calls} %", markup=False)
        if "online" in one:
            live = one["online"]
            wide.print(
                f"{name} online: asked for {_percent(live['asked'])}, gave {_percent(live['given'])}, windows of "
                f"{live['window']}: {_percent(live['least'])}–{_percent(live['most'])}; quality {_percent(live['accuracy'])}, "
                f"chance at this share {_percent(live['random'])}, difference {_signed(live['over_random'])}",
                markup=False,
            )


def _percent(value: float) -> str:
    return f"{100 * value:.1f}"


def _range(one: dict[str, Any]) -> str:
    return f"{_percent(one['low'])}–{_percent(one['high'])}" if "low" in one else ""


def _signed(difference: dict[str, float] | None) -> str:
    if difference is None:
        return ""
    return f"{100 * difference['mean']:+.1f} [{100 * difference['low']:+.1f}, {100 * difference['high']:+.1f}]"
