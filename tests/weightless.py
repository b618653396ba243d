"""Networks without weights, for tests that look at graphs alone."""

from collections.abc import Iterator
from contextlib import contextmanager

import keras
from keras.src.backend.common import global_state


@contextmanager
def weightless() -> Iterator[None]:
    """What is built inside gets no weights, which are a good part of what building takes.

    Keras would make them later, with those of the next model; here they are forgotten.
    """
    try:
        with keras.StatelessScope(initialize_variables=False):
            yield
    finally:
        global_state.set_global_attribute("uninitialized_variables", [])
