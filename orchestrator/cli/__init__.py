"""The command `madrigal`: each file of this folder is one command or group of commands, named as the file.

A file holds either `app`, a `typer.Typer` with commands of its own, or a function named as the file. It imports only
typer, the standard library and `experts.errors`; the rest inside its functions, so that `madrigal --help` is quick.

Exit status: 0 done; 1 the answer is no (a test missed, a check failed); 2 the call or the input is wrong; 130 Ctrl-C.
Errors are on stderr: one line first, then what would work.
"""

import sys
import traceback
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from experts import registry
from experts.errors import MadrigalError


class _Commands(TyperGroup):
    """Turns errors that we raise on purpose into two lines and an exit status, for every command."""

    def invoke(self, ctx: Any) -> Any:
        try:
            return super().invoke(ctx)
        except MadrigalError as error:
            if ctx.params.get("debug"):
                traceback.print_exc()
            print(f"error: {error.message}", file=sys.stderr)
            if error.remedy:
                print(error.remedy, file=sys.stderr)
            raise typer.Exit(2) from None
        except KeyboardInterrupt:
            raise typer.Exit(130) from None


def build() -> typer.Typer:
    """The whole command line, from the files of this folder."""
    app = typer.Typer(
        name="madrigal",
        cls=_Commands,
        help="One OpenAI-compatible chat API in front of many local expert language models.",
        no_args_is_help=True,
        pretty_exceptions_enable=False,
        context_settings={"help_option_names": ["-h", "--help"]},
    )
    app.callback()(_options)
    for name in registry.known(__name__):
        module = registry.load(__name__, name)
        if hasattr(module, "app"):
            app.add_typer(module.app, name=name)
        else:
            app.command(name)(getattr(module, name))
    return app


def main() -> None:
    """Run `madrigal` on this process's arguments and exit."""
    build()()


def _options(
    version: Annotated[
        bool,
        typer.Option("--version", help="Show the version and exit.", callback=lambda v: _version(v), is_eager=True),
    ] = False,
    debug: Annotated[bool, typer.Option("--debug", help="Show where an error came from.")] = False,
) -> None:
    pass


def _version(asked: bool) -> None:
    if asked:
        from importlib.metadata import version

        print(f"madrigal {version('madrigal')}")
        raise typer.Exit
