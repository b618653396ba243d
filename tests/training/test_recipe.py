"""Recipes as text: every setting written out, and all problems said at once."""

import re
import subprocess
import sys
from pathlib import Path
from typing import get_args

import pytest

from normwise.errors import RecipeError
from normwise.networks import NETWORKS
from normwise.training.network_settings import NetworkName
from normwise.training.recipe import Recipe, known_keys, load_recipe, to_yaml
from normwise.training.recipe_changes import as_setting, differences, with_settings
from normwise.training.yaml_values import read_yaml
from normwise.workflows.train import with_whole_path
from tools.make_recipe_page import PAGE, page

ROOT = Path(__file__).parents[2]


def written(tmp_path, text):
    path = tmp_path / "recipe.yaml"
    path.write_text(text)
    return path


def test_a_path_is_enough(tmp_path):
    recipe = load_recipe(written(tmp_path, "data: {path: rivers}"))
    assert recipe.data.path == "rivers"
    assert recipe.network.name == "unet"
    assert recipe.training.loss is None


def test_text_and_recipe_are_the_same(tmp_path):
    recipe = Recipe(
        data={"path": "a", "patch": 96, "bands": [0, 2]},
        network={"name": "question", "decoder_activation": "relu"},
        norm="batch@skip",
        training={"learning_rate": 3e-4},
    )
    text = to_yaml(recipe)
    assert load_recipe(written(tmp_path, text)) == recipe
    assert "patch: 96\n" in text


def test_every_setting_is_written_out():
    text = to_yaml(Recipe(data={"path": "a"}))
    for key in known_keys():
        assert f"{key.rpartition('.')[2]}:" in text


def test_the_page_of_all_settings_is_up_to_date():
    assert (ROOT / PAGE).read_text() == page(), "run python tools/make_recipe_page.py"


def test_every_setting_is_on_its_page_with_what_it_may_be_and_means():
    rows, section = {}, ""
    for line in page().splitlines():
        if line.startswith("## "):
            section = "" if line == "## norm and out" else f"{line.removeprefix('## ')}."
        elif row := re.fullmatch(r"\| `(\w+)` \| (.+) \| (.+) \| (.+) \|", line):
            rows[section + row[1]] = row.groups()[1:]
    keys = known_keys()
    sections = {key.rpartition(".")[0] for key in keys}
    assert sorted(rows) == sorted(key for key in keys if key not in sections)
    assert all(len(meaning.split()) > 1 for *_, meaning in rows.values())
    assert rows["data.path"][:2] == ("text", "must be given")
    assert rows["data.validation"][:2] == ("number above 0 and below 1", "`0.2`")
    assert rows["data.fold"][0] == "[whole number from 1, whole number from 2] or `null`"
    assert rows["training.schedule"][0] == "`cosine`, `cosine-restarts`, `constant`"
    assert rows["training.learning_rate"][:2] == ("number or `auto`", "`0.001`")
    assert rows["training.deterministic"][:2] == ("`true`, `false`", "`true`")


def test_a_single_number_is_a_patch_of_any_axes():
    assert Recipe(data={"path": "a", "patch": 64}).data.patch == (64,)
    assert Recipe(data={"path": "a", "patch": [8, 64, 64]}).data.patch == (8, 64, 64)
    with pytest.raises(RecipeError, match="three for volumes"):
        Recipe(data={"path": "a", "patch": [8, 8, 64, 64]})


def test_options_of_the_network_are_plain_keys():
    recipe = Recipe(data={"path": "a"}, network={"name": "unet", "upsampling": "nearest"})
    assert recipe.network.options == {"upsampling": "nearest"}


def test_all_problems_come_at_once(tmp_path):
    text = (
        "data: {pth: a, patch: 0}\ntraining: {epochs: many, loss: vocal, learning_rat: 1}\n"
        "nrom: x\nnetwork: {name: unett}\nnorm: batch@nowhere"
    )
    with pytest.raises(RecipeError) as caught:
        load_recipe(written(tmp_path, text))
    message = str(caught.value)
    for part in (
        "data.path: missing",
        "data.pth: unknown setting. Did you mean data.path?",
        "data.patch",
        "training.epochs: received 'many'",
        "training.loss: received 'vocal'",
        "Did you mean focal?",
        "training.learning_rat: unknown setting. Did you mean training.learning_rate?",
        "nrom: unknown setting. Did you mean norm?",
        "network.name: received 'unett'; allowed: 'question', 'unet', 'residual'",
        "norm: plan 'batch@nowhere'",
    ):
        assert part in message
    first = message.splitlines()[0]
    assert first == f"The recipe {tmp_path / 'recipe.yaml'} has 10 problems:"


