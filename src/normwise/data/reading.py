"""What must be known to read images: their bands, how their files are called, and nodata."""

import json
from pathlib import Path
from typing import Annotated, Any, Final, TypeVar

from pydantic import AfterValidator, BaseModel, ConfigDict, StringConstraints, ValidationError

from normwise.errors import DataError
from normwise.files import write_text

Kind = TypeVar("Kind", bound=BaseModel)

RECORD_NAME: Final = "images.yaml"
"""In a run folder: how the images of its training data were read."""

Name = Annotated[str, StringConstraints(min_length=1, strip_whitespace=True)]


def _name_and_band(pattern: str) -> str:
    if pattern.count("{name}") != 1 or pattern.count("{band}") != 1:
        raise ValueError("expected {name} and {band} once each, such as '{name}_{band}.tif'")
    return pattern


class Reading(BaseModel):
    """How images are read; every entry is optional.

    Args:
        bands: Names of the image channels, in the order of the files.
        nodata: Image pixels of this value, in any channel, hold no measurement (`.nan` for NaN).
        images: How the files of the bands are called in `images/`, such as `"{name}_{band}.tif"`.
            Only those of `bands` are used, in their order; without it all, sorted.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    bands: list[Name] | None = None
    nodata: float | None = None
    images: Annotated[str, AfterValidator(_name_and_band)] | None = None


class Record(Reading):
    """What a run keeps of how its images were read, so that it needs its data folder no more.

    Args:
        bands: Those of images of several files; None where the order of such files isn't known.
        fill: For each channel that the network takes, what stands where nothing was measured: the
            mean of the training images, scaled as the network's input is.
        channels: The names of all channels of the image files, where they have names.
        dtype: The type of their pixels, such as `uint16`; None where a mask changes it.
        placed: Whether every image had a coordinate system.
        colours: One colour for each class, where the data folder chose them.
    """

    fill: list[float] | None = None
    channels: list[str] | None = None
    dtype: str | None = None
    placed: bool | None = None
    colours: list[str] | None = None

    def write(self, folder: Path) -> None:
        """Writes it into a run folder."""
        entries = self.model_dump(exclude_none=True)
        lines = [f"{key}: {_yaml(value)}\n" for key, value in entries.items()]
        write_text(folder / RECORD_NAME, "".join([_HEAD, *lines]))


_HEAD = "# How the images of the training data were read; predict and evaluate do the same.\n"


def read_record(folder: Path) -> Record | None:
    """The record of a run folder; None if it has none.

    Raises:
        DataError: If the file is no YAML, or has unknown or impossible entries.
    """
    path = folder / RECORD_NAME
    return read_entries(path, Record) if path.is_file() else None


def read_entries(path: Path, kind: type[Kind]) -> Kind:
    """Reads a YAML file of entries.

    Args:
        path: The file.
        kind: What it may say.

    Raises:
        DataError: If it is no YAML, or has unknown or impossible entries; all are reported.
    """
    content = _load(path)
    if not isinstance(content, dict):
        raise DataError(f"{path}: expected entries such as `bands: [red, green, blue]`.")
    try:
        return kind.model_validate(content)
    except ValidationError as error:
        raise DataError(f"{path}: can't be used.", _lines(error, kind)) from error


def _load(path: Path) -> Any:
    import yaml  # noqa: PLC0415

    try:
        return yaml.safe_load(path.read_text(encoding="utf-8-sig")) or {}
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise DataError(f"{path}: is no YAML: {error}") from error


def _lines(error: ValidationError, kind: type[BaseModel]) -> list[str]:
    lines = []
    for problem in error.errors():
        place = ".".join(str(part) for part in problem["loc"])
        text = problem["msg"].removeprefix("Value error, ")
        if problem["type"] == "extra_forbidden":
            text = f"is unknown; expected one of {', '.join(kind.model_fields)}"
        lines.append(f"{place}: {text}" if place else text)
    return lines


def _yaml(value: Any) -> str:
    """JSON is YAML but for the numbers that JSON doesn't have."""
    text = json.dumps(value, ensure_ascii=False)
    return {"NaN": ".nan", "Infinity": ".inf", "-Infinity": "-.inf"}.get(text, text)
