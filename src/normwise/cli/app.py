"""The `normwise` command: its verbs, exit codes and how errors are shown."""

import sys
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from normwise import __version__
from normwise.cli import (
    check,
    compare,
    configure,
    demo,
    env,
    evaluate,
    explain,
    export,
    fold,
    place,
    predict,
    recalibrate,
    show,
    train,
)
from normwise.cli.ending import StoppedError, run
from normwise.memory import keep_freed_memory


class _Verbs(TyperGroup):
    """The verbs; typer would end at a KeyboardInterrupt without a word."""

    def invoke(self, ctx: Any) -> Any:
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt as stop:
            raise StoppedError(str(stop) or "Stopped.") from None


app = typer.Typer(
    name="normwise",
    cls=_Verbs,
    help="Puts normalization where it belongs in any Keras model.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
)
_VERBS = (check, show, place, fold, recalibrate, configure, train, evaluate, predict, compare)
for verb in (*_VERBS, export, explain, demo, env):
    verb.add_to(app)


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"normwise {__version__}")
        raise typer.Exit


@app.callback()
def _options(
    debug: Annotated[bool, typer.Option("--debug", help="Show a traceback on errors.")] = False,
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Show the version.")
    ] = False,
) -> None:
    """Options before the verb; `--debug` is read from the command line in `main`."""


def main() -> None:
    """Runs the command line.

    Exit codes: 0 done, 1 findings at or above `--fail-on`, edits left out, or a promise not kept,
    2 unusable input, 130 stopped by Ctrl-C.
    """
    debug = "--debug" in sys.argv
    if debug:
        sys.argv.remove("--debug")
    keep_freed_memory()
    run(app, debug)
