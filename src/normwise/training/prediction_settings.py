"""How a finished model is applied."""

from pydantic import Field

from normwise.inference.views import Views
from normwise.training.section import Section


class PredictionSettings(Section):
    """What `predict` and `evaluate` do with a run where they aren't told otherwise."""

    tta: Views = Field(
        default="none",
        description="average the predictions of an image's views: flips, or flips-and-turns",
    )
