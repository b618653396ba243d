"""Saying whose code a command runs, before it does."""

from collections.abc import Iterable

from normwise.cli.console import errors


def import_and_tell(modules: Iterable[str] | None, *models: str) -> None:
    """Imports the modules of `--import`, and says what of the user's own runs, a line each.

    Args:
        modules: What `--import` names.
        models: What names models; only `package.module:callable` runs anything.

    Raises:
        ModelReadError: There is no such module, or it fails.
    """
    from normwise.workflows.models import (  # noqa: PLC0415 - light start-up
        import_modules,
        is_callable_name,
    )

    for module in modules or ():
        _tell(f"Imports {module}, which runs its code.")
        import_modules([module])
    for model in filter(is_callable_name, models):
        _tell(f"Imports {model.partition(':')[0]} and calls {model}, which runs their code.")


def _tell(text: str) -> None:
    errors.print(text, markup=False, highlight=False, soft_wrap=True)
