"""Averages of weights and batch statistics follow their formulas, and are what is judged."""

import keras
import numpy as np
import pytest

from normwise.training.averaging import averages_of, statistics_of
from normwise.training.checkpoints import save_checkpoint
from normwise.training.determinism import seed_run
from normwise.training.fit import fit
from normwise.training.losses.composition import WeightedLoss, loss_of
from normwise.training.optimizer import make_optimizer
from normwise.training.run_files import BEST, LAST
from normwise.training.training_settings import TrainingSettings
from normwise.training.twin import show, trainee_of

from .stand_in import Batches, network, recipe, same_weights, validate, weights_of


def numpy_of(variables):
    return [np.array(keras.ops.convert_to_numpy(variable)) for variable in variables]


def compiled(settings, model=None):
    model = model or network()
    optimizer = make_optimizer(settings, 50, model)
    model.compile(optimizer, WeightedLoss(loss_of(TrainingSettings(loss="cross-entropy"))))
    return model


@pytest.mark.backends
@pytest.mark.parametrize("accumulate", [1, 3])
def test_averages_follow_the_formula(accumulate):
    model = compiled(TrainingSettings(learning_rate=0.05, ema=0.6, accumulate=accumulate))
    wanted, update = numpy_of(model.trainable_variables), 0
    for step in range(12):
        x, y, weight = Batches()[step % 4]
        model.train_on_batch(x, y, sample_weight=weight)
        if (step + 1) % accumulate == 0:
            decay = min(0.6, (1 + update) / (10 + update))
            now = numpy_of(model.trainable_variables)
            wanted = [decay * a + (1 - decay) * b for a, b in zip(wanted, now, strict=True)]
            update += 1
    assert update == 12 // accumulate
    own = {id(variable) for variable in model.optimizer.variables}
    assert len(own) == len(model.optimizer.variables)
    assert not own & {id(variable) for variable in model.trainable_variables}
    found = numpy_of(averages_of(model.optimizer))
    for one, two, raw in zip(found, wanted, numpy_of(model.trainable_variables), strict=True):
        np.testing.assert_allclose(one, two, rtol=1e-4, atol=1e-6)
        assert not np.allclose(one, raw, rtol=1e-4, atol=1e-6)


@pytest.mark.backends
def test_averaged_weights_are_judged_and_kept_while_the_others_train(tmp_path):
    seen = []

    def measure(model):
        seen.append(weights_of(model))
        return {"loss": 1.0, "iou": len(seen) / 10}

    seed_run(0)
    plain = network(dropout=0.3)
    fit(plain, Batches(), validate, recipe(), tmp_path / "plain")
    seed_run(0)
    model = network(dropout=0.3)
    fit(model, Batches(), measure, recipe(ema=0.9), tmp_path / "averaged")
    assert same_weights(seen[-1], weights_of(model))
    assert not same_weights(weights_of(plain), weights_of(model))
    with (
        np.load(tmp_path / "plain" / LAST) as one,
        np.load(tmp_path / "averaged" / LAST) as two,
        np.load(tmp_path / "averaged" / BEST) as best,
    ):
        names = [name for name in one.files if name.startswith("model/")]
        assert names
        # On PyTorch the plain AdamW is another implementation, which rounds differently.
        slack = 1e-4 if keras.backend.backend() == "torch" else 0
        for name in names:
            np.testing.assert_allclose(one[name], two[name], rtol=slack, atol=slack)
        averages = two.files[-1]
        assert averages not in one.files
        assert any(np.abs(two[name] - best[name]).max() > 1e-3 for name in names)


@pytest.mark.parametrize("accumulate", [1, 6])
def test_statistics_are_averaged_epoch_by_epoch(tmp_path, accumulate):
    settings = TrainingSettings(learning_rate=0.3, ema=0.8, accumulate=accumulate)
    model = network()
    trainee = compiled(settings, trainee_of(model, settings))
    wanted = numpy_of(statistics_of(trainee))
    assert len(wanted) == 2
    for epoch in range(3):
        for step in range(4):
            x, y, weight = Batches()[step]
            trainee.train_on_batch(x, y, sample_weight=weight)
        save_checkpoint(tmp_path / "before.npz", trainee, None, {})
        show(trainee, model, settings, 4)
        save_checkpoint(tmp_path / "after.npz", trainee, None, {})
        with np.load(tmp_path / "before.npz") as one, np.load(tmp_path / "after.npz") as two:
            assert all(np.array_equal(one[name], two[name]) for name in one.files)
        updates = 4 * (epoch + 1) // accumulate
        kept = min(0.8, (1 + updates) / (10 + updates)) ** (4 / accumulate)
        moving = numpy_of(statistics_of(trainee))
        wanted = [kept * old + (1 - kept) * new for old, new in zip(wanted, moving, strict=True)]
    assert same_weights(
        numpy_of(model.trainable_variables), numpy_of(averages_of(trainee.optimizer))
    )
    for found, own, raw in zip(numpy_of(statistics_of(model)), wanted, moving, strict=True):
        np.testing.assert_allclose(found, own, rtol=1e-5, atol=1e-7)
        assert not np.allclose(found, raw, rtol=1e-3, atol=1e-5)
