"""The total stride of a model, which its input sizes should be divisible by."""

from math import lcm
from typing import Any

from normwise.graph.regions import layout_of
from normwise.keras_format.reading import read_graph


def stride_of(model: Any) -> int:
    """A number that divides height and width so that every resolution step comes out even.

    Args:
        model: A live functional or Sequential model, or the path of a model file.

    Returns:
        The total stride in pixels, 1 for a model that keeps its resolution.
    """
    return lcm(*strides_of(model))


def strides_of(model: Any) -> tuple[int, ...]:
    """Numbers that divide an input's sizes, one an axis, as `stride_of`.

    Args:
        model: A live functional or Sequential model, or the path of a model file.

    Returns:
        The total stride along each spatial axis in pixels; they differ where a network takes
        anisotropic volumes.
    """
    return layout_of(read_graph(model)).stride
