"""Folding as algebra: a scale and a shift of every channel moved into the weights beside it.

Pure functions on arrays. All is computed in float64, and kernels keep the type they have: one in
float64 would be twice as large. With kernel `W`, bias `b`, scale `s` and shift `t`:

    after:   s * (W x + b) + t   =  (s W) x + (s b + t)
    before:  W (s x + t) + b     =  (W s) x + (b + sum of W t over the window)

`before` is exact only where every output reads a whole window. Where zeros are padded, the shift
has to stay before the padding: s x + t = s (x + t / s), and only `s` is folded.

Kernels as Keras has them: convolution `(..., in / groups, out)`, depthwise
`(..., in, multiplier)`, transposed `(..., out, in)`, dense `(in, units)`; a separable convolution
has a depthwise and a pointwise kernel.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

Doubles = npt.NDArray[np.float64]
Array = np.ndarray[Any, Any]
Arrays = Mapping[str, Array]


def batch_norm_affine(
    mean: Doubles, variance: Doubles, gamma: Doubles, beta: Doubles, epsilon: float
) -> tuple[Doubles, Doubles]:
    """Scale and shift of every channel that a batch normalization applies in inference."""
    scale = gamma / np.sqrt(variance + epsilon)
    return scale, beta - mean * scale


def folded_after(kind: str, weights: Arrays, scale: Doubles, shift: Doubles) -> dict[str, Array]:
    """Weights of a linear layer that does the affine map behind it too.

    Args:
        kind: `"conv"`, `"depthwise"`, `"separable"`, `"transposed"` or `"dense"`.
        weights: Its kernels, and `"bias"` if it has one.
        scale: One value for each channel that it makes.
        shift: Likewise.

    Returns:
        New kernels, and a bias if there was one or the shift asks for one.
    """
    kernel = _LAST[kind]
    folded = {**weights, kernel: _SCALED_OUTPUT[kind](weights[kernel], scale)}
    bias = scale * weights["bias"] + shift if "bias" in weights else shift
    return _with_bias(folded, weights, bias, shift)


def folded_before(kind: str, weights: Arrays, scale: Doubles, shift: Doubles) -> dict[str, Array]:
    """Weights of a linear layer that does the affine map before it too.

    Args:
        kind: As for `folded_after`.
        weights: Its kernels, and `"bias"` if it has one.
        scale: One value for each channel that it reads.
        shift: Likewise; zeros where the shift can't be folded (padding, transposed).

    Returns:
        New kernels, and a bias if there was one or the shift asks for one.
    """
    first = _FIRST[kind]
    folded = {**weights, first: _scaled_input(kind, weights[first], scale)}
    bias = weights.get("bias", np.zeros(1)) + _constant(kind, weights, shift)
    return _with_bias(folded, weights, bias, shift)


_LAST = {
    "conv": "kernel",
    "depthwise": "kernel",
    "separable": "pointwise_kernel",
    "transposed": "kernel",
    "dense": "kernel",
}
_FIRST = {**_LAST, "separable": "depthwise_kernel"}


def _with_bias(
    folded: dict[str, Array], weights: Arrays, bias: Doubles, shift: Doubles
) -> dict[str, Array]:
    # A shift of which a kernel makes nothing asks for a bias too: whether there is one is settled
    # before kernels are known.
    if "bias" in weights or np.any(shift):
        return {**folded, "bias": bias}
    return folded


def _scaled(kernel: Array, scale: Doubles) -> Array:
    # NumPy computes in the wider type and casts piece by piece.
    return np.multiply(kernel, scale, out=np.empty_like(kernel), casting="unsafe")


def _scaled_transposed(kernel: Array, scale: Doubles) -> Array:
    return _scaled(kernel, scale[:, None])


def _scaled_depthwise(kernel: Array, scale: Doubles) -> Array:
    # Output channel `i * multiplier + m` belongs to input channel i.
    return _scaled(kernel, scale.reshape(kernel.shape[-2:]))


_SCALED_OUTPUT: Mapping[str, Callable[[Array, Doubles], Array]] = {
    "conv": _scaled,
    "dense": _scaled,
    "separable": _scaled,
    "depthwise": _scaled_depthwise,
    "transposed": _scaled_transposed,
}


def _scaled_input(kind: str, kernel: Array, scale: Doubles) -> Array:
    if kind == "transposed":
        return _scaled(kernel, scale)
    if kind == "conv":
        return _scaled(kernel, _of_groups(kernel, scale))
    return _scaled(kernel, scale[:, None])


def _of_groups(kernel: Array, values: Doubles) -> Doubles:
    """Values of the input channels as `(in / groups, out)`: each filter sees its group's."""
    width, filters = kernel.shape[-2:]
    groups = len(values) // width
    return np.repeat(values.reshape(groups, width).T, filters // groups, axis=1)


def _constant(kind: str, weights: Arrays, shift: Doubles) -> Doubles:
    """What a linear layer makes of the same `shift` at every place it reads, without its bias."""
    kernel = weights[_FIRST[kind]]
    if kind == "dense":
        return np.asarray(np.einsum("i,ij->j", shift, kernel, dtype="float64"))
    summed = kernel.sum(axis=tuple(range(kernel.ndim - 2)), dtype="float64")
    if kind == "transposed":
        return np.asarray(summed @ shift)
    if kind == "conv":
        return np.asarray((summed * _of_groups(kernel, shift)).sum(axis=0))
    made = (summed * shift[:, None]).reshape(-1)
    if kind == "depthwise":
        return np.asarray(made)
    pointwise = weights["pointwise_kernel"]
    return np.asarray(made @ pointwise.reshape(pointwise.shape[-2:]))
