"""The same seed gives the same weights."""

import random

import keras
import numpy as np


def make_deterministic() -> None:
    """Asks the backend for reproducible operations, for the rest of the process.

    JAX is reproducible on its own. TensorFlow refuses random operations without a seed from
    then on, so `seed_run` belongs to it.
    """
    backend = keras.backend.backend()
    if backend == "tensorflow":
        import tensorflow  # noqa: PLC0415 - only where it is the backend

        tensorflow.config.experimental.enable_op_determinism()
    elif backend == "torch":
        import torch  # noqa: PLC0415

        torch.use_deterministic_algorithms(True, warn_only=True)


def seed_run(seed: int) -> None:
    """Seeds Python, NumPy and the backend, before a network is built.

    Args:
        seed: The seed of the run.
    """
    keras.utils.set_random_seed(seed)


def seed_epoch(seed: int, epoch: int) -> None:
    """Seeds Python, NumPy and PyTorch for an epoch, so that a resumed run draws the same numbers.

    Layers draw from seed generators of their own, whose states are in the checkpoint; on PyTorch
    dropout draws from the global state all the same. TensorFlow is not seeded again: it would
    throw away its compiled kernels each time.

    Args:
        seed: The seed of the run.
        epoch: Counted from 0.
    """
    own = np.random.SeedSequence([seed, epoch]).generate_state(1).item()
    random.seed(own)
    np.random.seed(own)
    if keras.backend.backend() == "torch":
        import torch  # noqa: PLC0415

        torch.manual_seed(own)
