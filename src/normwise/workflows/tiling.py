"""How a model can be applied to an image piece by piece."""

from typing import Any

from normwise.graph.free_size import applied_tiling
from normwise.graph.tiling import Tiling
from normwise.workflows.models import graph_of


def tiling_of(model: Any) -> Tiling:
    """The total stride and the halo of a model, and the layers that no halo is enough for.

    Tiles that begin at multiples of the stride and see the halo beyond their edges reproduce the
    prediction of the whole image, to rounding, because batch normalization in inference is a
    fixed scale and shift. What looks at all pixels of an image makes that impossible.

    Args:
        model: A live functional or Sequential model, the path of a `.keras`, `.h5` or `.json`
            file, a run folder, or `"package.module:callable"`. Files need no backend.

    Returns:
        `.stride` in pixels along each axis, `.halo` with the pixels before and behind for each
        axis, `.exact`, and `.reasons`, each with its `.layer` and `.reason`. `.wasted(tile)` is the
        share of the work that tiles of a size spend on halos (on overlaps, where they are blended),
        `.table` tells it for some sizes. A network that was built for one size takes any, if its
        layers allow it; else `.built_for` is that size, and `.held` the layers that don't.

    Raises:
        ModelReadError: The model can't be read.
        NetworkError: It takes nothing that has an extent over space.

    Example:
        >>> tiling_of("model.keras").stride
        (16, 16)
    """
    return applied_tiling(graph_of(model))
