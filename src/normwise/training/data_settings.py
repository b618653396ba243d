"""The section `data` of a recipe: which data, and how patches are cut and varied."""

from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator, Field, PlainSerializer

from normwise.training.section import Section


def _sides(value: Any) -> Any:
    """`128` means a square or, of volumes, a cube."""
    return [value] if isinstance(value, int) and not isinstance(value, bool) else value


def _short(sides: tuple[int, ...]) -> int | tuple[int, ...]:
    return sides[0] if len(sides) == 1 else sides


def _two_or_three(sides: tuple[int, ...]) -> tuple[int, ...]:
    if len(sides) > 3:
        raise ValueError("expected one number, two for images, or three for volumes")
    return sides


PatchSize = Annotated[
    tuple[Annotated[int, Field(ge=1)], ...],
    Field(min_length=1),
    BeforeValidator(_sides),
    AfterValidator(_two_or_three),
    PlainSerializer(_short),
]
"""Sizes along the axes of an image or a volume; a single one stands for each of them."""


class AugmentationSettings(Section):
    """How training patches are varied; validation patches never are."""

    flips: bool = Field(default=True, description="mirror at random along both axes")
    rotations: bool = Field(default=True, description="turn by a random multiple of 90 degrees")
    intensity: float = Field(
        default=0.0, ge=0, description="random gain and offset, in standard deviations of each band"
    )
    scale: float = Field(
        default=0.0, ge=0, description="largest change of size; 0.25: from 1/1.25 to 1.25 times"
    )
    angle: float = Field(default=0.0, ge=0, le=180, description="largest rotation, in degrees")
    elastic: float = Field(
        default=0.0, ge=0, description="standard deviation of a smooth displacement, in pixels"
    )
    gamma: float = Field(
        default=0.0,
        ge=0,
        description="standard deviation of the logarithm of a random exponent on the values",
    )
    noise: float = Field(
        default=0.0, ge=0, description="noise, in standard deviations of each band"
    )
    blur: float = Field(
        default=0.0, ge=0, description="largest standard deviation of a blur, in pixels"
    )
    channel_dropout: float = Field(
        default=0.0, ge=0, le=1, description="probability that a band is replaced by its mean"
    )
    offset: tuple[Annotated[float, Field(ge=0)], ...] | None = Field(
        default=None,
        description="further random offset, one number a band, in its standard deviations",
    )


def _sampling(value: Any) -> Any:
    if isinstance(value, int) and not isinstance(value, bool):
        value = float(value)
    share = isinstance(value, float) and 0 < value <= 1
    if share or value in (None, "uniform", "class-balanced"):
        return value
    raise ValueError(
        f"received {value!r}; allowed: null or uniform (patches from anywhere), class-balanced, or "
        "a number above 0 and up to 1, the share of patches centred on rare classes."
    )


SamplingSetting = Annotated[
    Literal["uniform", "class-balanced"] | float | None, BeforeValidator(_sampling)
]


class DataSettings(Section):
    """Which data, and how patches are cut from them."""

    path: str = Field(
        description="the data folder, or a .csv file of paths; relative to the folder from which "
        "normwise is called, not to the recipe"
    )
    labels: Literal["masks", "targets"] | None = Field(
        default=None, description="what is learnt from a folder with both; null: what is there"
    )
    bands: tuple[int, ...] | None = Field(
        default=None, min_length=1, description="channels of the images, from 0; null: all"
    )
    targets: tuple[int, ...] | None = Field(
        default=None, min_length=1, description="channels of the targets, from 0; null: all"
    )
    fold: tuple[Annotated[int, Field(ge=1)], Annotated[int, Field(ge=2)]] | None = Field(
        default=None, description="[2, 5]: of five folds the second validates; null: no folds"
    )
    validation: float = Field(
        default=0.2,
        gt=0,
        lt=1,
        description="share of the training images that validates where the data don't say which do",
    )
    patch: PatchSize | None = Field(
        default=None,
        description="rows and columns of a patch, of volumes slices before; one number for all of "
        "these; null: chosen",
    )
    scaling: Literal["per-channel", "percentiles"] = Field(
        default="per-channel",
        description="by the training images' statistics, or first each image by its percentiles",
    )
    percentiles: tuple[float, float] = Field(
        default=(1.0, 99.8),
        description="those that become 0 and 1 in each channel of an image, if it is scaled so",
    )
    sampling: SamplingSetting = Field(
        default=None,
        description="where patches are cut: anywhere (null or uniform), around each class alike, "
        "or that share of them, above 0 and up to 1, around rare classes",
    )
    augmentation: AugmentationSettings = AugmentationSettings()
