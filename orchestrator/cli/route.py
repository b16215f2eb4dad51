"""`madrigal route`: what would be decided for a request, and why; no server and no model is needed."""

import json
import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from experts.errors import InputError
from orchestrator.cli._common import DEFAULT_CONFIG, ConfigOption, emit_json, out, table


def route(
    text: Annotated[
        str | None, typer.Argument(help="One user message; - or nothing reads stdin.", show_default=False)
    ] = None,
    messages: Annotated[
        Path | None, typer.Option(help="JSON file: a list of messages, or a whole request body.", show_default=False)
    ] = None,
    model: Annotated[str | None, typer.Option(help="A policy, or an expert.", show_default="auto")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="The whole trace, as /v1/route gives it.")] = False,
    config: ConfigOption = DEFAULT_CONFIG,
) -> None:
    """Show which decision and expert a request would get, and why."""
    import asyncio

    from orchestrator.config import load_config
    from orchestrator.offline import Offline

    body = _body(text, messages)
    if model is not None:
        body["model"] = model
    trace = asyncio.run(Offline(load_config(config)).route(body)).trace()
    if as_json:
        emit_json(trace)
    else:
        _explain(trace)


def _body(text: str | None, messages: Path | None) -> dict[str, Any]:
    if messages is not None and text is not None:
        raise InputError("give a text or --messages, not both")
    if messages is None:
        if text is None and sys.stdin.isatty():
            raise InputError("a text is needed", remedy='Write: madrigal route "What is 2 + 2?"')
        said = sys.stdin.read() if text in (None, "-") else text
        return {"messages": [{"role": "user", "content": said}]}
    try:
        read = json.loads(messages.read_text(encoding="utf-8"))
    except OSError as error:
        raise InputError(f"{messages} cannot be read: {error.strerror}") from None
    except ValueError as error:
        raise InputError(f"{messages} is not JSON: {error}") from None
    body = {"messages": read} if isinstance(read, list) else read
    rows = body.get("messages") if isinstance(body, dict) else None
    if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
        raise InputError(f"{messages} must hold a list of messages, or a body with one under 'messages'")
    return dict(body)


def _explain(trace: dict[str, Any]) -> None:
    from rich.text import Text

    console = out()
    strategy = trace["strategy"]["type"]
    head = Text.assemble(("decision  ", "dim"), (trace["decision"], "bold"), (f"   policy {trace['policy']}", "dim"))
    console.print(head)
    if "refuse" in trace:
        console.print(Text.assemble(("answer    ", "dim"), trace["refuse"]["text"]))
    else:
        console.print(
            Text.assemble(("strategy  ", "dim"), strategy, (f"   selector {trace['select'] or 'none'}", "dim"))
        )
    for rows in (
        _experts(trace),
        _signals(trace),
        _why(trace, "constraints"),
        _why(trace, "decisions"),
    ):
        if len(rows) > 1:
            console.print()
            made = table(*rows[0], title=None)
            for row in rows[1:]:
                made.add_row(*(Text(cell) for cell in row))
            console.print(made)
    console.print(Text(f"\ndecided in {trace['ms']:.3g} ms", style="dim"))


def _experts(trace: dict[str, Any]) -> list[tuple[str, ...]]:
    rows: list[tuple[str, ...]] = [("expert", "score", "why")]
    rows += [(one["name"], f"{one['score']:.3g}", one["why"]) for one in trace["experts"]]
    rows += [(name, "dropped", why) for name, why in trace["dropped"].items()]
    return rows


def _signals(trace: dict[str, Any]) -> list[tuple[str, ...]]:
    rows: list[tuple[str, ...]] = [("signal", "matched", "found", "confidence", "ms")]
    for name, signal in trace["signals"].items():
        if not signal["computed"]:
            rows.append((name, "not needed", "", "", ""))
            continue
        found = signal["label"] if signal["label"] is not None else signal["value"]
        shown = (
            ""
            if found in (None, [], "")
            else found
            if isinstance(found, str)
            else json.dumps(found, ensure_ascii=False)
        )
        error = f" (failed: {signal['error']})" if "error" in signal else ""
        error += " (experimental)" if "experimental" in signal else ""
        rows.append(
            (name, _yes(signal["matched"]), shown + error, f"{signal['confidence']:.3g}", f"{signal['ms']:.3g}")
        )
    return rows


def _why(trace: dict[str, Any], part: str) -> list[tuple[str, ...]]:
    rows: list[tuple[str, ...]] = [(part.removesuffix("s"), "holds", "why")]
    return rows + [(one["name"], _yes(one["matched"]), one["why"]) for one in trace[part]]


def _yes(matched: bool | None) -> str:
    return "–" if matched is None else "yes" if matched else "no"
