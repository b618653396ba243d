"""Checks of what a network is asked for: input shape, outputs, widths."""

from collections.abc import Sequence

from normwise.errors import NetworkError


def check_input(network: str, shape: Sequence[int | None], stride: int) -> None:
    """Refuses an input shape that a network of this total stride can't take.

    Raises:
        NetworkError: With the nearest sizes that fit.
    """
    wrong = isinstance(shape, (int, str)) or len(shape) != 3
    if wrong or not isinstance(shape[-1], int) or shape[-1] < 1:
        raise NetworkError(
            f"{network}: input_shape is {shape!r}; expected (height, width, channels) with a "
            "known number of channels; height and width may be None for any size."
        )
    for axis, size in zip(("height", "width"), shape[:2], strict=True):
        if size is not None and (size < stride or size % stride):
            low = max(stride, size // stride * stride)
            fits = f"{low} or {low + stride}"
            raise NetworkError(
                f"{network}: {axis} {size} isn't divisible by the network's total stride {stride}; "
                f"use {fits}, or None for any size (predict pads and crops)."
            )


def check_positive(network: str, **numbers: int) -> None:
    """Refuses numbers below 1, and what is no whole number.

    Raises:
        NetworkError: Names the option.
    """
    for name, value in numbers.items():
        if isinstance(value, bool) or not isinstance(value, int) or value < 1:
            raise NetworkError(f"{network}: {name} is {value!r}; expected a whole number above 0.")


def check_choice(network: str, option: str, value: object, choices: Sequence[object]) -> None:
    """Refuses a value that is none of the choices.

    Raises:
        NetworkError: Names the option and the choices.
    """
    if value not in choices:
        known = ", ".join(repr(choice) for choice in choices)
        raise NetworkError(f"{network}: {option} is {value!r}; expected one of {known}.")


def check_activation(network: str, option: str, name: object) -> None:
    """Refuses a name that Keras has no activation for.

    Raises:
        NetworkError: Names the option.
    """
    import keras  # noqa: PLC0415 - only where a network is built

    try:
        keras.activations.get(name)
    except (ValueError, TypeError):
        raise NetworkError(
            f"{network}: {option} is {name!r}, which is no Keras activation; for example 'relu', "
            "'gelu', 'leaky_relu' or 'silu'."
        ) from None
