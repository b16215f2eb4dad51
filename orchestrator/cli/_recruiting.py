"""`madrigal evaluate recruiting`: votes of a few experts, recruited by skill, on recorded answers."""

from pathlib import Path
from typing import Annotated, Any

import typer

from orchestrator.cli._common import emit_json, err, out, table


def recruiting(
    data: Annotated[
        list[Path], typer.Option(help="Outcomes with answers (JSON Lines, also gzipped); may be given several times.")
    ],
    fit: Annotated[
        list[Path] | None, typer.Option(help="Outcomes to fit on. Without it: `--fit-split`, else folds of the data.")
    ] = None,
    pool: Annotated[str | None, typer.Option(help="Only these models, separated by commas.")] = None,
    split: Annotated[str | None, typer.Option(help="Vote only on the rows marked with this split.")] = None,
    fit_split: Annotated[str | None, typer.Option(help="Fit only on the rows marked with this split.")] = None,
    most: Annotated[int, typer.Option(min=1, help="Recruits for one prompt.")] = 5,
    sure: Annotated[
        float, typer.Option(min=0.0, max=1.0, help="Stop asking once the answer is so likely right.")
    ] = 0.6,
    folds: Annotated[int, typer.Option(min=2, help="Folds, where nothing else is given to fit on.")] = 5,
    seed: Annotated[int, typer.Option(help="Seed of draws, folds and intervals.")] = 0,
    json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """How often votes of experts recruited by skill are right: Symbolic-MoE's published way beside ours.

    Recruits are chosen by the prompt alone; a vote reads the answers of its own recruits only.
    """
    from orchestrator.cli.evaluate import embedded, part
    from router.outcomes import read
    from router.recruiting_replay import report

    test = part(read(data), pool, split)
    learn = part(read(fit or data), pool, fit_split) if fit or fit_split else None
    vectors = embedded(test)
    fitted = None if learn is None else (learn, embedded(learn))
    with err().status("fitting and voting"):
        told = report(test, vectors, fitted, most=most, sure=sure, k=folds, seed=seed)
    if json:
        emit_json(told)
    else:
        _print(told)


def _print(told: dict[str, Any]) -> None:
    out().print(
        f"{told['n']} prompts, {len(told['experts'])} models, oracle {100 * told['oracle']['accuracy']:.2f}%\n",
        markup=False,
    )
    made = table("recruiting and vote", "right %", "95%", "calls", "over published", "over best single")
    for name, one in told["variants"].items():
        made.add_row(
            name,
            f"{100 * one['accuracy']:.2f}",
            f"{100 * one['low']:.1f}–{100 * one['high']:.1f}",
            f"{one['calls']:.2f}",
            *(
                f"{100 * gap['mean']:+.2f} [{100 * gap['low']:+.2f}, {100 * gap['high']:+.2f}]"
                for gap in (one["over_published"], one["over_best_single"])
            ),
        )
    out().print(made)
