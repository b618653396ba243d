"""Checkpoints bring everything back, and are refused where they don't fit."""

import keras
import numpy as np
import pytest

from normwise.errors import RunError
from normwise.training.checkpoints import load_checkpoint, read_state, save_checkpoint
from normwise.training.losses.composition import WeightedLoss, loss_of

from .stand_in import Batches, network, recipe, same_weights, weights_of


def trained(dropout=0.3, **options):
    model = network(dropout=dropout, **options)
    loss = WeightedLoss(loss_of(recipe(loss="cross-entropy").training))
    # The step that makes its variables isn't traced, which takes longer.
    model.compile(keras.optimizers.AdamW(0.01), loss, run_eagerly=True)
    x, y, weight = Batches()[0]
    model.train_on_batch(x, y, sample_weight=weight)
    return model


def values(variables):
    return [np.array(keras.ops.convert_to_numpy(variable)) for variable in variables]


def test_everything_comes_back(tmp_path):
    one, path = trained(), tmp_path / "last.npz"
    state = {"epoch": 3, "best": float("nan"), "rows": [{"loss": 0.1}]}
    save_checkpoint(path, one, one.optimizer, state)
    two = trained()
    assert not same_weights(weights_of(one), weights_of(two))
    loaded = load_checkpoint(path, two, two.optimizer)
    assert loaded["rows"] == state["rows"]
    assert same_weights(weights_of(one), weights_of(two))
    assert same_weights(values(one.optimizer.variables), values(two.optimizer.variables))
    seeds = [v for v in two.variables if "seed_generator_state" in v.name]
    assert len(seeds) == 1
    assert [path.name for path in tmp_path.iterdir()] == ["last.npz"]


def test_seed_generators_are_part_of_it(tmp_path):
    one, path = trained(), tmp_path / "last.npz"
    save_checkpoint(path, one, None, {})
    (seed,) = [v for v in one.variables if "seed_generator_state" in v.name]
    before = values([seed])
    one.train_on_batch(*Batches()[0][:2])
    assert not same_weights(before, values([seed]))
    load_checkpoint(path, one)
    assert same_weights(before, values([seed]))


def test_another_network_is_refused_and_left_as_it_was(tmp_path):
    path = tmp_path / "last.npz"
    one = trained()
    save_checkpoint(path, one, one.optimizer, {})
    for other in (trained(filters=5), trained(dropout=0)):
        before = weights_of(other)
        with pytest.raises(RunError, match="another network"):
            load_checkpoint(path, other, other.optimizer)
        assert same_weights(before, weights_of(other))


def test_missing_and_damaged_files(tmp_path):
    with pytest.raises(RunError, match="no checkpoint"):
        read_state(tmp_path / "none.npz")
    path = tmp_path / "last.npz"
    one = trained()
    save_checkpoint(path, one, None, {"a": 1})
    assert read_state(path) == {"a": 1}
    path.write_bytes(path.read_bytes()[:1000])
    with pytest.raises(RunError, match="damaged"):
        read_state(path)
