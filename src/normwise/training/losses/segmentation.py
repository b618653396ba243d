"""Losses of class ids on linear outputs, with a weight for every pixel and every class.

All are computed from logits, where they are exact for any magnitude: `log(sigmoid(x))` in two
steps gives infinities from x = -104 on. All divide by the sum of weights, so that ignored pixels
(weight 0) change nothing, and a batch that is ignored altogether has loss 0.

Shapes: `truth` and `weight` are (batch, *space), `logits` (batch, *space, outputs), with any
number of spatial axes. One output channel is the foreground's logit.
"""

from collections.abc import Sequence
from typing import Final

from keras import ops

from normwise.training.losses.reductions import Tensor, channel_sums, valid, weighted_mean

ClassWeights = Sequence[float] | None

# In pixels: keeps the overlap of a batch without the class defined, and is nothing beside real
# areas. Half of it on either side of Tversky makes Dice the case alpha = beta = 1/2.
_SMOOTHING: Final = 1.0
_EXCLUDED: Final = 1e9


def cross_entropy(
    truth: Tensor,
    logits: Tensor,
    weight: Tensor,
    class_weights: ClassWeights = None,
    smoothing: float = 0.0,
) -> Tensor:
    """Mean cross-entropy: binary for one output channel, categorical for several.

    Args:
        truth: Class ids, int. Ids of ignored pixels may be any.
        logits: float32.
        weight: float32; 0 for ignored pixels.
        class_weights: A factor for the weights of each class's pixels.
        smoothing: The share of the truth that is spread over all classes alike (Szegedy et al.
            2016, arXiv:1512.00567).

    Returns:
        A scalar in nats.
    """
    truth = valid(ops.cast(truth, "int32"), weight)
    weight = _with_class_weights(weight, truth, class_weights)
    if logits.shape[-1] == 1:
        logit, positive = logits[..., 0], ops.cast(truth, logits.dtype)
        positive = positive * (1 - smoothing) + smoothing / 2
        # The stable form of -y log s(x) - (1 - y) log(1 - s(x)).
        return weighted_mean(ops.softplus(logit) - logit * positive, weight)
    logs = ops.log_softmax(logits, axis=-1)
    chosen = ops.one_hot(truth, logits.shape[-1], dtype=logits.dtype)
    each = -ops.sum(logs * chosen, axis=-1)
    if smoothing:
        each = (1 - smoothing) * each - smoothing * ops.mean(logs, axis=-1)
    return weighted_mean(each, weight)


def focal(
    truth: Tensor,
    logits: Tensor,
    weight: Tensor,
    class_weights: ClassWeights = None,
    gamma: float = 2.0,
) -> Tensor:
    """Focal loss (Lin et al. 2017, arXiv:1708.02002): cross-entropy times (1 - p)^gamma.

    p is the probability of the true class, so that pixels which are right already count less;
    gamma = 0 is cross-entropy. The class weights are the paper's alpha.

    Args:
        truth: Class ids, int.
        logits: float32.
        weight: float32; 0 for ignored pixels.
        class_weights: A factor for the weights of each class's pixels.
        gamma: How much the easy pixels are left out.

    Returns:
        A scalar in nats.
    """
    truth = valid(ops.cast(truth, "int32"), weight)
    weight = _with_class_weights(weight, truth, class_weights)
    if logits.shape[-1] == 1:
        signed = logits[..., 0] * (2 * ops.cast(truth, logits.dtype) - 1)
        right, wrong = -ops.softplus(-signed), -ops.softplus(signed)
    else:
        chosen = ops.one_hot(truth, logits.shape[-1], dtype=logits.dtype)
        total = ops.logsumexp(logits, axis=-1)
        right = ops.sum(logits * chosen, axis=-1) - total
        wrong = ops.logsumexp(logits - _EXCLUDED * chosen, axis=-1) - total
    # From log(1 - p): a power of 1 - p itself has no gradient left where p rounds to 1.
    return weighted_mean(-ops.exp(gamma * wrong) * right, weight)


def dice(
    truth: Tensor, logits: Tensor, weight: Tensor, class_weights: ClassWeights = None
) -> Tensor:
    """Soft Dice loss over the whole batch: 1 minus the mean Dice of the classes.

    One output channel counts the foreground alone (Milletari et al. 2016, arXiv:1606.04797,
    without the squares); several count every class alike, however rare it is.

    Args:
        truth: Class ids, int.
        logits: float32.
        weight: float32; 0 for ignored pixels.
        class_weights: Weights of the classes in the mean; one output channel has no other class.

    Returns:
        A scalar from 0 to 1.
    """
    return tversky(truth, logits, weight, class_weights, 0.5, 0.5)


def tversky(
    truth: Tensor,
    logits: Tensor,
    weight: Tensor,
    class_weights: ClassWeights = None,
    alpha: float = 0.3,
    beta: float = 0.7,
) -> Tensor:
    """Tversky loss over the whole batch (Salehi et al. 2017, arXiv:1706.05721).

    1 minus the mean over classes of TP / (TP + alpha FP + beta FN): with beta above alpha, a
    missed pixel costs more than a false one.

    Args:
        truth: Class ids, int.
        logits: float32.
        weight: float32; 0 for ignored pixels.
        class_weights: Weights of the classes in the mean.
        alpha: Weight of false positives.
        beta: Weight of false negatives.

    Returns:
        A scalar from 0 to 1.
    """
    truth = valid(ops.cast(truth, "int32"), weight)
    if logits.shape[-1] == 1:
        probability = ops.sigmoid(logits)
        chosen = ops.cast(ops.expand_dims(truth, -1), logits.dtype)
    else:
        probability = ops.softmax(logits, axis=-1)
        chosen = ops.one_hot(truth, logits.shape[-1], dtype=logits.dtype)
    weight = ops.expand_dims(ops.cast(weight, logits.dtype), -1)
    hits = channel_sums(weight * probability * chosen)
    false = channel_sums(weight * probability * (1 - chosen))
    missed = channel_sums(weight * (1 - probability) * chosen)
    half = _SMOOTHING / 2
    scores = (hits + half) / (hits + alpha * false + beta * missed + half)
    if class_weights is None or logits.shape[-1] == 1:
        return 1.0 - ops.mean(scores)
    return 1.0 - weighted_mean(scores, ops.convert_to_tensor(class_weights, scores.dtype))


def _with_class_weights(weight: Tensor, truth: Tensor, class_weights: ClassWeights) -> Tensor:
    if class_weights is None:
        return weight
    factors = ops.convert_to_tensor(class_weights, "float32")
    return ops.cast(weight, "float32") * ops.take(factors, truth, axis=0)
