"""How the batches of an epoch reach Keras' `fit`."""

from collections.abc import Generator
from itertools import chain
from typing import Any, Final

import keras

_AHEAD: Final = 2


def fed(batches: Generator[Any]) -> Any:
    """Batches in the form in which `fit` takes them without waiting at the end of an epoch.

    On TensorFlow Keras wraps a generator in a `tf.data` set that tunes itself. Its tuner sleeps
    twice as long each time, and the iterator's end waits until it wakes, idle: up to as long as the
    epoch took (measured with Keras 3.15 and TensorFlow 2.21: epochs of 21 s ended after 21 to 41).
    With the tuner off, as Keras has it for a `PyDataset` with workers, nothing waits.

    Args:
        batches: Nested tuples of arrays, all batches of the shapes and types of the first.

    Returns:
        A `tf.data.Dataset` on TensorFlow, `batches` itself elsewhere.
    """
    if keras.backend.backend() != "tensorflow":
        return batches
    import tensorflow as tf  # noqa: PLC0415 - only where it is the backend

    first = next(batches)
    options = tf.data.Options()
    options.autotune.enabled = False
    return (
        tf.data.Dataset.from_generator(
            lambda: chain((first,), batches),
            output_signature=keras.tree.map_structure(
                lambda part: tf.TensorSpec(part.shape, part.dtype), first
            ),
        )
        .prefetch(_AHEAD)
        .with_options(options)
    )
