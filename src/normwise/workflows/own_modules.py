"""Modules that register layers of the user's own, imported here and by workers elsewhere."""

from __future__ import annotations

import socket
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType

from normwise.errors import DistributionError, ModelReadError
from normwise.workflows.models import import_modules


@dataclass(frozen=True)
class OwnModules:
    """Modules that register custom layers.

    Attributes:
        names: As Python imports them.
        folders: Where they were found here, for a worker's own folder is another one.
    """

    names: tuple[str, ...] = ()
    folders: tuple[str, ...] = ()

    @classmethod
    def imported(cls, names: str | Sequence[str]) -> OwnModules:
        """Imports modules in this process.

        Raises:
            ModelReadError: There is no such module, or it fails.
        """
        told = (names,) if isinstance(names, str) else tuple(names)
        import_modules(told)
        roots = [sys.modules[name.partition(".")[0]] for name in told]
        found = (_folder_of(root) for root in roots)
        return cls(told, tuple(dict.fromkeys(folder for folder in found if folder)))

    def import_there(self) -> None:
        """Imports the same modules in a worker.

        Raises:
            DistributionError: It can't.
        """
        try:
            import_modules(self.names, self.folders)
        except ModelReadError as error:
            raise DistributionError(
                f"The worker on {socket.gethostname()} can't import what was imported here. "
                f"{error} All machines of the cluster must find the module in the same folder, or "
                "have it installed."
            ) from error


def _folder_of(root: ModuleType) -> str | None:
    """The folder in which Python finds a module; None if it is no file."""
    package = next(iter(getattr(root, "__path__", ())), None)
    file = package or getattr(root, "__file__", None)
    return None if file is None else str(Path(file).absolute().parent)
