"""The `normwise` command: its verbs, exit codes and how errors are shown."""

import sys
import traceback
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from normwise import __version__
from normwise.cli import (
    check,
    configure,
    demo,
    env,
    evaluate,
    explain,
    fold,
    place,
    predict,
    recalibrate,
    show,
    train,
)
from normwise.cli.console import errors
from normwise.errors import NormwiseError, PromiseError
from normwise.memory import keep_freed_memory

UNKEPT_PROMISE, UNUSABLE_INPUT, INTERRUPTED = 1, 2, 130


class StoppedError(Exception):
    """Ctrl-C, in a form that typer doesn't swallow."""


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
_VERBS = (check, show, place, fold, recalibrate, configure, train, evaluate, predict)
for verb in (*_VERBS, explain, demo, env):
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

    Exit codes: 0 done, 1 a promise not kept, 2 unusable input, 130 stopped by Ctrl-C.
    """
    debug = "--debug" in sys.argv
    if debug:
        sys.argv.remove("--debug")
    keep_freed_memory()
    try:
        app()
    except NormwiseError as error:
        if debug:
            traceback.print_exc()
        errors.print(f"[bold red]Error:[/] {_escaped(error)}", highlight=False, soft_wrap=True)
        sys.exit(UNKEPT_PROMISE if isinstance(error, PromiseError) else UNUSABLE_INPUT)
    except StoppedError as stop:
        errors.print(str(stop), markup=False, highlight=False, soft_wrap=True)
        sys.exit(INTERRUPTED)
    except Exception as error:
        if debug:
            raise
        errors.print(
            f"[bold red]Unexpected error:[/] {type(error).__name__}: {_escaped(error)}\n"
            "This is a fault of normwise; run again with --debug and report what it prints.",
            highlight=False,
            soft_wrap=True,
        )
        sys.exit(UNUSABLE_INPUT)


def _escaped(error: Exception) -> str:
    from rich.markup import escape  # noqa: PLC0415

    return escape(str(error))
