"""The check of a network before it is trained."""

import json
import logging
from pathlib import Path
from typing import Any

import keras

from normwise.files import write_text
from normwise.keras_format.archive import version_of
from normwise.keras_format.live_weights import LiveWeights
from normwise.keras_format.reading import read_graph
from normwise.rules import Context, Report, Severity, Training, check
from normwise.rules.allowing import allowed
from normwise.rules.project import project_allowances
from normwise.training.optimizer import UNDECAYED
from normwise.training.preparing import Parts
from normwise.training.recipe import Recipe
from normwise.training.run_files import CHECK

log = logging.getLogger("normwise.training")


def check_network(parts: Parts, folder: Path) -> Report:
    """Looks for normalization mistakes in a network as it will be trained.

    Nothing is refused: a fault may be the very thing that is studied. What the project's
    pyproject.toml allows is left out. `check.json` in the run folder has the other findings, the
    log those that are warnings or worse.

    Args:
        parts: What the run is made of, with every choice made.
        folder: The run folder.

    Raises:
        CheckError: The table in pyproject.toml can't be read.
    """
    weights = LiveWeights(parts.network)
    version = version_of(keras.__version__) or ()
    found = check(Context(read_graph(parts.network), weights, _training(parts.recipe), version))
    report, _ = allowed(found, project_allowances())
    write_text(folder / CHECK, json.dumps(report.to_dict(), indent=2) + "\n")
    for line in described(report):
        log.warning("check: %s", line)
    return report


def findings_in(folder: Path) -> list[dict[str, Any]]:
    """The findings in the `check.json` of a run folder, as plain values."""
    found: list[dict[str, Any]] = json.loads((folder / CHECK).read_text(encoding="utf-8"))[
        "findings"
    ]
    return found


def described(report: Report) -> list[str]:
    """The warnings and errors of a report, a line each."""
    return [
        f"{finding.severity} {finding.code} {finding.name}: {finding.message}"
        for finding in report.at_least(Severity.WARNING)
    ]


def _training(recipe: Recipe) -> Training:
    training = recipe.training
    samples = training.batch_size * training.steps if training.steps else None
    return Training(
        training.batch_size,
        samples,
        training.epochs,
        loss=training.loss,
        optimizer={
            "weight_decay": training.weight_decay,
            "exclude_from_weight_decay": [*sorted(UNDECAYED), "scale"],  # of RMS normalization
        },
        accumulation=training.accumulate,
        recalibrated=training.precise_bn,
    )
