"""Which images an evaluation measures; tests of runs and ensembles have more of it."""

import keras
import pytest

import normwise as nw
from normwise.errors import DataError


def test_a_model_that_is_no_run_is_named_where_the_data_are_missing(tmp_path):
    inputs = keras.Input((None, None, 2))
    model = keras.Model(inputs, keras.layers.Conv2D(1, 1)(inputs), name="mine")
    model.save(tmp_path / "one.keras")
    for given, named in ((tmp_path / "one.keras", r"one\.keras"), (model, "model 'mine'")):
        with pytest.raises(DataError, match=f"{named}: name the data folder"):
            nw.evaluate(given)
