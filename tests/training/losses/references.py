"""Losses written anew in float64 NumPy, pixel by pixel: nothing is shared with the code."""

import keras
import numpy as np

from normwise.training.losses.composition import loss_of
from normwise.training.training_settings import TrainingSettings


def loss_function(name, **settings):
    """A recipe's loss on arrays, as a float."""
    loss = loss_of(TrainingSettings(loss=name, **settings))

    def measured(truth, linear, weight):
        tensors = map(keras.ops.convert_to_tensor, (truth, linear, weight))
        return float(keras.ops.convert_to_numpy(loss(*tensors)))

    return measured


def gradient(name, truth, linear, weight, **settings):
    """The gradient of a recipe's loss by the backend's own differentiation."""
    loss = loss_of(TrainingSettings(loss=name, **settings))
    backend = keras.backend.backend()
    if backend == "tensorflow":
        import tensorflow as tf

        variable = tf.Variable(linear)
        with tf.GradientTape() as tape:
            value = loss(tf.constant(truth), tf.convert_to_tensor(variable), tf.constant(weight))
        return tape.gradient(value, variable).numpy()
    if backend == "jax":
        import jax

        return np.asarray(jax.grad(lambda given: loss(truth, given, weight))(linear))
    import torch

    given = torch.tensor(linear, requires_grad=True)
    loss(torch.tensor(truth), given, torch.tensor(weight)).backward()
    return given.grad.numpy()


def slope(function, linear, place, step=1e-5):
    """A central difference of a float64 reference at one place."""
    up, down = linear.astype(np.float64), linear.astype(np.float64)
    up[place] += step
    down[place] -= step
    return (function(up) - function(down)) / (2 * step)


def probabilities(logits):
    logits = logits.astype(np.float64)
    if logits.shape[-1] == 1:
        positive = 1 / (1 + np.exp(-logits[..., 0]))
        return np.stack([1 - positive, positive], -1)
    grown = np.exp(logits - logits.max(-1, keepdims=True))
    return grown / grown.sum(-1, keepdims=True)


def cross_entropy(truth, logits, weight, class_weights=None, smoothing=0.0, gamma=0.0):
    chance, total, weights = probabilities(logits), 0.0, 0.0
    classes = chance.shape[-1]
    for place in np.ndindex(truth.shape):
        if not weight[place]:
            continue
        own = weight[place] * (1 if class_weights is None else class_weights[truth[place]])
        spread = np.full(classes, smoothing / classes)
        spread[truth[place]] += 1 - smoothing
        easy = (1 - chance[place][truth[place]]) ** gamma
        total -= own * easy * (spread * np.log(chance[place])).sum()
        weights += own
    return total / weights


def tversky(truth, logits, weight, class_weights=None, alpha=0.5, beta=0.5):
    chance, scores = probabilities(logits), []
    for index in [1] if logits.shape[-1] == 1 else range(logits.shape[-1]):
        own, p = (truth == index).astype(float), chance[..., index]
        hits = (weight * own * p).sum()
        false = (weight * (1 - own) * p).sum()
        missed = (weight * own * (1 - p)).sum()
        scores.append((hits + 0.5) / (hits + alpha * false + beta * missed + 0.5))
    return 1 - np.average(scores, weights=class_weights if len(scores) > 1 else None)


def of_errors(each):
    def mean(truth, predicted, weight):
        errors = predicted.astype(float) - np.where(weight > 0, truth, 0)
        return (each(errors) * weight).sum() / weight.sum()

    return mean


def quantile(truth, predicted, weight, quantiles):
    total, count = 0.0, len(quantiles)
    for place in np.ndindex(truth.shape):
        if weight[place]:
            for index, level in enumerate(quantiles):
                error = truth[place] - predicted[place[:-1]][place[-1] * count + index]
                total += weight[place] * abs(error) * (level if error > 0 else 1 - level) / count
    return total / weight.sum()


def gaussian(truth, predicted, weight):
    total = 0.0
    for place in np.ndindex(truth.shape):
        if weight[place]:
            mean, raw = predicted[place[:-1]][2 * place[-1] : 2 * place[-1] + 2].astype(float)
            std = np.exp(0.5 * 14 * np.tanh(raw / 14))
            z = (truth[place] - mean) / std
            total += weight[place] * (0.5 * z**2 + np.log(std * np.sqrt(2 * np.pi)))
    return total / weight.sum()
