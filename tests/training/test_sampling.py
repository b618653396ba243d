"""What a run samples and has seen of each class is logged."""

import numpy as np
import pytest

from normwise.data.folder import open_dataset
from normwise.errors import RecipeError
from normwise.training.recipe import Recipe
from normwise.training.recipe_changes import with_settings
from normwise.training.run import train, train_until
from normwise.training.sampling import SeenClasses, sampling_of

from .test_run import recipe_of, write_folder

pytestmark = pytest.mark.usefixtures("no_pictures")


def test_a_run_logs_what_it_sampled(tmp_path):
    data = write_folder(tmp_path / "data", "segmentation")
    recipe = with_settings(
        recipe_of(data, epochs=1, steps=3), ["data.sampling=class-balanced", "data.patch=8"]
    )
    run, other = tmp_path / "run", tmp_path / "other"
    first = train_until(1, recipe, out=run, progress=False)
    (line,) = (line for line in (run / "log.txt").read_text().splitlines() if "sampling:" in line)
    assert "100% of patches centred on class 0, class 1" in line
    assert "% of the data" in line
    again = train_until(1, recipe, out=tmp_path / "again", progress=False)
    assert again[0]["loss"] == first[0]["loss"]
    uniform = with_settings(recipe, ["data.sampling=uniform"])
    differs = train_until(1, uniform, out=other, progress=False)
    assert differs[0]["loss"] != first[0]["loss"]
    assert "sampling:" not in (other / "log.txt").read_text()


def test_what_was_seen_is_counted_without_ignored_pixels(tmp_path):
    dataset = open_dataset(write_folder(tmp_path / "data", "segmentation"))
    recipe = with_settings(recipe_of(dataset.root), ["data.sampling=0.5"])
    seen = SeenClasses(dataset, sampling_of(recipe, dataset))
    seen.add(np.array([[0, 1], [1, 1]]), np.array([[1, 1], [0, 2]], np.float32))
    text = seen.describe()
    assert text.startswith("sampling: 50% of patches centred on class ")
    assert "33.3 % of the patches" in text
    assert "66.7 % of the patches" in text
    assert sampling_of(recipe_of(dataset.root), dataset) is None


@pytest.mark.parametrize("value", ["0", "1.5", "often", "true", "[1]"])
def test_impossible_sampling(value):
    with pytest.raises(RecipeError, match=r"data\.sampling: received .*class-balanced"):
        with_settings(Recipe(data={"path": "a"}), [f"data.sampling={value}"])


def test_values_have_no_classes_to_sample(tmp_path):
    data = write_folder(tmp_path / "data", "regression")
    with pytest.raises(RecipeError, match="a regression has no classes to sample"):
        train(with_settings(recipe_of(data), ["data.sampling=0.3"]), out=tmp_path / "run")
