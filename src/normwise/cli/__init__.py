"""The command line: one file a verb; each parses, calls one workflow and prints."""

import sys

__all__ = ["main"]


def main() -> None:
    """Runs the command line; a check without options takes the short way."""
    if sys.argv[1:2] == ["check"]:
        from normwise.cli.short import models_in, run_check  # noqa: PLC0415 - light start-up

        if models := models_in(sys.argv[1:]):
            run_check(models)
            return
    from normwise.cli import app  # noqa: PLC0415

    app.main()
