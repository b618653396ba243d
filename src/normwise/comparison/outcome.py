"""What one trial gave, as it is kept beside its run."""

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any, Final, Self

from normwise.json_files import numbers, read_json, write_json

TRIAL_FILE: Final = "trial.json"

Row = Mapping[str, float]


@dataclass(frozen=True)
class Cost:
    """What a trial costs; NaN where it wasn't measured.

    Attributes:
        steps: Training steps that were made.
        seconds: For all epochs, with validation.
        seconds_per_step: Of training, loading included: the median of the epochs behind the first.
        seconds_per_megapixel: Of inference, an image at a time; of volumes a million voxels.
        parameters: Weights that are trained.
        statistics: Numbers that are kept and not trained, such as moving means.
        peak_memory: Bytes, of the trial's own process; None where it had none.
        at_once: Processes that shared the machine meanwhile.
    """

    steps: int = 0
    seconds: float = math.nan
    seconds_per_step: float = math.nan
    seconds_per_megapixel: float = math.nan
    parameters: int | None = None
    statistics: int | None = None
    peak_memory: int | None = None
    at_once: int = 1


@dataclass(frozen=True)
class Norms:
    """The normalization layers of a trial's network, the scaling of its input left out.

    Attributes:
        layers: How many.
        foldable: How many are batch normalizations that convolutions beside them can take over.
        findings: Codes and names of what `check` says, such as `NW109 unnormalized-skip`, with
            their severity; of a trained network also by the rules that need data.
    """

    layers: int = 0
    foldable: int = 0
    findings: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True)
class Probes:
    """What was measured of a trained network itself; NaN where it wasn't.

    All are root mean squares in standard deviations of the output.

    Attributes:
        samples: Training patches that were looked at.
        disparity: By how much outputs differ between training mode, in which batch normalizations
            use the statistics of batches of the training's size, and inference.
        tile_mismatch: By how much those of a pixel differ in two tiles that overlap; 0 where tiles
            with a halo are exact, since no layer sees the whole tile.
        batch_dependence: By how much those of a patch differ in training mode between two batches
            whose other patches differ.
        inference_dependence: The same in inference, where it should be rounding.
    """

    samples: int = 0
    disparity: float = math.nan
    tile_mismatch: float = math.nan
    batch_dependence: float = math.nan
    inference_dependence: float = math.nan


@dataclass(frozen=True)
class Images:
    """The images of a trial.

    Attributes:
        train: How many train.
        evaluated: How many the deciding metric is measured on.
        key: A number that is the same for the same evaluated images.
        training: The same of the images that train; empty in records that don't tell.
    """

    train: int
    evaluated: int
    key: str
    training: str = ""


@dataclass(frozen=True)
class Outcome:
    """What one trial gave.

    Attributes:
        asked: Its recipe as the comparison asked for it.
        recipe: The same with every choice made.
        metric: The metric that chose the best epoch.
        split: The split that the metric is compared on.
        images: Its images.
        diverged: Why it ended without a model; empty if it did not.
        stopped: Why it ended before its last epoch; empty if it did not.
        best_epoch: Whose weights were kept.
        history: One row an epoch.
        metrics: For `val` and, where the data have one, `test`: metrics of the best epoch on whole
            images. NaN where undefined.
        cost: What it costs.
        norms: Its normalization.
        probes: What was measured of the trained network itself.
        versions: Versions by name, and the backend, of the process that measured it.
    """

    asked: Mapping[str, Any]
    recipe: Mapping[str, Any]
    metric: str
    split: str
    images: Images
    diverged: str = ""
    stopped: str = ""
    best_epoch: int = 0
    history: tuple[Row, ...] = field(default=(), repr=False)
    metrics: Mapping[str, Row] = field(default_factory=dict)
    cost: Cost = Cost()
    norms: Norms = Norms()
    probes: Probes = Probes()
    versions: Mapping[str, str] = field(default_factory=dict, repr=False)

    @property
    def value(self) -> float:
        """What is compared; NaN if the trial diverged, and where the metric isn't defined."""
        return self.metrics.get(self.split, {}).get(self.metric, math.nan)

    def write(self, folder: Path) -> None:
        """Keeps it in the run's folder: the trial is done."""
        write_json(folder / TRIAL_FILE, asdict(self), indent=1)

    @classmethod
    def read(cls, folder: Path) -> Self | None:
        """What `write` kept, or None if the trial isn't done.

        Raises:
            RunError: If the file holds something else.
        """
        path = folder / TRIAL_FILE
        if not path.is_file():
            return None
        return read_json(path, cls._of, "Remove it, and the trial is measured anew.")

    @classmethod
    def _of(cls, found: dict[str, Any]) -> Self:
        known = {f.name for f in fields(cls)}
        if unknown := set(found) - known:
            raise ValueError(f"unknown entries {sorted(unknown)}")
        findings = tuple((code, severity) for code, severity in found["norms"]["findings"])
        seconds = {name: v for name, v in found["cost"].items() if name.startswith("seconds")}
        return cls(
            **{
                **found,
                "images": Images(**found["images"]),
                "history": tuple(numbers(row) for row in found["history"]),
                "metrics": {split: numbers(row) for split, row in found["metrics"].items()},
                "cost": Cost(**{**found["cost"], **numbers(seconds)}),
                "norms": Norms(**{**found["norms"], "findings": findings}),
                "probes": Probes(**dict[str, Any](numbers(found.get("probes", {})))),
            }
        )
