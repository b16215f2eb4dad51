"""`madrigal strategies`: which there are, what they do, their parameters and their graphs."""

from pathlib import Path
from typing import Annotated

import typer

from experts.errors import ConfigError, InputError
from orchestrator.cli._common import emit_json, out, table

app = typer.Typer(help="What can be done with the experts that the router chose.", no_args_is_help=True)


@app.command("list")
def list_(as_json: Annotated[bool, typer.Option("--json", help="Print them as JSON.")] = False) -> None:
    """List the strategies, each with a line."""
    from experts.registry import known
    from orchestrator.strategy_pages import STRATEGIES, about

    lines = {name: about(name) for name in known(STRATEGIES)}
    if as_json:
        emit_json(lines)
        return
    made = table("strategy", "what it does")
    for name, line in lines.items():
        made.add_row(name, line)
    out().print(made)


@app.command()
def show(
    name: Annotated[str, typer.Argument(help="A strategy: see madrigal strategies list.")],
    png: Annotated[Path | None, typer.Option(help="Draw its graph into this PNG, SVG or PDF file.")] = None,
    mermaid: Annotated[Path | None, typer.Option(help="Write its graph in Mermaid's notation into this file.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print parameters, steps and graph as JSON.")] = False,
) -> None:
    """Show a strategy: what it does, its parameters, its graph."""
    from experts.registry import load
    from orchestrator import strategy_pages

    said = strategy_pages.told(name)
    plan = strategy_pages.plan_of(name)
    if plan is None and (png is not None or mermaid is not None):
        raise InputError(f"{name} has no graph to draw: it makes its calls one after the other.")
    if png is not None:
        _require_matplotlib()
    drawn = strategy_pages.mermaid(plan) if plan is not None else None
    model = load(strategy_pages.STRATEGIES, name).Params
    if as_json:
        steps = strategy_pages.steps(plan) if plan is not None else {}
        emit_json(
            {"name": name, "about": said, "parameters": model.model_json_schema(), "steps": steps, "mermaid": drawn}
        )
    else:
        from orchestrator.reference import rows

        print(f"{said}\n")
        made = table("parameter", "value", "default", "meaning")
        for row in rows(model):
            made.add_row(*row)
        out().print(made if made.row_count else "No parameters of its own.\n")
        if drawn is not None:
            print(drawn, end="")
    if png is not None and plan is not None:
        from orchestrator.graph_drawing import draw

        draw(strategy_pages.graph(plan), name, png)
    if mermaid is not None and drawn is not None:
        try:
            mermaid.write_text(drawn, encoding="utf-8")
        except OSError as error:
            raise ConfigError(f"{mermaid} cannot be written: {error.strerror}") from None


@app.command()
def docs(
    update: Annotated[Path | None, typer.Option(help="The page to bring up to date: docs/strategies.md.")] = None,
) -> None:
    """Print every strategy as Markdown, or bring the documentation up to date with the code."""
    from orchestrator.strategy_pages import reference, updated

    if update is None:
        print(reference())
        return
    try:
        update.write_text(updated(update.read_text(encoding="utf-8")), encoding="utf-8")
    except (OSError, ValueError) as error:
        raise InputError(f"{update} cannot be brought up to date: {error}") from None


def _require_matplotlib() -> None:
    import importlib.util

    if importlib.util.find_spec("matplotlib") is None:
        raise ConfigError("--png needs matplotlib, which is not installed", remedy="Run: pip install 'madrigal[plot]'")
