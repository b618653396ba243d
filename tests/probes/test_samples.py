"""Few samples from much data."""

import keras
import numpy as np
import pytest
from keras import layers

from normwise.errors import DataError
from normwise.graph.flatten import flatten
from normwise.keras_format import read_graph
from normwise.probes.samples import collected, thinned
from normwise.surgery.batches import Missing

RNG = np.random.default_rng(0)


def model(size=None):
    inputs = keras.Input((size, size, 2))
    return keras.Model(inputs, layers.Conv2D(1, 1)(inputs))


def taken(source, limit=8, net=None, **options):
    net = net or model()
    return collected(net, flatten(read_graph(net)), source, limit, **options)


def numbered(count, size=4):
    return np.broadcast_to(
        np.arange(count, dtype=np.float32)[:, None, None, None], (count, size, size, 2)
    )


def numbers(found):
    return found.leaves[0][:, 0, 0, 0].tolist()


def test_an_array_is_thinned_evenly():
    found = taken(numbered(71))
    assert numbers(found) == [0, 10, 20, 30, 40, 50, 60, 70]
    assert not found.composed and len(found) == 8
    assert found.names[:2] == ("sample 0", "sample 10")
    assert numbers(taken(numbered(5))) == [0, 1, 2, 3, 4]


def test_batches_in_a_list_come_from_all_over_it():
    found = taken([numbered(40)[i : i + 4] for i in range(0, 40, 4)])
    assert numbers(found) == [0, 1, 2, 3, 36, 37, 38, 39]
    assert found.composed and found.batches == (4, 4)
    assert found.names[3:5] == ("sample 3 of batch 0", "sample 0 of batch 9")


def test_an_iterator_is_read_from_its_start_and_no_further():
    def endless():
        while True:
            yield numbered(4)

    found = taken(endless())
    assert numbers(found) == [0, 1, 2, 3] * 2 and found.composed


def test_samples_of_other_sizes_are_left_out():
    found = taken([numbered(2), numbered(2, size=6), numbered(2) + 5])
    assert numbers(found) == [0, 1, 5, 6] and found.batches == (2, 2)


def test_large_samples_are_fewer(monkeypatch):
    monkeypatch.setattr("normwise.probes.samples.MOST_VALUES", 10 * 32)
    monkeypatch.setattr("normwise.probes.samples.FEWEST", 3)
    assert len(taken(numbered(40), 40)) == 10
    assert len(taken(numbered(40, size=64), 40)) == 3


def test_missing_pixels_are_known_and_filled():
    source = numbered(4).copy()
    source[1, 0] = np.nan
    found = taken(source, missing=Missing(None, 7.0))
    assert found.leaves[0][1, 0, 0, 0] == 7 and not found.valid[1, 0].any()
    assert found.valid.sum() == 4 * 16 - 4
    assert taken(numbered(4)).valid is None
    batch = found.take([1, 1, 0])
    assert batch.samples == 3 and batch.valid[0].sum() == 2 * 12 + 16


def test_whole_batches_in_random_order():
    found = taken(numbered(8))
    batches = [batch.inputs[:, 0, 0, 0].tolist() for batch in found.shuffled(3)]
    assert [len(batch) for batch in batches] == [3, 3]
    flat = [number for batch in batches for number in batch]
    assert len(set(flat)) == 6 and flat != sorted(flat)
    again = [batch.inputs[:, 0, 0, 0].tolist() for batch in found.shuffled(3)]
    assert batches == again


def test_several_inputs_stay_together():
    inputs = {"a": keras.Input((3,), name="a"), "b": keras.Input((2,), name="b")}
    net = keras.Model(inputs, layers.Concatenate()(list(inputs.values())))
    source = [
        {"a": np.full((4, 3), i, "float32"), "b": np.full((4, 2), i, "float32")} for i in range(3)
    ]
    found = taken(source, 12, net)
    batch = found.take([0, 11])
    assert batch.inputs["a"].tolist() == [[0, 0, 0], [2, 2, 2]]
    assert batch.inputs["b"].tolist() == [[0, 0], [2, 2]]


def test_what_is_no_data_is_refused():
    with pytest.raises(DataError, match="there is none"):
        taken([])
    with pytest.raises(DataError, match="takes"):
        taken(np.zeros((4, 3), np.float32))
    with pytest.raises(DataError, match="without labels"):
        taken([(numbered(2), numbered(2))])
    assert thinned({}, 3) == ({}, None)
    inputs = [keras.Input((3,)), keras.Input((3,), optional=True)]
    with pytest.raises(DataError, match="batch 0: an input is None"):
        taken([[np.zeros((2, 3)), None]], net=keras.Model(inputs, layers.Dense(1)(inputs[0])))
