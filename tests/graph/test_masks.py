"""Which layers pass a mask on: as Keras does it."""

from typing import Any

import keras
import pytest
from keras.src import backend

from normwise.graph.flatten import flatten
from normwise.graph.masks import makes_mask, masked, passes_mask
from normwise.keras_format import read_graph

layers = keras.layers


def attended(x: Any) -> Any:
    return layers.MultiHeadAttention(2, 2)(query=x, value=x, key=x)


def with_unmasked(kind: Any) -> Any:
    return lambda x: kind()([x, layers.Conv1D(4, 1)(x)])


def attending(kind: Any, query: bool, value: bool) -> Any:
    """Attention to what has a mask, by what has one, or without."""
    plain = lambda x, masked: x if masked else layers.Conv1D(4, 1)(x)
    return lambda x: kind()([plain(x, query), plain(x, value)])


class Own(layers.Layer):
    """A layer of a user's own, which Keras says nothing about."""

    def __init__(self, masks: bool) -> None:
        super().__init__()
        self.supports_masking = masks

    def call(self, x: Any, y: Any = None) -> Any:
        return x


class Identity(Own):
    """Another one, with the name of one of Keras'."""


LAYERS = {
    "dense": layers.Dense(4),
    "einsum": layers.EinsumDense("abc,cd->abd", (None, 4)),
    "dropout": layers.Dropout(0.5),
    "spatial dropout": layers.SpatialDropout1D(0.5),
    "identity": layers.Identity(),
    "activation": layers.Activation("tanh"),
    "relu": layers.ReLU(),
    "prelu": layers.PReLU(),
    "softmax": layers.Softmax(),
    "batch norm": layers.BatchNormalization(),
    "layer norm": layers.LayerNormalization(),
    "group norm": layers.GroupNormalization(2),
    "unit norm": layers.UnitNormalization(),
    "rms norm": layers.RMSNormalization(),
    "fixed norm": layers.Normalization(mean=0.0, variance=1.0),
    "rescaling": layers.Rescaling(2.0),
    "series": layers.LSTM(3, return_sequences=True),
    "state": layers.LSTM(3),
    "both ways": layers.Bidirectional(layers.GRU(3, return_sequences=True)),
    "both ends": layers.Bidirectional(layers.GRU(3)),
    "each step": layers.TimeDistributed(layers.Dense(3)),
    "convolution": layers.Conv1D(4, 3),
    "pooling": layers.MaxPooling1D(2),
    "mean": layers.GlobalAveragePooling1D(),
    "flatten": layers.Flatten(),
    "reshape": layers.Reshape((4, 6)),
    "permute": layers.Permute((2, 1)),
    "attention": attended,
    "attention of all": attending(layers.Attention, True, True),
    "attention of the query": attending(layers.Attention, True, False),
    "attention of the value": attending(layers.Attention, False, True),
    "additive attention of the query": attending(layers.AdditiveAttention, True, False),
    "additive attention of the value": attending(layers.AdditiveAttention, False, True),
    "own": Own(masks=True),
    "sum": lambda x: layers.Add()([x, layers.Dense(4)(x)]),
    "sum with one without": with_unmasked(layers.Add),
    "joined": lambda x: layers.Concatenate()([x, layers.Dense(4)(x)]),
    "joined with one without": with_unmasked(layers.Concatenate),
    "raw sum": lambda x: x + x,
    "masking": lambda x: layers.Masking()(layers.Conv1D(4, 1)(x)),
}


@pytest.mark.parametrize("name", LAYERS)
def test_a_mask_goes_on_where_keras_passes_it_on(name: str) -> None:
    inputs = keras.Input((6,), dtype="int32")
    made = LAYERS[name](layers.Embedding(9, 4, mask_zero=True)(inputs))
    graph = flatten(read_graph(keras.Model(inputs, made)))
    (end,) = graph.output_tensors
    assert masked(graph)[end.node] == (backend.get_keras_mask(made) is not None)


@pytest.mark.parametrize("kind", [Own, Identity])
@pytest.mark.parametrize("second", [False, True])
def test_what_a_layer_of_a_users_own_reads_may_go_on(kind: type[Own], second: bool) -> None:
    inputs = keras.Input((6,), dtype="int32")
    x = layers.Embedding(9, 4, mask_zero=True)(inputs)
    plain = layers.Conv1D(4, 1)(x)
    own = kind(masks=False)
    made = own(plain, x) if second else own(x, plain)
    graph = read_graph(keras.Model(inputs, made))
    (end,) = graph.output_tensors
    assert masked(graph)[end.node]
    assert not passes_mask(graph.nodes[end.node])  # but nobody is sure of it


def test_what_a_layer_of_a_users_own_makes_of_no_mask_has_none() -> None:
    inputs = keras.Input((6, 4))
    graph = read_graph(keras.Model(inputs, Own(masks=True)(inputs)))
    assert not any(masked(graph))


def test_where_no_layer_makes_a_mask_there_is_none() -> None:
    inputs = keras.Input((6,), dtype="int32")
    made = layers.LSTM(3, return_sequences=True)(layers.Dense(4)(layers.Embedding(9, 4)(inputs)))
    graph = read_graph(keras.Model(inputs, made))
    assert not any(masked(graph)) and not any(map(makes_mask, graph.nodes))


def test_a_mask_that_is_given_counts() -> None:
    inputs, steps = keras.Input((6, 4)), keras.Input((6,), dtype="bool")
    made = layers.LSTM(3, return_sequences=True, name="series")(inputs, mask=steps)
    graph = read_graph(keras.Model([inputs, steps], made))
    assert masked(graph)[graph.index["series"]]
