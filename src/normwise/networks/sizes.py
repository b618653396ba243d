"""Checks of what a network is asked for: input shape, outputs, widths."""

from collections.abc import Sequence

from normwise.errors import NetworkError

AXES = {2: ("height", "width"), 3: ("slices", "height", "width")}
"""The spatial axes of an input by their number."""


def check_input(
    network: str, shape: Sequence[int | None], stride: int, ranks: Sequence[int] = (2, 3)
) -> None:
    """Refuses an input shape that a network of this total stride can't take.

    Args:
        network: Its name, for the error.
        shape: Spatial sizes, None for any, then channels.
        stride: Total stride along each spatial axis.
        ranks: Numbers of spatial axes that the network is for.

    Raises:
        NetworkError: With the nearest sizes that fit.
    """
    shapes = [f"({', '.join(AXES[rank])}, channels)" for rank in ranks]
    wrong = isinstance(shape, (int, str)) or len(shape) - 1 not in ranks
    if wrong or not isinstance(shape[-1], int) or shape[-1] < 1:
        hint = "; for volumes use 'unet'" if not isinstance(shape, (int, str)) and (
            len(shape) == 4 and 3 not in ranks
        ) else ""  # fmt: skip
        raise NetworkError(
            f"{network}: input_shape is {shape!r}; expected {' or '.join(shapes)} with a "
            f"known number of channels; {' and '.join(AXES[max(ranks)])} may be None for any size"
            f"{hint}."
        )
    for axis, size in zip(AXES[len(shape) - 1], shape[:-1], strict=True):
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
        if not _is_positive(value):
            raise NetworkError(f"{network}: {name} is {value!r}; expected a whole number above 0.")


def _is_positive(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value > 0


def widths_of(network: str, filters: int | Sequence[int], depth: int) -> tuple[int, ...]:
    """Channels of each level, the finest first, the bottleneck last.

    Args:
        network: Its name, for the error.
        filters: Channels of the first level, doubled at each further one, or those of each level.
        depth: Number of down-sampling steps.

    Raises:
        NetworkError: A number below 1, or another number of levels.
    """
    if not isinstance(filters, int):
        return per_level(network, "filters", filters, depth + 1)
    check_positive(network, filters=filters)
    return tuple(filters * 2**level for level in range(depth + 1))


def per_level(
    network: str, option: str, values: int | Sequence[int], levels: int
) -> tuple[int, ...]:
    """One whole number above 0 for each level, from one for all or as many as there are levels.

    Raises:
        NetworkError: Names the option, how many were given and how many levels there are.
    """
    if isinstance(values, int):
        check_positive(network, **{option: values})
        return (values,) * levels
    numbers = values if isinstance(values, (list, tuple)) else ()
    if len(numbers) != levels or not all(map(_is_positive, numbers)):
        raise NetworkError(
            f"{network}: {option} is {values!r}; expected one whole number above 0, or "
            f"{levels} of them: one for each level, the finest first."
        )
    return tuple(numbers)


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
