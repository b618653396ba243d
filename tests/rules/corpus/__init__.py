"""Real programs: public Keras models, faulty and healthy, drawn anew in their structure.

None of their code stands here. What a thread or a source says is told in our words with its
address; every one was read.
"""

from tests.rules.corpus import (
    faulty_axes,
    faulty_placement,
    faulty_set_ups,
    healthy_images,
    healthy_others,
)
from tests.rules.corpus.program import Program

FAULTY: tuple[Program, ...] = (
    *faulty_axes.PROGRAMS,
    *faulty_placement.PROGRAMS,
    *faulty_set_ups.PROGRAMS,
)
HEALTHY: tuple[Program, ...] = (*healthy_images.PROGRAMS, *healthy_others.PROGRAMS)

__all__ = ["FAULTY", "HEALTHY", "Program"]
