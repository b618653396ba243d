"""Looking at what layers read while a model runs, without changing the model.

For the time of a `with` block a layer's `call` is wrapped; no variable is touched, so that an
interruption at any moment leaves the model as it was. The model runs eagerly, layer by layer,
which works on every backend and reaches layers inside nested models, shared ones and those inside
other layers.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from typing import Any

import keras
import numpy as np

from normwise.errors import NormwiseError
from normwise.surgery.moments import Array

Call = Callable[..., Any]
Wrap = Callable[[Call], Call]


class AllSeen(BaseException):
    """Everything that was to be seen of a batch has been seen; the rest need not run.

    No `Exception`, because Keras rewrites those on their way out of a layer.
    """


@contextmanager
def wrapped_calls(layers: Mapping[str, Any], wraps: Mapping[str, Wrap]) -> Iterator[None]:
    """Replaces what layers do when they are called, and puts it back.

    Args:
        layers: From paths to live layers.
        wraps: From paths to functions that take the layer's own `call` and return another.
    """
    changed = []
    try:
        for path, wrap in wraps.items():
            changed.append(layers[path])
            layers[path].call = wrap(layers[path].call)
        yield
    finally:
        for layer in changed:
            # The class's own method shows again.
            vars(layer).pop("call", None)


@contextmanager
def eager() -> Iterator[None]:
    """Runs models layer by layer and keeps nothing for gradients."""
    with _without_gradients():
        yield


def _without_gradients() -> AbstractContextManager[Any]:
    if keras.backend.backend() != "torch":
        return nullcontext()
    import torch  # noqa: PLC0415 - only where it is the backend

    block: AbstractContextManager[Any] = torch.no_grad()
    return block


def run(model: Any, batch: Any) -> None:
    """Runs a model in inference mode; its outputs are of no interest."""
    with suppress(AllSeen):
        model(batch, training=False)


def as_array(tensor: Any, path: str) -> Array:
    """A tensor's values as float32 or float64.

    Args:
        tensor: What a layer read.
        path: The layer, for the message.

    Raises:
        NormwiseError: The layer runs inside a compiled loop, where there are no values to see.
    """
    try:
        if keras.backend.standardize_dtype(tensor.dtype) in ("bfloat16", "float16"):
            tensor = keras.ops.cast(tensor, "float32")
        return np.asarray(keras.ops.convert_to_numpy(tensor))
    except Exception as error:
        # Each backend has its own way to say that a tensor has no values yet.
        raise NormwiseError(
            f"layer {path!r} runs inside a loop that its backend compiles, so what it reads can't "
            "be measured. Give the time axis a fixed length, or leave the layer out."
        ) from error
