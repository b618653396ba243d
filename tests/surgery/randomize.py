"""Random values in every weight, so that no default hides an error."""

import keras
import numpy as np


def randomize(model, seed=0, negative_gamma=True):
    """Gives every variable of a model random values; variances stay positive.

    Returns:
        The model.
    """
    rng = np.random.default_rng(seed)
    seen = set()
    for variable in model.variables:
        if id(variable) in seen or "seed" in variable.path or variable.dtype.startswith("int"):
            continue
        seen.add(id(variable))
        shape, name = tuple(variable.shape), variable.path.rsplit("/", 1)[-1]
        if "variance" in name or "stddev" in name:
            value = rng.uniform(0.5, 2.0, shape)
        elif name == "gamma":
            sign = rng.choice([-1.0, 1.0], shape) if negative_gamma else 1.0
            value = rng.uniform(0.5, 1.5, shape) * sign
        elif "kernel" in name:
            value = rng.normal(0, 1 / np.sqrt(max(1, np.prod(shape[:-1]))), shape)
        else:
            value = rng.normal(0, 0.5, shape)
        variable.assign(keras.ops.convert_to_tensor(value.astype("float32"), variable.dtype))
    return model
