"""A network drawn so that a person sees at a glance where normalization stands."""

from normwise.report.network.drawing import draw_network

__all__ = ["draw_network"]
