"""What a run's page tells and no other file of the run does: `report.json`."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from enum import StrEnum
from pathlib import Path
from typing import Any, Self

from normwise.json_files import read_json, write_json
from normwise.training.floors import Constant, Floor
from normwise.training.metrics import Metrics
from normwise.training.run_files import RECORD


class State(StrEnum):
    """How far a run is."""

    running = "running"
    finished = "finished"
    interrupted = "interrupted"
    diverged = "diverged"
    failed = "failed"


@dataclass(frozen=True)
class Evaluation:
    """What a run's model reaches on the images of a split.

    Attributes:
        data: The data folder.
        split: `train`, `val` or `test`.
        images: How many they are.
        metrics: Of the model.
        floor: What the run's constant answer reaches on them.
        tta: The views that were averaged, `none` for the image itself.
    """

    data: str
    split: str
    images: int
    metrics: Metrics
    floor: Floor | None = None
    tta: str = "none"

    @property
    def key(self) -> tuple[str, str, str]:
        """A later one takes the place of one with the same."""
        return self.data, self.split, self.tta


@dataclass(frozen=True)
class RunRecord:
    """What a run's page tells and no other file of the run does.

    Attributes:
        command: Repeats the run.
        told: The settings that were told, by dotted key; others were chosen, or are defaults.
        data: The data folder.
        fingerprint: A short name of what the data hold.
        images: How many each split has.
        versions: Of what the run was made with.
        state: How far the run is.
        why: Why it ended as it did; empty where there is nothing to say.
        evaluations: What its model reaches, the validation images that chose the epoch first.
    """

    command: str
    told: Mapping[str, Any]
    data: str
    fingerprint: str
    images: Mapping[str, int]
    versions: Mapping[str, str]
    state: State = State.running
    why: str = ""
    evaluations: tuple[Evaluation, ...] = field(default=(), repr=False)

    def having(self, found: Evaluation) -> Self:
        """The record with one more evaluation, or a newer one."""
        others = tuple(own for own in self.evaluations if own.key != found.key)
        return replace(self, evaluations=(*others, found))

    def write(self, folder: Path) -> None:
        """Writes it into a run folder."""
        content = {**asdict(self), "evaluations": [_plain(one) for one in self.evaluations]}
        write_json(folder / RECORD, content)

    @classmethod
    def read(cls, folder: Path) -> Self | None:
        """The record of a run folder; None if it has none.

        Raises:
            RunError: If the file holds something else.
        """
        path = folder / RECORD
        if not path.is_file():
            return None
        return read_json(path, cls._of, "Remove it; the run goes on without a page.")

    @classmethod
    def _of(cls, content: Mapping[str, Any]) -> Self:
        return cls(
            **{
                **content,
                "state": State(content["state"]),
                "evaluations": tuple(map(_evaluation, content["evaluations"])),
            }
        )


def _plain(found: Evaluation) -> dict[str, Any]:
    floor = found.floor
    return {
        "data": found.data,
        "split": found.split,
        "images": found.images,
        "tta": found.tta,
        "metrics": found.metrics.to_dict(),
        "floor": None if floor is None else {
            "name": floor.constant.name,
            "values": list(floor.constant.values),
            "metrics": floor.metrics.to_dict(),
        },
    }  # fmt: skip


def _evaluation(content: Mapping[str, Any]) -> Evaluation:
    floor = content["floor"]
    return Evaluation(
        **{
            **content,
            "metrics": Metrics.of(content["metrics"]),
            "floor": None if floor is None else Floor(
                Constant(floor["name"], tuple(floor["values"])), Metrics.of(floor["metrics"])
            ),
        }
    )  # fmt: skip
