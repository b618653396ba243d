"""What the labels of the validation images can't tell, said before a run begins."""

from typing import Final

from normwise.data.dataset import Dataset
from normwise.data.statistics import class_counts
from normwise.training.metrics import OF_THE_FOREGROUND

_ADVICE: Final = (
    "Let images with it validate: name them in split.csv, or try a larger data.validation or "
    "another training.seed."
)


def validation_notes(metric: str, dataset: Dataset) -> tuple[str, ...]:
    """A line if no validation image has a class that the metric needs.

    Args:
        metric: The metric that chooses the epoch.
        dataset: The data; the masks that validate are read once.

    Returns:
        The line, or nothing.
    """
    if dataset.task != "segmentation" or not dataset.split("val"):
        return ()
    counts = class_counts(dataset, "val").tolist()
    absent = [name for name, count in zip(dataset.classes, counts, strict=True) if not count]
    without = f"no validation image has a labelled pixel of {', '.join(absent)}"
    if len(counts) == 2 and not counts[1] and metric in OF_THE_FOREGROUND:
        return (
            f"{without}, so that {metric} says nothing about an epoch: the lowest validation loss "
            f"decides which one is kept. {_ADVICE}",
        )
    if absent and metric.startswith("mean_"):
        return (
            f"{without}: in {metric} it counts 0 as soon as one pixel is taken for it, and nothing "
            f"as long as none is. {_ADVICE}",
        )
    return ()
