"""Small networks and weights, drawn without Keras: for the rules' examples, and for tests."""

from normwise.rules.sketches.sketch import Sketch
from normwise.rules.sketches.sketched_weights import SketchedWeights, Values

__all__ = ["Sketch", "SketchedWeights", "Values"]
