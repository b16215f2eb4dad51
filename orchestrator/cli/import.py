# ruff: noqa: N999 the file is named as the command
"""`madrigal import`: another router's configuration as a policy file of ours."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from experts.errors import InputError
from orchestrator.cli._common import count, err, json_text

if TYPE_CHECKING:
    from router.importers import Imported

app = typer.Typer(help="Turn another router's configuration into a policy file.", no_args_is_help=True)


@app.callback()
def _group() -> None:
    """Turn another router's configuration into a policy file."""


@app.command("vllm-sr")
def vllm_sr(
    config: Annotated[Path, typer.Argument(help="The configuration of vLLM Semantic Router, version v0.3.")],
    out: Annotated[Path, typer.Option("--out", "-o", help="Where the policy file goes.")] = Path("madrigal.yaml"),
    kb: Annotated[
        list[str] | None, typer.Option(help="NAME=FILE: the examples (labels.json) of a knowledge base; repeatable.")
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Write over a file that is there.")] = False,
) -> None:
    """From vLLM Semantic Router. Says on stderr what could not be carried over; the same is at the head of the file."""
    import yaml

    from orchestrator.config import parse_config
    from router.importers import vllm_sr as importer

    if out.exists() and not force:
        raise InputError(f"{out} is there already", remedy="Name another file with -o, or write over it with --force.")
    try:
        given = yaml.safe_load(_read(config))
    except yaml.YAMLError as error:
        raise InputError(f"{config} is no YAML: {error}") from None
    made = importer.convert(given, dict(_knowledge(one) for one in kb or ()))
    text = _text(made, config)
    try:
        for name, content in made.files.items():
            (out.parent / name).write_text(json_text(content), encoding="utf-8")
        out.write_text(text, encoding="utf-8")
    except OSError as error:
        raise InputError(f"{out} cannot be written: {error.strerror}") from None
    read = parse_config(text, str(out))
    for lost in made.lost:
        err().print(f"not carried: {lost}", markup=False, soft_wrap=True)
    decisions = sum(len(policy.decisions) for policy in read.policies.values())
    print(
        f"{out}: {count(len(read.experts), 'expert')}, {count(decisions, 'decision')} in "
        f"{count(len(read.policies), 'policy', 'policies')}; {count(len(made.lost), 'thing')} not carried"
    )


def _knowledge(written: str) -> tuple[str, Any]:
    import json

    name, equals, file = written.partition("=")
    if not name or not equals or not file:
        raise InputError(f"--kb takes NAME=FILE, {written!r} was given")
    try:
        content = json.loads(_read(Path(file)))
        return name, {"labels": {label: {"exemplars": told["exemplars"]} for label, told in content["labels"].items()}}
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise InputError(
            f"{file} holds no labelled examples: {type(error).__name__}: {error}",
            remedy='It is JSON: {"labels": {"name": {"exemplars": ["a text"]}}}.',
        ) from None


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path} cannot be read: {getattr(error, 'strerror', None) or error}") from None


def _text(made: "Imported", source: Path) -> str:
    """The policy file, with what was not carried at its head."""
    import yaml

    head = [f"# Made from {source.name} of vLLM Semantic Router by `madrigal import vllm-sr`."]
    if made.lost:
        head += ["# Not carried over:", *(f"#   {' '.join(str(lost).split())}" for lost in made.lost)]
    body = yaml.safe_dump(made.policy, sort_keys=False, allow_unicode=True, width=118)
    return "\n".join([*head, "", body])
