"""Weights for an encoder: from a file or from Keras, put in by the names of the layers."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from os import PathLike
from pathlib import Path
from typing import Any, final

import numpy as np
from numpy.typing import NDArray

from normwise.errors import NetworkError
from normwise.keras_format.names import as_in_a_new_session, made_up_base
from normwise.keras_format.stored_weights import SUFFIXES, Arrays, read_weights
from normwise.networks.applications import (
    Application,
    Convention,
    convention_of,
    downloaded,
    leaves_of,
)
from normwise.networks.backbone import Backbone
from normwise.networks.sizes import check_choice

IMAGENET = "imagenet"
APPLICATION, STANDARDIZED = "application", "standardized"
PREPROCESSING = (APPLICATION, STANDARDIZED)
COLOURS = 3

Array = NDArray[Any]


@final
@dataclass(frozen=True)
class Pretrained:
    """Weights for an encoder, and what they expect of its input.

    Attributes:
        arrays_of: The arrays of each learned layer.
        convention: What they were trained on.
        channels: Channels that the stored stem reads.
        source: What they come from, for errors.
    """

    arrays_of: Mapping[str, Arrays]
    convention: Convention
    channels: int
    source: str

    def scale_of(self, channels: int) -> tuple[Array, Array]:
        """What a standardized channel is multiplied by and what is added, for each channel."""
        colours = np.arange(channels) % COLOURS
        return np.array(self.convention.scale)[colours], np.array(self.convention.offset)[colours]

    def put_in(self, encoder: Backbone) -> None:
        """Gives every layer of an encoder its weights, all or none.

        Raises:
            NetworkError: A layer's weights have other shapes.
        """
        ready = []
        for layer in encoder.layers:
            if layer.weights:
                arrays = list(self.arrays_of[layer.name])
                if layer is encoder.stem:
                    arrays[0] = self._widened(arrays[0], int(layer.kernel.shape[-2]))
                _check_shapes(layer, arrays, self.source)
                ready.append((layer, arrays))
        for layer, arrays in ready:
            layer.set_weights(arrays)

    def _widened(self, kernel: Array, channels: int) -> Array:
        if self.channels == channels and self.convention == Convention():
            return kernel
        return inflated(kernel, channels, self.convention.positions)


def pretrained(
    application: Application,
    weights: Any,
    preprocessing: str | None,
    frozen: bool,
    channels: int,
) -> Pretrained | None:
    """The weights that an encoder is asked to begin with.

    Args:
        application: The encoder.
        weights: None for random ones, `"imagenet"`, or the path of a file.
        preprocessing: One of `PREPROCESSING`, or None.
        frozen: Whether they shall stay.
        channels: Channels of the input.

    Raises:
        NetworkError: Options that don't go together, weights of another network, or a download
            that failed.
        ModelReadError: The file can't be read.
    """
    check_choice("encoder", "preprocessing", preprocessing, (None, *PREPROCESSING))
    check_choice("encoder", "frozen", frozen, (False, True))
    if weights is None:
        for option, given in (("frozen", frozen), ("preprocessing", preprocessing)):
            if given:
                raise NetworkError(
                    f"encoder: {option} is {given!r}, but the encoder has random weights; say "
                    "which it shall have with weights='imagenet' or a file."
                )
        return None
    source, stored = _stored(weights, application.name)
    arrays_of = matched(stored, application, source)
    stem = int(arrays_of[application.stem][0].shape[-2])
    if stem not in (COLOURS, channels):
        raise NetworkError(
            f"{source}: layer {application.stem!r} reads {stem} channels; expected {COLOURS}, "
            f"which can be spread over any number, or the {channels} of the images."
        )
    how = preprocessing or (APPLICATION if stem == COLOURS else STANDARDIZED)
    if how == APPLICATION and stem != COLOURS:
        raise NetworkError(
            f"{source}: layer {application.stem!r} reads {stem} channels, and the pre-processing "
            f"of {application.name} is for red, green and blue. Use "
            f"preprocessing={STANDARDIZED!r}."
        )
    convention = convention_of(application) if how == APPLICATION else Convention()
    return Pretrained(arrays_of, convention, stem, source)


def _stored(weights: Any, encoder: str) -> tuple[str, Mapping[str, Arrays]]:
    if weights == IMAGENET:
        layers = leaves_of(downloaded(encoder))
        arrays_of = {layer.name: tuple(layer.get_weights()) for layer in layers}
        return f"ImageNet weights of {encoder}", arrays_of
    if not isinstance(weights, (str, PathLike)) or not Path(weights).is_file():
        raise NetworkError(
            f"encoder: weights is {str(weights)!r}; expected {IMAGENET!r}, or the path of a file "
            f"that ends in {', '.join(SUFFIXES)}. For random weights leave it out."
        )
    return str(weights), read_weights(Path(weights))


def matched(
    stored: Mapping[str, Arrays], application: Application, source: str
) -> Mapping[str, Arrays]:
    """The stored weights of each learned layer of an application.

    Args:
        stored: Arrays by layer name; further layers, such as a top, are left alone.
        application: The application.
        source: What the weights come from, for errors.

    Returns:
        Arrays by the names in `application.own_names`.

    Raises:
        NetworkError: A layer is missing, or names don't tell which layer is which.
    """
    kinds = {application.own_names[name]: kind for name, kind in application.learned.items()}
    made_up = {name: made_up_base(name, kind) for name, kind in kinds.items()}
    renamed = as_in_a_new_session(stored, {base for base in made_up.values() if base})
    found = {renamed[name]: arrays for name, arrays in stored.items()}
    _check_counts(found, made_up, source)
    missing = [name for name in kinds if name not in found]
    if missing:
        known = ", ".join(list(stored)[:4])
        raise NetworkError(
            f"{source}: holds no weights for layer {missing[0]!r} of {application.name} "
            f"({len(missing)} of {len(kinds)} layers are missing); it begins with {known}. Is it "
            "the file of another network?"
        )
    return {name: found[name] for name in kinds}


def _check_counts(
    found: Mapping[str, Arrays], made_up: Mapping[str, str | None], source: str
) -> None:
    """Names that Keras made up match by their order, so there must be as many on both sides."""
    for base in sorted({base for base in made_up.values() if base}):
        ours = sum(other == base for other in made_up.values())
        theirs = sum(name == base or _counts(name, base) for name in found)
        if ours != theirs:
            raise NetworkError(
                f"{source}: holds {theirs} layers named {base!r} by Keras, this encoder has "
                f"{ours}; such names are matched by their order, which needs as many. Is it the "
                "file of another network, or of one with its top?"
            )


def _counts(name: str, base: str) -> bool:
    head, _, number = name.rpartition("_")
    return head == base and number.isdigit()


def _check_shapes(layer: Any, arrays: Sequence[Array], source: str) -> None:
    ours = [tuple(weight.shape) for weight in layer.weights]
    theirs = [array.shape for array in arrays]
    if ours != theirs:
        raise NetworkError(
            f"{source}: the weights of layer {layer.name!r} have the shapes {theirs}; this "
            f"encoder's have {ours}. Is it the file of another network or size?"
        )


def inflated(kernel: Array, channels: int, positions: Sequence[int]) -> Array:
    """The kernel of a stem for red, green and blue, spread over any number of channels.

    Channel `c` takes the part of colour `c % 3`, divided among all channels of that colour, so
    that the response to an image whose channels repeat red, green and blue is the same as before.
    With one or two channels the colours that are left are shared by all, so that the response to
    a grey image is the same.

    Args:
        kernel: Shape (rows, columns, 3, filters).
        channels: How many channels the new one shall read.
        positions: Where the old one reads red, green and blue.

    Returns:
        Shape (rows, columns, channels, filters).
    """
    by_colour = kernel[:, :, list(positions), :]
    shares = np.zeros((channels, COLOURS), kernel.dtype)
    shares[np.arange(channels), np.arange(channels) % COLOURS] = 1
    shares[:, channels:] = 1
    shares /= shares.sum(axis=0)
    return np.asarray(np.einsum("hwif,ci->hwcf", by_colour, shares), kernel.dtype)
