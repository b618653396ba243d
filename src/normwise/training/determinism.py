"""The same seed gives the same weights."""

import keras


def make_deterministic() -> None:
    """Asks the backend for reproducible operations, for the rest of the process.

    JAX is reproducible on its own. TensorFlow then refuses random operations without a seed,
    which is why every epoch sets one.
    """
    backend = keras.backend.backend()
    if backend == "tensorflow":
        import tensorflow  # noqa: PLC0415 - only where it is the backend

        tensorflow.config.experimental.enable_op_determinism()
    elif backend == "torch":
        import torch  # noqa: PLC0415

        torch.use_deterministic_algorithms(True, warn_only=True)


def seed_epoch(seed: int, epoch: int) -> None:
    """Seeds Python, NumPy and the backend for an epoch.

    An epoch's random numbers depend on nothing that came before it, so that a resumed run
    draws the same ones. Layers with a seed generator of their own, such as dropout, keep its
    state in the checkpoint.

    Args:
        seed: The seed of the run.
        epoch: Counted from 0; -1 is the time before the first one.
    """
    keras.utils.set_random_seed((seed * 1_000_003 + epoch + 1) % 2**31)
