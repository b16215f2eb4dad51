"""What several commands share: the --config option, the consoles, JSON on stdout. Knows no command."""

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypeAlias

import typer

if TYPE_CHECKING:
    from rich.console import Console

DEFAULT_CONFIG = Path("madrigal.yaml")

ConfigOption: TypeAlias = Annotated[
    Path, typer.Option("--config", "-c", envvar="MADRIGAL_CONFIG", help="The policy file.", show_default=True)
]


def out() -> "Console":
    """A console on stdout: what the command was asked for."""
    from rich.console import Console

    return Console(highlight=False)


def err() -> "Console":
    """A console on stderr: progress, remarks, errors."""
    from rich.console import Console

    return Console(stderr=True, highlight=False)


def emit_json(data: Any) -> None:
    """`data` as JSON on stdout, for programs."""
    sys.stdout.write(json_text(data))


def json_text(data: Any) -> str:
    """`data` as indented JSON with a line break at its end."""
    return json.dumps(data, ensure_ascii=False, indent=2, default=str) + "\n"


def table(*columns: str, title: str | None = None) -> Any:
    """A rich table without lines; cells are plain text, markup is not read in them."""
    from rich.box import SIMPLE_HEAD
    from rich.table import Table

    made = Table(box=SIMPLE_HEAD, title=title, title_justify="left", pad_edge=False, show_edge=False)
    for column in columns:
        made.add_column(column, overflow="fold")
    return made


def count(number: int, one: str, many: str | None = None) -> str:
    """`1 case`, `2 cases`."""
    return f"{number} {one if number == 1 else many or one + 's'}"
