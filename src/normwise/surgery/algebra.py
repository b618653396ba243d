"""Folding as algebra: a scale and a shift of every channel moved into the weights beside it.

Pure functions on arrays, all in float64. With kernel `W`, bias `b`, scale `s` and shift `t`:

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

import numpy as np
import numpy.typing as npt

Doubles = npt.NDArray[np.float64]
Arrays = Mapping[str, Doubles]


def batch_norm_affine(
    mean: Doubles, variance: Doubles, gamma: Doubles, beta: Doubles, epsilon: float
) -> tuple[Doubles, Doubles]:
    """Scale and shift of every channel that a batch normalization applies in inference."""
    scale = gamma / np.sqrt(variance + epsilon)
    return scale, beta - mean * scale


def folded_after(kind: str, weights: Arrays, scale: Doubles, shift: Doubles) -> dict[str, Doubles]:
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
    return _with_bias(folded, weights, bias)


def folded_before(kind: str, weights: Arrays, scale: Doubles, shift: Doubles) -> dict[str, Doubles]:
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
    return _with_bias(folded, weights, bias)


_LAST = {
    "conv": "kernel",
    "depthwise": "kernel",
    "separable": "pointwise_kernel",
    "transposed": "kernel",
    "dense": "kernel",
}
_FIRST = {**_LAST, "separable": "depthwise_kernel"}


def _with_bias(folded: dict[str, Doubles], weights: Arrays, bias: Doubles) -> dict[str, Doubles]:
    if "bias" in weights or np.any(bias):
        return {**folded, "bias": bias}
    return folded


def _scaled_last(kernel: Doubles, scale: Doubles) -> Doubles:
    return kernel * scale


def _scaled_transposed(kernel: Doubles, scale: Doubles) -> Doubles:
    return kernel * scale[:, None]


def _scaled_depthwise(kernel: Doubles, scale: Doubles) -> Doubles:
    # Output channel `i * multiplier + m` belongs to input channel i.
    return kernel * scale.reshape(kernel.shape[-2:])


_SCALED_OUTPUT: Mapping[str, Callable[[Doubles, Doubles], Doubles]] = {
    "conv": _scaled_last,
    "dense": _scaled_last,
    "separable": _scaled_last,
    "depthwise": _scaled_depthwise,
    "transposed": _scaled_transposed,
}


def _scaled_input(kind: str, kernel: Doubles, scale: Doubles) -> Doubles:
    if kind == "transposed":
        return kernel * scale
    if kind == "conv":
        return kernel * _of_groups(kernel, scale)
    return kernel * scale[:, None]


def _of_groups(kernel: Doubles, values: Doubles) -> Doubles:
    """Values of the input channels as `(in / groups, out)`: each filter sees its group's."""
    width, filters = kernel.shape[-2:]
    groups = len(values) // width
    return np.repeat(values.reshape(groups, width).T, filters // groups, axis=1)


def _constant(kind: str, weights: Arrays, shift: Doubles) -> Doubles:
    """What a linear layer makes of the same `shift` at every place it reads, without its bias."""
    kernel = weights[_FIRST[kind]]
    window = tuple(range(kernel.ndim - 2))
    if kind == "transposed":
        return np.asarray(kernel.sum(axis=window) @ shift)
    if kind == "conv":
        return np.asarray((kernel.sum(axis=window) * _of_groups(kernel, shift)).sum(axis=0))
    if kind == "dense":
        return np.asarray(shift @ kernel)
    made = (kernel.sum(axis=window) * shift[:, None]).reshape(-1)
    if kind == "depthwise":
        return np.asarray(made)
    pointwise = weights["pointwise_kernel"]
    return np.asarray(made @ pointwise.reshape(pointwise.shape[-2:]))
