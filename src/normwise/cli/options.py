"""Options that several verbs take, read from their text."""

import re

from normwise.errors import NormwiseError


def read_size(text: str | None, option: str) -> int | list[int] | None:
    """The pixels along each axis that an option names, None for none.

    Args:
        text: A number for all axes, or one for each with `,` or `x` between them.
        option: Its name, for the message.

    Raises:
        NormwiseError: The text is something else.

    Example:
        >>> read_size("512x1024", "--size")
        [512, 1024]
    """
    if text is None:
        return None
    parts = [part.strip() for part in re.split(r"[x,]", text)]
    if not all(part.isdecimal() and int(part) > 0 for part in parts):
        raise NormwiseError(
            f"{option} is {text!r}; expected pixels along each axis, for example 512, 512,1024 or "
            "512x1024."
        )
    sizes = [int(part) for part in parts]
    return sizes if len(sizes) > 1 else sizes[0]


def read_bands(text: str | None) -> list[int] | None:
    """The channels that `--bands` names, None for none.

    Raises:
        NormwiseError: The text is something else.
    """
    if text is None:
        return None
    parts = [part.strip() for part in text.split(",")]
    if not all(part.isdecimal() for part in parts):
        raise NormwiseError(f"--bands is {text!r}; expected numbers from 0, for example 0,1,2.")
    return [int(part) for part in parts]
