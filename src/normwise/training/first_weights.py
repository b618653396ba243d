"""First weights that depend on a seed and the name of each layer, and on nothing else.

Keras draws them one after another while a network is built, so that a layer more or less changes
those of all layers behind it. Drawn by name, networks under different plans begin with the same
weights in every layer that both have, and drop the same values in every dropout.
"""

import hashlib
from collections.abc import Iterator
from typing import Any

import keras
import numpy as np

from normwise.keras_format.names import as_in_a_new_session, made_up_base
from normwise.keras_format.paths import layers_by_path


def draw_by_name(network: keras.Model, seed: int) -> None:
    """Draws all weights of a network anew that its initializers have drawn at random.

    What an initializer has not drawn stays: zeros and ones, and weights that were loaded.

    Args:
        network: A network that was built and not trained.
        seed: The same seed, name and shape give the same weights.
    """
    for path, layer in _named(network).items():
        for variable, initializer in _drawn(layer):
            own = {**initializer.get_config(), "seed": _seed(seed, path, variable.name)}
            fresh = type(initializer).from_config(own)
            variable.assign(fresh(variable.shape, dtype=variable.dtype))
        generator = getattr(layer, "seed_generator", None)
        if isinstance(generator, keras.random.SeedGenerator):
            state = [_seed(seed, path, "state"), 0]
            generator.state.assign(np.array(state, generator.state.dtype))


def _named(network: keras.Model) -> dict[str, Any]:
    """Every layer once, by a path without what Keras has counted since the session began."""
    layers = {id(layer): (path, layer) for path, layer in layers_by_path(network).items()}
    found = [layer for _, layer in layers.values()]
    bases = (made_up_base(layer.name, type(layer).__name__) for layer in found)
    own = as_in_a_new_session((layer.name for layer in found), {base for base in bases if base})
    return {
        "/".join(own.get(part, part) for part in path.split("/")): layer
        for path, layer in layers.values()
    }


def _drawn(layer: keras.layers.Layer) -> Iterator[tuple[Any, Any]]:
    """The weights of a layer that one of its own initializers has drawn, with that one.

    An initializer with a seed of its own gives the same values each time: whatever differs from
    them has been set since.
    """
    initializers = [
        value
        for name, value in vars(layer).items()
        if name.endswith("_initializer") and isinstance(getattr(value, "seed", None), int)
    ]
    for variable in layer.trainable_variables if initializers else ():
        value = keras.ops.convert_to_numpy(variable)
        for initializer in initializers:
            drawn = initializer(variable.shape, dtype=variable.dtype)
            if np.array_equal(keras.ops.convert_to_numpy(drawn), value):
                yield variable, initializer
                break


def _seed(seed: int, path: str, name: str) -> int:
    digest = hashlib.sha256(f"{seed}/{path}/{name}".encode()).digest()
    return int.from_bytes(digest[:4], "little") >> 1