def test_every_network_can_be_named():
    assert set(get_args(NetworkName)) == set(NETWORKS)


@pytest.mark.parametrize(
    ("text", "where"),
    [
        ("data:\n  path: a\n bad: b\n", "line 3, column 2"),
        ("data: [a\nnorm: b", "line 2, column 5"),
    ],
)
def test_what_is_no_yaml_is_one_line_with_its_place(tmp_path, text, where):
    with pytest.raises(RecipeError, match=f"recipe.yaml is no YAML: {where}: ") as caught:
        load_recipe(written(tmp_path, text))
    assert not re.search(r"\n|unicode string", str(caught.value))


def test_a_forbidden_character_is_one_line_too(tmp_path):
    with pytest.raises(RecipeError, match="is no YAML") as caught:
        load_recipe(written(tmp_path, "data: \x01"))
    assert "\n" not in str(caught.value)


def test_a_key_in_the_wrong_section_is_found():
    with pytest.raises(RecipeError, match=r"Did you mean training\.epochs\?"):
        Recipe(data={"path": "a", "epochs": 3})


@pytest.mark.parametrize("text", ["[1, 2]", "", "data: [", "1: 2"])
def test_what_is_no_recipe(tmp_path, text):
    with pytest.raises(RecipeError, match=r"recipe\.yaml"):
        load_recipe(written(tmp_path, text))


def test_a_missing_file(tmp_path):
    with pytest.raises(RecipeError, match="can't be read"):
        load_recipe(tmp_path / "none.yaml")


def test_settings_are_typed_and_leave_the_recipe_alone():
    recipe = Recipe(data={"path": "a"})
    changed = with_settings(
        recipe,
        [
            "training.epochs=5",
            "data.patch=[64, 96]",
            "norm=batch@skip",
            "network.upsampling=nearest",
        ],
    )
    assert changed.training.epochs == 5
    assert changed.data.patch == (64, 96)
    assert changed.norm == "batch@skip"
    assert changed.network.options == {"upsampling": "nearest"}
    assert recipe == Recipe(data={"path": "a"})


@pytest.mark.parametrize("value", [list(range(1, 101)), "a long name " * 20 + "of a file", None])
def test_a_value_is_one_line_however_long(value):
    text = as_setting(value)
    assert "\n" not in text
    assert read_yaml(text) == value


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ("training.epochs", "key=value"),
        ("training.epochs=", "training.epochs"),
        ("training.epoch=3", "training.epochs"),
        ("norm.kind=batch", "norm"),
        ("data.patch=[", "no YAML"),
    ],
)
def test_wrong_settings(setting, message):
    with pytest.raises(RecipeError, match=message):
        with_settings(Recipe(data={"path": "a"}), [setting])


def test_differences_name_the_key():
    one = Recipe(data={"path": "a"}, out="here")
    two = with_settings(one, ["training.epochs=7", "out=there", "training.workers=1"])
    assert differences(one, two) == ["training.epochs is 7, was 40"]
    assert not differences(one, one)


def test_recipes_load_no_backend():
    code = "import sys, normwise.training.recipe; assert 'keras' not in sys.modules"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


@pytest.mark.parametrize("text", ["1e-3", "1E-3", "+1e-3", "10e-4", ".1e-2", "1.0e-3", "0.001"])
def test_numbers_are_written_as_people_do(text, tmp_path):
    told = with_settings(Recipe(data={"path": "d"}), [f"training.learning_rate={text}"])
    assert told.training.learning_rate == 0.001
    file = tmp_path / "recipe.yaml"
    file.write_text(f"data: {{path: d}}\ntraining: {{learning_rate: {text}}}\n")
    assert load_recipe(file).training.learning_rate == 0.001


@pytest.mark.parametrize("text", ["1e", "e-3", "1e-3x", "runs/1e-3"])
def test_what_is_no_number_stays_text(text):
    assert with_settings(Recipe(data={"path": "d"}), [f"out={text}"]).out == text


def test_paths_of_a_run_hold_in_any_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "first.keras").touch()
    for told, kept in (
        ("first.keras", str(tmp_path / "first.keras")),
        ("imagenet", "imagenet"),
        ("gone.keras", "gone.keras"),
        (None, None),
    ):
        network = {"name": "encoder", "weights": told}
        recipe = with_whole_path(Recipe(data={"path": "rivers"}, network=network))
        assert recipe.data.path == str(tmp_path / "rivers")
        assert recipe.network.options["weights"] == kept
    plain = with_whole_path(Recipe(data={"path": "rivers"}))
    assert plain.network.options == {}
