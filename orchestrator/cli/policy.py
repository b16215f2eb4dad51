"""`madrigal policy`: check the policy file, print its JSON schema, try it on cases."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from experts.errors import ConfigError, InputError
from orchestrator.cli._common import DEFAULT_CONFIG, ConfigOption, count, emit_json, json_text, out, table

if TYPE_CHECKING:
    from orchestrator.cases import Outcome

app = typer.Typer(help="Check, describe and test the policy file.", no_args_is_help=True)


@app.command()
def check(
    file: Annotated[Path, typer.Argument(help="The policy file.", envvar="MADRIGAL_CONFIG")] = DEFAULT_CONFIG,
) -> None:
    """Say whether the file is a valid policy: exit 0 if so, 1 with every error and its place if not."""
    from orchestrator.config import parse_config, read_text
    from orchestrator.offline import Offline

    text = read_text(file)  # a file that cannot be read is a wrong call: exit 2
    try:
        config = parse_config(text, str(file))
    except ConfigError as error:
        print(error, file=sys.stderr)
        raise typer.Exit(1) from None
    rows = sum(len(policy.decisions) for policy in config.policies.values())
    signals = {signal.name for policy in config.policies.values() for signal in policy.signals}
    print(
        f"{file}: valid: {count(len(config.experts), 'expert')}, {count(len(signals), 'signal')}, "
        f"{count(rows, 'decision')} in {count(len(config.policies), 'policy', 'policies')}; hash {config.policy_hash}"
    )
    doubts = {pair for policy in Offline(config).policies.values() for pair in policy.experimental.items()}
    for name, why in sorted(doubts):
        print(f"{file}: warning: the signal {name!r} is experimental: {why}", file=sys.stderr)


@app.command()
def schema() -> None:
    """Print the JSON schema of the policy file, for editors and pipelines."""
    from orchestrator.schema import json_schema

    emit_json(json_schema())


@app.command()
def reference(
    update: Annotated[
        Path | None, typer.Option(help="Folder of policy.md and policy.schema.json, to be brought up to date.")
    ] = None,
) -> None:
    """Print every key of the policy file as Markdown, or bring the documentation up to date with the code."""
    from orchestrator.reference import reference as written
    from orchestrator.reference import updated
    from orchestrator.schema import json_schema

    if update is None:
        print(written())
        return
    page = update / "policy.md"
    try:
        page.write_text(updated(page.read_text(encoding="utf-8")), encoding="utf-8")
        (update / "policy.schema.json").write_text(json_text(json_schema()), encoding="utf-8")
    except (OSError, ValueError) as error:
        raise InputError(f"{page} cannot be brought up to date: {error}") from None


@app.command()
def test(
    cases: Annotated[
        Path, typer.Argument(help="JSON lines {text | messages, decision, …}, or vLLM Semantic Router's probes.yaml.")
    ],
    config: ConfigOption = DEFAULT_CONFIG,
    as_json: Annotated[bool, typer.Option("--json", help="Print the outcomes as JSON.")] = False,
) -> None:
    """Route every case and compare: exit 0 if all are decided as expected, 1 if one is not."""
    import asyncio

    from orchestrator.cases import read_cases, try_case
    from orchestrator.config import load_config
    from orchestrator.offline import Offline
    from orchestrator.probes import read_probes

    try:
        text = cases.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{cases} cannot be read: {error}") from None
    todo = (read_probes if cases.suffix in (".yaml", ".yml") else read_cases)(text, str(cases))
    offline = Offline(load_config(config))

    async def run() -> "list[Outcome]":
        return [await try_case(offline, line, case) for line, case in todo]

    outcomes = asyncio.run(run())
    missed = [outcome for outcome in outcomes if outcome.misses]
    if as_json:
        emit_json(
            {
                "cases": len(outcomes),
                "missed": len(missed),
                "outcomes": [
                    {"line": o.line, "decision": o.decision, "expert": o.expert, "misses": list(o.misses)}
                    for o in outcomes
                ],
            }
        )
    else:
        _show(outcomes)
        print(f"{len(outcomes) - len(missed)} of {count(len(outcomes), 'case')} as expected")
    if missed:
        raise typer.Exit(1)


def _show(outcomes: "list[Outcome]") -> None:
    from rich.text import Text

    made = table("line", "", "text", "decision", "expert", "missed")
    for one in outcomes:
        mark = Text("✗", style="bold red") if one.misses else Text("✓", style="green")
        shown = one.case.shown if len(one.case.shown) <= 60 else f"{one.case.shown[:59]}…"
        made.add_row(
            str(one.line), mark, Text(shown), Text(one.decision), Text(one.expert or "–"), Text("; ".join(one.misses))
        )
    out().print(made)
