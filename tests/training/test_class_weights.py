"""Weights of classes: each form, what they come to on the data, and what is refused."""

import numpy as np
import pytest

from normwise.data.folder import open_dataset
from normwise.data.statistics import class_counts
from normwise.errors import RecipeError
from normwise.rasters import write_raster
from normwise.training.class_weights import balanced_weights, resolved_class_weights
from normwise.training.recipe import Recipe, load_recipe, to_yaml
from normwise.training.recipe_changes import with_settings
from normwise.training.resolve import resolve


@pytest.fixture
def dataset(tmp_path):
    """Classes `land`, `water` and `ice`; ice is rare in training and common in validation."""
    (tmp_path / "masks").mkdir()
    (tmp_path / "images").mkdir()
    for name, ice in (("a", 4), ("b", 0), ("c", 200)):
        mask = np.zeros((16, 16), np.uint8)
        mask[8:] = 1
        mask.ravel()[:ice] = 2
        mask[15] = 255
        write_raster(tmp_path / "masks" / f"{name}.png", mask)
        image = np.full((16, 16, 1), ord(name), np.uint8)
        write_raster(tmp_path / "images" / f"{name}.npy", image)
    (tmp_path / "split.csv").write_text("name,split\na,train\nb,train\nc,val\n")
    (tmp_path / "dataset.yaml").write_text("classes: [land, water, ice]\n")
    return open_dataset(tmp_path)


def recipe(dataset, **training):
    return Recipe(data={"path": str(dataset.root)}, training=training)


def test_balanced_weights_give_each_class_the_same_total():
    counts = np.array([900, 90, 10, 0])
    weights = balanced_weights(counts)
    np.testing.assert_allclose((weights * counts)[:3], 1000 / 3, rtol=1e-5, atol=0)
    assert weights[3] == 1.0
    assert (np.array(weights) * counts).sum() == pytest.approx(counts.sum(), rel=1e-5)


def test_only_training_masks_count(dataset):
    found = resolved_class_weights("balanced", dataset)
    counts = class_counts(dataset, "train")
    np.testing.assert_allclose(found * counts, counts.sum() / 3, rtol=1e-5, atol=0)
    assert counts.tolist() == [252, 224, 4]


@pytest.mark.parametrize(
    ("setting", "wanted"),
    [
        (None, None),
        ([1, 2, 0.5], (1.0, 2.0, 0.5)),
        ({"ice": 7}, (1.0, 1.0, 7.0)),
    ],
)
def test_every_form_becomes_numbers_in_the_resolved_recipe(dataset, setting, wanted):
    resolved = resolve(recipe(dataset, class_weights=setting), dataset, (4, 4))
    assert resolved.training.class_weights == wanted
    assert resolved.training.loss == "cross-entropy+dice"


def test_a_resolved_recipe_is_its_own_resolution(dataset, tmp_path):
    resolved = resolve(recipe(dataset, class_weights="balanced"), dataset, (4, 4))
    (tmp_path / "recipe.yaml").write_text(to_yaml(resolved))
    assert resolve(load_recipe(tmp_path / "recipe.yaml"), dataset, (4, 4)) == resolved
    assert resolved.training.class_weights[2] > 10


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"class_weights": [1, 2]}, r"received 2 numbers; expected 3, .* land, water, ice"),
        ({"class_weights": {"snow": 2}}, "'snow' is no class; expected some of land, water, ice"),
        ({"class_weights": {"land": 0, "water": 0, "ice": 0}}, "every class has weight 0"),
        ({"loss": "huber"}, r"training\.loss: received 'huber'; allowed for this segmentation"),
        (
            {"loss": "dice", "loss_options": {"label_smoothing": 0.1}},
            r"label_smoothing: has no effect on dice; it belongs to cross-entropy",
        ),
    ],
)
def test_what_does_not_suit_the_data(dataset, settings, message):
    with pytest.raises(RecipeError, match=message):
        resolve(recipe(dataset, **settings), dataset, (4, 4))


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ("training.class_weights=often", r"training\.class_weights: received 'often'; allowed"),
        ("training.class_weights=[1, -1]", r"received \[1, -1\]"),
        ("training.class_weights=[0, 0]", "not all of them 0"),
        ("training.class_weights={water: much}", "a mapping from class names to numbers"),
        ("training.loss_options.focal_gama=1", r"Did you mean training\.loss_options\.focal_gamma"),
        ("training.loss_options.quantiles=[0.5, 0.1]", "ascending numbers between 0 and 1"),
        ("training.loss_options.label_smoothing=1", "less than 1"),
    ],
)
def test_impossible_settings(setting, message):
    with pytest.raises(RecipeError, match=message):
        with_settings(Recipe(data={"path": "a"}), [setting])


def test_class_weights_without_an_effect_are_refused(tmp_path, dataset):
    for path in (dataset.root / "masks").iterdir():
        mask = np.zeros((16, 16), np.uint8)
        mask[:4] = 1
        write_raster(path, mask, overwrite=True)
    (dataset.root / "dataset.yaml").write_text("classes: [land, water]\n")
    two = open_dataset(dataset.root)
    with pytest.raises(RecipeError, match="has no effect on dice of two classes"):
        resolve(recipe(two, loss="dice", class_weights="balanced"), two, (4, 4))
    assert resolve(recipe(two, class_weights="balanced"), two, (4, 4)).training.class_weights
