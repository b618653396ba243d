"""The process in which TensorFlow converts a model of another backend.

`python -m normwise.inference.formats.worker JOB` reads what `conversion` wrote down, and answers in
a file: other output comes from libraries.
"""

import importlib
import json
import sys
from functools import reduce
from pathlib import Path
from typing import Any

from normwise.backend import require_backend
from normwise.errors import ExportError


def main(job: Path) -> None:
    """Does what a job says."""
    told = json.loads(job.read_text(encoding="utf-8"))
    require_backend()
    problem = None
    try:
        _convert(told)
    except ExportError as error:
        problem = str(error)
    Path(told["answer"]).write_text(json.dumps({"problem": problem}), encoding="utf-8")


def _convert(told: Any) -> None:
    import keras  # noqa: PLC0415 - after the backend is chosen

    from normwise.inference.formats.format import FORMATS  # noqa: PLC0415
    from normwise.inference.formats.tensorflow_writer import reason_of, write  # noqa: PLC0415

    try:
        objects = {name.rpartition(".")[2]: _imported(module, name)
                   for module, name in told["objects"]}  # fmt: skip
        # Its own process has just saved it, Lambdas included.
        model = keras.saving.load_model(
            told["model"], compile=False, safe_mode=False, custom_objects=objects
        )
    except Exception as error:
        raise ExportError(
            f"{told['format']}: TensorFlow, through which models are converted, can't load it: "
            f"{reason_of(error)}"
        ) from error
    write(model, Path(told["path"]), FORMATS[told["format"]], told["sizes"], told["explain"])


def _imported(module: str, name: str) -> Any:
    return reduce(getattr, name.split("."), importlib.import_module(module))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
