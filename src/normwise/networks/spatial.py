"""Keras' layers for images of two spatial axes and volumes of three, channels last."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, final

from normwise.errors import NetworkError

UPSAMPLING = ("transposed", "nearest", "bilinear")


@final
@dataclass(frozen=True)
class Spatial:
    """Makes layers of one rank: 2 for (height, width), 3 for (slices, height, width)."""

    rank: int

    def layer(self, kind: str, *args: Any, **settings: Any) -> Any:
        """A layer by the name it has without its rank: `Conv`, `MaxPooling`, `UpSampling`."""
        import keras  # noqa: PLC0415 - plans and files are handled without a backend

        stem, suffix = kind.removesuffix("Transpose"), "Transpose" * kind.endswith("Transpose")
        made = getattr(keras.layers, f"{stem}{self.rank}D{suffix}")
        return made(*args, data_format="channels_last", **settings)

    def conv(self, filters: int, kernel: int = 3, strides: int = 1) -> Callable[..., Any]:
        """A convolution that keeps the size but for its strides; a placer fills in the rest."""
        return partial(
            self.layer, "Conv", filters, kernel, strides=strides, padding="same",
            kernel_initializer="he_normal",
        )  # fmt: skip

    def max_pool(self, x: Any, name: str) -> Any:
        """Half the size along every axis."""
        return self.layer("MaxPooling", 2, name=name)(x)

    def average_pool(self, x: Any, name: str) -> Any:
        """Half the size along every axis."""
        return self.layer("AveragePooling", 2, name=name)(x)

    def upsampled(self, x: Any, filters: int, how: str, bias: bool, name: str) -> Any:
        """Twice the size along every axis.

        Args:
            x: The tensor.
            filters: Channels of a transposed convolution; interpolation keeps those of `x`.
            how: One of `UPSAMPLING`.
            bias: Whether a transposed convolution has a bias.
            name: The layer's name.
        """
        if how == "transposed":
            up = self.layer("ConvTranspose", filters, 2, strides=2, use_bias=bias, name=name)
        elif self.rank == 2:
            up = self.layer("UpSampling", 2, interpolation=how, name=name)
        else:
            up = self.layer("UpSampling", 2, name=name)
        return up(x)


def check_upsampling(network: str, shape: Sequence[int | None], how: str) -> None:
    """Refuses a way of up-sampling that Keras can't do at this input shape.

    Raises:
        NetworkError: With one that it can.
    """
    import keras  # noqa: PLC0415

    if how not in UPSAMPLING:
        known = ", ".join(map(repr, UPSAMPLING))
        raise NetworkError(f"{network}: upsampling is {how!r}; expected one of {known}.")
    if how == "bilinear" and len(shape) == 4:
        raise NetworkError(
            f"{network}: Keras interpolates volumes by the nearest voxel alone; got "
            "upsampling='bilinear'. Use upsampling='nearest' or 'transposed'."
        )
    if how == "bilinear" and None in shape[:-1] and keras.backend.backend() == "tensorflow":
        # UpSampling2D.call decides on the number of pixels, which is a tensor there.
        raise NetworkError(
            f"{network}: bilinear up-sampling of a free size can't run on TensorFlow. Give height "
            "and width, or use upsampling='nearest' or 'transposed'."
        )
