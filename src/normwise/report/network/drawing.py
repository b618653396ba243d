"""A picture of a network that shows where normalization stands.

The encoder steps down from left to right, the decoder steps up again, a row for each resolution.
Normalizations have the colour of their kind, everything else is grey; a skip has the colour of
the kind that normalized what it carries, or is dashed where nothing did.
"""

from __future__ import annotations

from pathlib import Path

from normwise.errors import PictureFormatError
from normwise.files import whole_file
from normwise.graph.graph import Graph
from normwise.report.network.canvas import draw_page
from normwise.report.network.page import Page, page_of
from normwise.report.network.pens import AxesPen

SUFFIXES = (".svg", ".png")
MAX_INCHES = 60.0
MAX_PIXELS = 8000
DPI = 150

# The salt and the missing date make the same network the same file.
_SETTINGS = {"svg.hashsalt": "normwise", "svg.fonttype": "path", "path.simplify": False}


def draw_network(
    graph: Graph, path: Path, *, title: str | None = None, overwrite: bool = False
) -> None:
    """Draws a network with its normalizations into an SVG or PNG file.

    Large networks are drawn smaller and with fewer words; no picture is wider than 60 inches.

    Args:
        graph: Any graph; nested models are opened.
        path: The picture; its suffix, `.svg` or `.png`, says which format.
        title: In the place of the model's name.
        overwrite: Whether an existing picture may be replaced.

    Raises:
        PictureFormatError: The suffix is another one.
        OutputExistsError: The picture exists and `overwrite` is False.

    Example:
        ```python
        draw_network(read_graph("model.keras"), Path("network.svg"))
        ```
    """
    path = Path(path)
    if path.suffix.lower() not in SUFFIXES:
        raise PictureFormatError(
            f"{path}: a network is drawn as {' or '.join(SUFFIXES)}, not as "
            f"{path.suffix or 'a file without suffix'!r}. Name the picture "
            f"{path.with_suffix(SUFFIXES[0]).name!r}."
        )
    with whole_file(path, overwrite) as temporary:
        _write(page_of(graph, title), temporary)


def _write(page: Page, path: Path) -> None:
    from matplotlib import style  # noqa: PLC0415
    from matplotlib.backends.backend_agg import FigureCanvasAgg  # noqa: PLC0415
    from matplotlib.figure import Figure  # noqa: PLC0415

    # A user's own style would change sizes and fonts that the layout relies on.
    with style.context(["default", _SETTINGS]):
        shrink = min(1.0, MAX_INCHES / page.width)
        figure = Figure(figsize=(page.width * shrink, page.height * shrink), facecolor="white")
        FigureCanvasAgg(figure)
        draw_page(page, AxesPen(figure.add_axes((0.0, 0.0, 1.0, 1.0)), page))
        vector = path.suffix.lower() == ".svg"
        dpi = min(DPI, MAX_PIXELS / max(figure.get_size_inches()))
        figure.savefig(path, dpi=dpi, metadata={"Date": None} if vector else {})
