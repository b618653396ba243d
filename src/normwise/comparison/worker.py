"""A process that makes one trial: `python -m normwise.comparison.worker FOLDER PROCESSES UNTIL`.

The recipe comes as YAML on standard input; what the trial gave is in its folder at the end. An
error that the user can mend is the last line on standard error, and exit 2.
"""

import sys
from pathlib import Path

from normwise.backend import require_backend
from normwise.errors import NormwiseError
from normwise.memory import keep_freed_memory


def main(folder: str, at_once: str, until: str) -> int:
    """Makes the trial.

    Args:
        folder: Its run folder.
        at_once: How many such processes share the machine.
        until: The epoch after which it pauses; 0 trains to the end.

    Returns:
        The exit code.
    """
    text = sys.stdin.read()
    keep_freed_memory()
    try:
        require_backend()
        from normwise.comparison.running import run_trial  # noqa: PLC0415 - needs the backend
        from normwise.training.recipe import checked  # noqa: PLC0415
        from normwise.training.yaml_values import read_yaml  # noqa: PLC0415

        recipe = checked(read_yaml(text), "The trial's recipe")
        run_trial(
            recipe,
            Path(folder),
            alone=True,
            at_once=int(at_once),
            progress=False,
            until=int(until) or None,
        )
    except NormwiseError as error:
        print(" ".join(str(error).split()), file=sys.stderr)  # noqa: T201 - read by the parent
        return 2
    except KeyboardInterrupt:
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
