"""What a data folder says about itself: the optional `dataset.yaml` in its root."""

from pathlib import Path
from typing import Annotated, Self

from pydantic import Field, StringConstraints
from pydantic import model_validator as validated

from normwise.data.reading import Name, Reading, read_entries
from normwise.rasters import Dimensions

DESCRIPTION_NAME = "dataset.yaml"
IGNORE = 255
"""The class id of pixels that have no label."""

_Colour = Annotated[str, StringConstraints(pattern=r"^#[0-9a-fA-F]{6}$")]
_ClassId = Annotated[int, Field(ge=0, le=IGNORE)]


class Description(Reading):
    """The content of `dataset.yaml`; every entry is optional.

    Args:
        classes: Names of the classes, in the order of their ids; or a mapping from name to the
            value that stands in the mask files.
        colours: One colour such as `"#1f77b4"` for each class, for drawing.
        bands: Names of the image channels, in the order of the files.
        nodata: Image pixels of this value, in any channel, hold no measurement (`.nan` for NaN).
        mask_values: From the value in the mask files to the class id; 255 means ignore.
        dimensions: 3 if the files are volumes though they don't say so: pages, or the first axis
            of an array with three, are slices. 2 if slices are channels.
        images: How the files of the bands are called in `images/`, such as `"{name}_{band}.tif"`.
            Only those of `bands` are used, in their order; without it all, sorted.

    Example:
        ```yaml
        classes: [land, water]
        mask_values: {0: 0, 255: 1}
        ```
    """

    classes: list[Name] | dict[Name, int] | None = None
    colours: list[_Colour] | None = None
    mask_values: dict[int, _ClassId] | None = None
    dimensions: Dimensions | None = None

    @property
    def class_names(self) -> tuple[str, ...] | None:
        """Names in the order of the class ids, or None if the file names none."""
        return None if self.classes is None else tuple(self.classes)

    @property
    def class_ids(self) -> dict[int, int] | None:
        """From the value in the mask files to the class id, or None if it must be inferred."""
        if self.mask_values is not None:
            return dict(self.mask_values)
        if self.classes is None:
            return None
        values = self.classes.values() if isinstance(self.classes, dict) else range(self._count)
        # Without a word about 255 it means ignore, as everywhere.
        return {IGNORE: IGNORE} | {value: index for index, value in enumerate(values)}

    @property
    def _count(self) -> int:
        return len(self.classes or ())

    @validated(mode="after")
    def _agrees(self) -> Self:
        if isinstance(self.classes, dict) and self.mask_values is not None:
            raise ValueError("`classes` already maps names to mask values; drop `mask_values`")
        names = self.class_names or ()
        if len(set(names)) != len(names):
            raise ValueError("a name stands twice in `classes`")
        if isinstance(self.classes, dict) and len(set(self.classes.values())) != len(names):
            raise ValueError("two names in `classes` have the same mask value")
        if self.classes is not None and not 2 <= self._count <= IGNORE:
            raise ValueError(
                f"`classes` must name 2 to {IGNORE} classes, not {self._count}; what is no object "
                "is a class too, such as `background`"
            )
        if self.colours is not None and self.classes and len(self.colours) != self._count:
            raise ValueError(f"{len(self.colours)} `colours` for {self._count} classes")
        self._check_ids()
        return self

    def _check_ids(self) -> None:
        ids = set((self.mask_values or {}).values()) - {IGNORE}
        if self.mask_values is not None and not ids:
            raise ValueError("`mask_values` names no class, only 255 (ignore)")
        if self.classes is None and ids == {0}:
            raise ValueError(
                "`mask_values` leads to class 0 alone; expected 2 or more classes. Give another "
                "value the class 1, or name all `classes`"
            )
        if self.classes is not None and any(index >= self._count for index in ids):
            raise ValueError(
                f"`mask_values` leads to class {max(ids)}, but the last of the "
                f"{self._count} classes is {self._count - 1}"
            )


def read_description(root: Path) -> Description:
    """Reads `dataset.yaml`.

    Args:
        root: The data folder.

    Returns:
        What the file says; nothing at all if there is none.

    Raises:
        DataError: If it is no YAML, or has unknown or impossible entries; all are reported.
    """
    path = root / DESCRIPTION_NAME
    return read_entries(path, Description) if path.is_file() else Description()
