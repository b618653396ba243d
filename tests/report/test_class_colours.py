"""The colours of classes that have none of their own."""

import numpy as np
from matplotlib.colors import to_rgb

from normwise.report.class_colours import class_colours


def test_no_class_looks_like_no_data():
    colours = np.array([to_rgb(colour) for colour in class_colours(30)])
    assert np.linalg.norm(colours - 1.0, axis=1).min() > 0.4  # white
