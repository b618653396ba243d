"""What the files of a run folder are called; `images.yaml` beside them is named in `data`."""

from pathlib import Path
from typing import Final

from normwise.keras_format.reading import RUN_MODEL

RECIPE: Final = "recipe.yaml"
MODEL: Final = RUN_MODEL
HISTORY: Final = "history.csv"
METRICS: Final = "metrics.json"
CURVES: Final = "curves.png"
PREVIEW: Final = "preview.png"
LOG: Final = "log.txt"
CHECK: Final = "check.json"
RECORD: Final = "report.json"
PAGE: Final = "report.html"
DATA: Final = "data.json"
LAST: Final = Path("checkpoints", "last.npz")
BEST: Final = Path("checkpoints", "best.npz")
RATES: Final = "learning_rate.png"
"""Beside the others, if the learning rate was found by a trial."""
