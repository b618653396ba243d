"""The picture of a network as SVG that stands inside a web page."""

from normwise.graph.graph import Graph
from normwise.report.network.canvas import draw_page
from normwise.report.network.page import page_of
from normwise.report.network.pens import SvgPen


def inline_svg(graph: Graph, title: str | None = None) -> str:
    """The same picture as `draw_network` makes, a tenth of its size and light or dark.

    Args:
        graph: Any graph; nested models are opened.
        title: In the place of the model's name.
    """
    page = page_of(graph, title)
    pen = SvgPen(page)
    draw_page(page, pen)
    return pen.svg()
