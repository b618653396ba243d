"""Assertions for users' tests: what they fail for, and what they then say."""

import subprocess
import sys

import keras
import pytest
from keras import layers

import normwise as nw
from normwise.errors import CheckError, ModelReadError, PlanError
from normwise.testing import assert_no_findings, assert_plan


def chain(
    *, after=False, kind=layers.BatchNormalization, head=False, stray=False, scaled=False, axis=-1
):
    """Two convolutions, each with an activation and a norm, and a head."""
    inputs = keras.Input((16, 16, 3), name="in")
    x = layers.Normalization(mean=1.0, variance=4.0, name="scale")(inputs) if scaled else inputs
    for level in (1, 2):
        x = layers.Conv2D(4, 3, name=f"conv{level}")(x)
        norm = kind(name=f"norm{level}", **({} if axis == -1 else {"axis": axis}))
        relu = layers.ReLU(name=f"relu{level}")
        x = norm(relu(x)) if after else relu(norm(x))
    if stray:
        x = layers.BatchNormalization(name="stray")(layers.Conv2D(4, 3, name="linear")(x))
    x = layers.Conv2D(1, 1, name="out")(x)
    x = layers.BatchNormalization(name="head_norm")(x) if head else x
    return keras.Model(inputs, layers.Activation("sigmoid")(x), name="chain")


@pytest.fixture(scope="module")
def before():
    return chain()


def test_a_plan_that_holds(before, tmp_path):
    before.save(tmp_path / "model.keras")
    for model in (before, tmp_path / "model.keras", str(tmp_path / "model.keras")):
        assert assert_plan(model, "batch@pre-activation") is None
    assert_plan(before, nw.NormPlan.parse("batch@pre-activation"))
    assert_plan(before, "batch(momentum=0.99)@pre-activation")


@pytest.mark.parametrize("plan", ["batch@before-downsampling", "batch@encoder:post-activation"])
def test_every_plan_that_describes_the_network_holds(plan):
    # What plan_of prints is only one of them.
    assert_plan(nw.build("question", (64, 64, 9), norm=plan, filters=4, dropout=0.0), plan)


def test_the_message_says_what_departs():
    with pytest.raises(AssertionError) as failed:
        assert_plan(chain(after=True), "batch@pre-activation")
    lines = str(failed.value).splitlines()
    assert lines[:5] == [
        "model 'chain' does not follow the plan.",
        "  wanted: batch@pre-activation",
        "  found:  batch@post-activation",
        "  - norm1 does not stand before the activation of conv1, where it is wanted.",
        "  - norm2 does not stand before the activation of conv2, where it is wanted.",
    ]
    assert "normwise place" in lines[5]


@pytest.mark.parametrize(
    ("options", "plan", "said"),
    [
        ({}, "none", "norm1 is not in the plan."),
        ({}, "group(groups=2)@pre-activation", "norm1 is batch; wanted is group(groups=2)."),
        ({}, "batch(momentum=0.5)@pre-activation", "wanted is batch(momentum=0.5)."),
        ({}, "batch@pre-activation+post-activation", "nothing stands after relu1; wanted is"),
        ({"head": True}, "batch@pre-activation", "head_norm stands in the head, which the plan"),
        ({"scaled": True}, "batch@pre-activation", "scale scales the input, which the plan"),
        ({"stray": True}, "batch@pre-activation", "stray is outside of any plan: linear has no"),
        ({}, "batch@skip", "can't hold in this network: it has no place 'skip'."),
    ],
)
def test_what_departs(options, plan, said):
    with pytest.raises(AssertionError) as failed:
        assert_plan(chain(**options), plan)
    assert said in str(failed.value)


def test_what_may_stand_outside_of_a_plan():
    assert_plan(chain(stray=True), "batch@pre-activation", outside=["str*"])
    assert_plan(chain(head=True), "batch@pre-activation", outside=["head_norm"])
    assert_plan(chain(), "none", outside=["norm?"])
    with pytest.raises(AssertionError, match="norm2 is not in the plan"):
        assert_plan(chain(), "none", outside=["norm1"])
    with pytest.raises(AssertionError, match="stray is outside"):
        assert_plan(chain(stray=True), "batch@pre-activation", outside=["norm*"])


def test_a_placed_model_follows_its_plan():
    placed = nw.place(chain(after=True), "batch@pre-activation", keep_outputs=False).model
    assert_plan(placed, "batch@pre-activation")


def test_a_model_without_findings(before, tmp_path):
    before.save(tmp_path / "model.keras")
    for model in (before, tmp_path / "model.keras"):
        assert assert_no_findings(model) is None
        assert_no_findings(model, batch_size=16, at_least="error")


def test_findings_are_told_with_layers_reason_and_fix():
    with pytest.raises(AssertionError) as failed:
        assert_no_findings(chain(axis=1))
    lines = str(failed.value).splitlines()
    assert lines[0] == "model 'chain': 2 findings of warning or worse."
    assert lines[1] == "  error NW101 wrong-axis: norm1"
    assert lines[2].startswith("    norm1 normalizes axis 1 of")
    assert lines[4].startswith("    Fix (outputs change: train again): Set axis=-1 in norm1")


def test_severity_and_exceptions(before):
    with pytest.raises(AssertionError, match="NW102 redundant-bias: conv1, conv2"):
        assert_no_findings(before, at_least="info")
    assert_no_findings(before, at_least="info", ignore=["redundant-bias"])
    assert_no_findings(chain(axis=1), ignore=["wrong-axis:norm*"])
    with pytest.raises(AssertionError, match="1 finding of warning or worse"):
        assert_no_findings(chain(axis=1), ignore=["wrong-axis:norm1"])


def test_a_set_up_counts(before):
    with pytest.raises(AssertionError, match="NW201 tiny-batch"):
        assert_no_findings(before, batch_size=2)
    assert_no_findings(before, batch_size=2, at_least="error")


def test_what_the_project_allows_is_left_out(before, tmp_path, monkeypatch):
    (tmp_path / "pyproject.toml").write_text('[tool.normwise]\nignore = ["tiny-batch"]\n')
    monkeypatch.chdir(tmp_path)
    assert_no_findings(before, batch_size=2)


def test_misuse_is_told(before):
    with pytest.raises(PlanError, match="is no clause"):
        assert_plan(before, "batch normalization everywhere")
    with pytest.raises(CheckError, match="outside is 'norm'; expected a list"):
        assert_plan(before, "none", outside="norm")
    with pytest.raises(CheckError, match=r"ignore is 'wrong-axis'; expected a list: ignore=\["):
        assert_no_findings(before, ignore="wrong-axis")
    with pytest.raises(CheckError, match=r"at_least is 'warnings'.* Did you mean 'warning'"):
        assert_no_findings(before, at_least="warnings")
    with pytest.raises(CheckError, match="there is no rule 'wrong-axes'"):
        assert_no_findings(before, ignore=["wrong-axes"])
    with pytest.raises(ModelReadError, match="no such file"):
        assert_no_findings("gone.keras")
    with pytest.raises(CheckError, match=r"'bach_size' is no setting.* Did you mean 'batch_size'"):
        assert_no_findings(before, bach_size=8)


def test_files_are_judged_without_loading_keras(before, tmp_path):
    before.save(tmp_path / "model.keras")
    code = (
        "import normwise, sys\n"
        f"path = {str(tmp_path / 'model.keras')!r}\n"
        "normwise.testing.assert_no_findings(path, batch_size=8)\n"
        "normwise.testing.assert_plan(path, 'batch@pre-activation')\n"
        "print(sorted({'keras', 'tensorflow', 'jax', 'torch'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
