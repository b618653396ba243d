"""Reasons in a recipe file: read back, and left out where they are no longer true."""

from normwise.training.recipe import Recipe, load_recipe
from normwise.training.recipe_changes import with_settings
from normwise.training.recipe_reasons import read_reasons, reasoned_yaml, still_true
from normwise.workflows.train import reasons_of

RECIPE = Recipe(data={"path": "rivers"}, training={"epochs": 5})
REASONS = {"training.epochs": "5 take a minute: no more", "norm": "rows\nare few"}


def test_they_are_read_back_and_the_recipe_too(tmp_path):
    path = tmp_path / "recipe.yaml"
    path.write_text(reasoned_yaml(RECIPE, REASONS))
    assert read_reasons(path) == {**REASONS, "norm": "rows are few"}
    assert load_recipe(path) == RECIPE
    path.write_bytes(path.read_bytes().replace(b"\n", b"\r\n"))
    assert len(read_reasons(path)) == 2


def test_a_recipe_without_has_none(tmp_path):
    path = tmp_path / "recipe.yaml"
    assert read_reasons(path) == {}
    path.write_text(reasoned_yaml(RECIPE, {}))
    assert read_reasons(path) == {}
    assert "Why" not in path.read_text()


def test_another_value_has_another_reason():
    now = with_settings(RECIPE, ["training.epochs=9"])
    assert list(still_true(REASONS, RECIPE, now)) == ["norm"]
    assert still_true(REASONS, RECIPE, RECIPE) == REASONS


def test_train_takes_them_from_the_recipe_file_or_the_run(tmp_path):
    path = tmp_path / "recipe.yaml"
    path.write_text(reasoned_yaml(RECIPE, REASONS))
    now = with_settings(RECIPE, ["training.epochs=9"])
    for given in (path, str(path), tmp_path):
        assert reasons_of(given, now) == {"norm": "rows are few"}
    assert reasons_of(RECIPE, now) == {}
    assert reasons_of(tmp_path / "data.csv", now) == {}
