"""The demo: the question's network as it was asked and mended, on real microscopy images."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from normwise.backend import require_backend
from normwise.errors import OutputExistsError
from normwise.files import whole_file
from normwise.rules import Severity
from normwise.samples import sample_folder
from normwise.workflows.check import check
from normwise.workflows.evaluate import evaluate
from normwise.workflows.show import NetworkTable, draw, show
from normwise.workflows.train import train

if TYPE_CHECKING:
    from normwise.rules import Finding
    from normwise.training.finished_run import Run
    from normwise.training.metrics import Metrics

AS_ASKED: Final = "as-asked"
MENDED: Final = "mended"
MENDS: Final = {
    "network": {"decoder_activation": "relu", "normalized_skips": True},
    "norm": "batch@encoder:post-activation+decoder:post-activation",
}
EPOCHS: Final = 20
STEPS: Final = 30
MENDED_IN_WORDS: Final = (
    "normalized skips, and relu and batch normalization after each decoder layer"
)
PICTURE: Final = "demo.png"


@dataclass(frozen=True)
class Demo:
    """What the demo found.

    Attributes:
        folder: Where the two run folders and the picture are.
        runs: The two runs, by name.
        metrics: Their metrics on the test crop, by name.
        warnings: How many warnings and errors the check had of each before its training, by name.
        picture: Input planes, truth and both predictions.
    """

    folder: Path
    runs: dict[str, Run]
    metrics: dict[str, Metrics]
    warnings: dict[str, int]
    picture: Path

    def difference(self, metric: str) -> float:
        """By how much a test metric of the mended network exceeds that of the network as asked."""
        mended, asked = (self.metrics[name].values[metric] for name in (MENDED, AS_ASKED))
        return float(mended - asked)


def asked_network() -> NetworkTable:
    """The question's network, layer by layer."""
    require_backend()
    from normwise.networks import build  # noqa: PLC0415 - needs the backend

    return show(build("question", (512, 512, 9), 1))


def asked_findings() -> tuple[Finding, ...]:
    """The warnings that `check` has of the question's network."""
    require_backend()
    from normwise.networks import build  # noqa: PLC0415 - needs the backend

    return check(build("question", (512, 512, 9), 1)).at_least(Severity.WARNING)


def demo(
    out: str | Path = "normwise-demo",
    *,
    overwrite: bool = False,
    epochs: int = EPOCHS,
    steps: int = STEPS,
    progress: bool = True,
    say: Callable[[str], None] = lambda text: None,
) -> Demo:
    """Trains the question's network as asked and as mended, with the same budget.

    The sample is real: nine focal planes of phase contrast, 512x512 pixels of a cell culture, and
    the DAPI fluorescence (nuclei) as one linear target channel. Training sees columns 0 to 383,
    the test is columns 384 to 511.

    Args:
        out: The folder for two run folders, drawings of both networks, and one picture.
        overwrite: Whether earlier results in it may be replaced.
        epochs: Epochs of each run.
        steps: Training steps an epoch.
        progress: Whether to show progress.
        say: Is told what comes next.

    Returns:
        Runs, test metrics and the picture's path.

    Raises:
        OutputExistsError: The folder holds a demo already.
    """
    folder = Path(out)
    if (folder / PICTURE).exists() and not overwrite:
        raise OutputExistsError(
            f"{folder} holds a demo already; name another folder with -o, or add --overwrite."
        )
    runs, metrics, warnings = {}, {}, {}
    for name, mends, what in ((AS_ASKED, {}, "nothing changed"), (MENDED, MENDS, MENDED_IN_WORDS)):
        say(f"Training the network {name.replace('-', ' ')}: {what}")
        runs[name] = train(
            _recipe(mends, epochs, steps), out=folder / name, overwrite=True, progress=progress
        )
        metrics[name] = evaluate(folder / name, out=folder / name / "test.json", overwrite=True)
        warnings[name] = _warnings(folder / name)
        draw(folder / name, folder / f"network-{name}.svg", overwrite=True)
    picture = _picture(runs, folder / PICTURE)
    return Demo(folder, runs, metrics, warnings, picture)


def _warnings(run: Path) -> int:
    from normwise.training.checking import findings_in  # noqa: PLC0415 - light start-up

    return sum(finding["severity"] != Severity.INFO for finding in findings_in(run))


def _recipe(mends: dict[str, Any], epochs: int, steps: int) -> dict[str, Any]:
    return {
        "data": {
            "path": str(sample_folder()),
            "patch": 128,
            "augmentation": {"intensity": 0.1},
        },
        "network": {"name": "question", **mends.get("network", {})},
        "norm": mends.get("norm"),
        "training": {"epochs": epochs, "steps": steps, "metric": "correlation"},
    }


def _picture(runs: dict[str, Run], path: Path) -> Path:
    from normwise.data import open_dataset  # noqa: PLC0415 - needs the backend
    from normwise.inference.whole import predict_whole  # noqa: PLC0415
    from normwise.rasters import read_raster  # noqa: PLC0415
    from normwise.report.comparison import Comparison, draw_comparison  # noqa: PLC0415

    dataset = open_dataset(sample_folder())
    item = dataset.split("test")[0]
    image, truth = read_raster(item.image), read_raster(item.label or item.image)[..., 0]
    predicted = {name: predict_whole(run.model, image)[..., 0] for name, run in runs.items()}
    with whole_file(path) as temporary:
        draw_comparison(temporary, Comparison(image, dataset.bands, truth, predicted, "DAPI"))
    return path
