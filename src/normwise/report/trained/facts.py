"""What the page of a training run shows, as plain values; it judges nothing."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from normwise.report.page.facts import Row


@dataclass(frozen=True)
class Scores:
    """What the model reaches on some images.

    Attributes:
        title: On which, such as `4 test images`.
        note: What else must be known of them.
        head: Names of the columns, the first that of the rows' names.
        rows: Names and numbers as text: each class or target.
        foot: The same for what stands for all of them: their mean, and the simplest answer.
        confusion: Names of the classes and, for each as the truth, the share of its pixels that is
            predicted as each; NaN for a class that doesn't occur. Empty for values.
    """

    title: str
    note: str
    head: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    foot: tuple[tuple[str, ...], ...]
    confusion: Mapping[str, tuple[float, ...]] = field(default_factory=dict)


@dataclass(frozen=True)
class Course:
    """How the training went.

    Attributes:
        loss: What the loss is called.
        metric: The metric that chose the epoch, with its unit.
        epochs: From 1.
        training: The loss of each epoch on the patches.
        validation: The loss on the validation images.
        values: The metric there.
        best: The epoch whose weights were kept; 0 for none.
        note: What took how long.
    """

    loss: str
    metric: str
    epochs: tuple[float, ...]
    training: tuple[float, ...]
    validation: tuple[float, ...]
    values: tuple[float, ...]
    best: int
    note: str


@dataclass(frozen=True)
class Fault:
    """A finding of the check.

    Attributes:
        severity: `error`, `warning` or `info`.
        name: Code and name.
        layers: Where.
        message: What was found.
        why: Why it is a fault.
        fix: What mends it.
    """

    severity: str
    name: str
    layers: tuple[str, ...]
    message: str
    why: str
    fix: str


@dataclass(frozen=True)
class Choice:
    """A setting that isn't left at its default, and why it is so."""

    key: str
    value: str
    reason: str


@dataclass(frozen=True)
class Shown:
    """Example predictions.

    Attributes:
        rows: The pictures.
        note: Which images they are.
        classes: Names of the classes with their colours; empty for values.
    """

    rows: tuple[Row, ...] = field(repr=False)
    note: str
    classes: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True)
class RunFacts:
    """All that stands on the page.

    Attributes:
        title: Network and data.
        plan: The norm plan.
        answer: What was reached, in a paragraph.
        troubled: Whether the run came to no good end.
        scores: What the model reaches, the most telling images first.
        course: How the training went.
        shown: Example predictions; None without a model.
        network: The network as SVG.
        faults: Findings of the check.
        choices: Settings with their reasons.
        recipe: All settings as YAML.
        command: Repeats the run.
        versions: Versions and fingerprints by name.
    """

    title: str
    plan: str
    answer: str
    troubled: bool
    scores: tuple[Scores, ...]
    course: Course
    shown: Shown | None
    network: str = field(repr=False)
    faults: tuple[Fault, ...]
    choices: tuple[Choice, ...]
    recipe: str = field(repr=False)
    command: str
    versions: Mapping[str, str]
