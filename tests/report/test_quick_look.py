"""The picture of a prediction: its legend tells what is laid over the image."""

import numpy as np
import pytest
from matplotlib.figure import Figure

from normwise.report.quick_look import ClassPanel, draw_quick_look


@pytest.mark.parametrize(
    ("names", "told"),
    [
        (("land", "water"), ["land (not coloured)", "water", "no data"]),
        (("land", "water", "ice"), ["land", "water", "ice", "no data"]),
    ],
)
def test_the_legend_tells_which_class_has_no_colour(tmp_path, monkeypatch, names, told):
    legends, legend = [], Figure.legend
    monkeypatch.setattr(
        Figure, "legend", lambda self, **more: legends.append(more) or legend(self, **more)
    )
    ids = np.repeat([[0], [1]], 8, axis=1).astype(np.uint8)
    colours = ("#888888", "#0072b2", "#d55e00")[: len(names)]
    panel = ClassPanel(ids, names, colours)
    draw_quick_look(tmp_path / "a.png", np.random.default_rng(0).random((2, 8, 3)), [panel], "a")
    (patches,) = (found["handles"] for found in legends)
    assert [patch.get_label() for patch in patches] == told
    assert (patches[0].get_facecolor()[3] == 0) == (len(names) == 2)
