"""`normwise check` and `normwise explain`: many models, formats, exceptions, exit codes."""

import json
import re
import shutil

import keras
import pytest
from keras import layers

import normwise as nw
from normwise.cli.short import models_in
from tests.commands import normwise, normwise_process

WRONG = "wrong-axis"


@pytest.fixture(scope="module")
def desk(tmp_path_factory):
    """A folder with a healthy model, one with a norm on the wrong axis, and one cut short."""
    folder = tmp_path_factory.mktemp("desk")
    (folder / "models").mkdir()
    nw.build("unet", (None, None, 3), filters=4, depth=2).save(folder / "models" / "good.keras")
    inputs = keras.Input((8, 8, 3))
    x = layers.Conv2D(4, 3, padding="same", use_bias=False, name="conv")(inputs)
    x = layers.ReLU()(layers.BatchNormalization(axis=1, name="norm")(x))
    keras.Model(inputs, layers.Conv2D(1, 1)(x)).save(folder / "wrong.keras")
    whole = (folder / "wrong.keras").read_bytes()
    (folder / "cut.keras").write_bytes(whole[: len(whole) // 2])
    return folder


def test_a_healthy_model_exits_0(desk):
    done = normwise("check", "models/good.keras", cwd=desk)
    assert done.returncode == 0, done.stderr
    assert "models/good.keras: 2 info" in done.stdout


def test_an_error_exits_1_and_says_everything(desk):
    done = normwise("check", "wrong.keras", cwd=desk)
    assert done.returncode == 1
    text = " ".join(done.stdout.split())
    assert "error NW101 wrong-axis norm" in text
    assert "Fix (outputs change: train again)" in text
    evidence = normwise("check", "wrong.keras", "-v", cwd=desk).stdout
    assert len(evidence) > len(done.stdout)


@pytest.mark.parametrize(
    ("options", "code"),
    [
        (("wrong.keras", "--fail-on", "never"), 0),
        (("wrong.keras", "--ignore", WRONG), 0),
        (("wrong.keras", "--ignore", "NW101:nor*"), 0),
        (("wrong.keras", "--ignore", f"{WRONG}:other"), 1),
        (("models/good.keras", "--fail-on", "info"), 1),
        (("models/good.keras", "--fail-on", "warning"), 0),
        (("models", "wrong.keras"), 1),
        (("models", "cut.keras"), 2),
        ((".",), 2),
        (("gone.keras",), 2),
        (("wrong.keras", "--ignore", "wrong-axes"), 2),
    ],
)
def test_exit_codes(desk, options, code):
    assert normwise("check", *options, cwd=desk).returncode == code


def test_one_that_cannot_be_read_does_not_stop_the_others(desk):
    done = normwise("check", "cut.keras", "wrong.keras", "models", cwd=desk)
    assert "cut.keras" in done.stderr and "Traceback" not in done.stderr
    assert "wrong.keras: 1 error" in done.stdout
    assert "3 models: 0 without a finding, 2 with findings, 1 not readable." in done.stdout


def test_a_model_of_any_name_hides_no_other_one_in_its_folder(desk, tmp_path):
    shutil.copy(desk / "models" / "good.keras", tmp_path / "model.keras")
    alone = normwise("check", str(tmp_path))
    assert alone.returncode == 0 and f"{tmp_path}: 2 info" in "".join(alone.stdout.split("\n"))
    shutil.copy(desk / "wrong.keras", tmp_path / "other.keras")
    done = normwise("check", ".", cwd=tmp_path)
    assert done.returncode == 1
    assert "model.keras: 2 info" in done.stdout and "other.keras: 1 error" in done.stdout


def test_as_json(desk):
    done = normwise("check", "cut.keras", "wrong.keras", "--format", "json", cwd=desk)
    cut, wrong = json.loads(done.stdout)
    assert cut["error"] and cut["findings"] == [] and wrong["error"] is None
    assert (wrong["source"], wrong["worst"]) == ("wrong.keras", "error")
    assert {f["name"] for f in wrong["findings"]} >= {WRONG}
    assert set(wrong["findings"][0]) == {
        "code", "name", "severity", "layers", "message", "why", "evidence", "fix",
        "keeps_outputs", "mended_by",
    }  # fmt: skip


def test_as_sarif(desk):
    done = normwise("check", "cut.keras", "wrong.keras", "--format", "sarif", cwd=desk)
    log = json.loads(done.stdout)
    (run,) = log["runs"]
    assert log["version"] == "2.1.0" and run["tool"]["driver"]["name"] == "normwise"
    known = {rule["id"] for rule in run["tool"]["driver"]["rules"]}
    assert {result["ruleId"] for result in run["results"]} <= known
    first = run["results"][0]
    assert (first["ruleId"], first["level"]) == ("NW101", "error")
    (place,) = first["locations"]
    assert place["physicalLocation"]["artifactLocation"]["uri"] == "wrong.keras"
    assert place["logicalLocations"] == [{"fullyQualifiedName": "norm"}]
    (invocation,) = run["invocations"]
    assert invocation["executionSuccessful"] is False


def test_as_github_commands(desk):
    done = normwise("check", "wrong.keras", "cut.keras", "--format", "github", cwd=desk)
    lines = done.stdout.splitlines()
    assert lines[0].startswith("::error file=wrong.keras,title=NW101 wrong-axis::norm: ")
    assert all(re.match(r"::(error|warning|notice) file=[^,:]+,title=[^:]+::.+", x) for x in lines)
    assert lines[-1].startswith("::error file=cut.keras")


PROJECT = """
[[tool.normwise.allow]]
rule = "wrong-axis"
layers = "norm"
reason = "statistics for each row are meant here"
"""


def test_a_project_says_what_it_allows_and_why(desk, tmp_path):
    (tmp_path / "pyproject.toml").write_text(PROJECT)
    (tmp_path / "deep").mkdir()
    done = normwise("check", desk / "wrong.keras", "-v", cwd=tmp_path / "deep")
    assert done.returncode == 0
    assert "(1 allowed)" in done.stdout
    assert "statistics for each row are meant here" in done.stdout


@pytest.mark.parametrize(
    ("table", "said"),
    [
        ("[tool.normwise]\nallowed = []", "knows the keys ignore and allow"),
        ("[tool.normwise]\nignore = 3", "expected a list"),
        ("[tool.normwise]\nignore = ['wrong-axes']", "Did you mean wrong-axis"),
        ("[[tool.normwise.allow]]\nrule = 'wrong-axis'", "expected rule and reason"),
        ("[tool.normwise", "pyproject.toml"),
        ("tool = 3", "received tool = 3; expected a table"),
        ("[[tool.normwise.allow]]\nrule = 'NW101'\nlayers = ''\nreason = 'r'", "a pattern"),
    ],
)
def test_a_table_that_cannot_be_read(desk, tmp_path, table, said):
    (tmp_path / "pyproject.toml").write_text(table)
    done = normwise("check", desk / "wrong.keras", cwd=tmp_path)
    assert done.returncode == 2
    assert said in " ".join(done.stderr.split()) and "pyproject.toml" in done.stderr


def test_a_training_set_up_is_checked(desk):
    done = normwise("check", "models/good.keras", "--batch-size", "0", cwd=desk)
    assert done.returncode == 2


def test_rules_are_explained():
    listed = normwise("explain")
    assert listed.returncode == 0 and "NW101" in listed.stdout and WRONG in listed.stdout
    for name in (WRONG, "NW101"):
        page = normwise("explain", name)
        assert page.returncode == 0 and "Why is this bad" in page.stdout
    unknown = normwise("explain", "wrong-axes")
    assert unknown.returncode == 2 and "Did you mean wrong-axis" in unknown.stderr


@pytest.mark.parametrize("models", [["models"], ["wrong.keras", "cut.keras"], ["gone.keras"]])
def test_without_options_it_takes_a_short_way_and_says_the_same(desk, models, monkeypatch):
    short = normwise("check", *models, cwd=desk)
    monkeypatch.setattr("normwise.cli.short.models_in", lambda _: None)
    long = normwise("check", *models, cwd=desk)
    assert short.stdout == long.stdout and short.stderr == long.stderr
    assert short.returncode == long.returncode


def test_only_a_check_of_models_without_options_goes_short():
    assert models_in(["check", "a.keras", "b"]) == ["a.keras", "b"]
    others = (
        [],
        ["check"],
        ["check", "--help"],
        ["check", "a", "-v"],
        ["show", "a"],
        ["check", ""],
    )
    assert all(models_in(words) is None for words in others)


def test_names_that_a_terminal_cannot_write_are_written_out(tmp_path):
    name = "\x1b[2Ja\ud800é"
    made = [layers.Input((8, 8, 3), name="in"), layers.Conv2D(4, 3, name="named")]
    config = keras.Sequential([*made, layers.BatchNormalization(axis=1)]).to_json()
    (tmp_path / "odd.json").write_text(config.replace('"named"', json.dumps(name)))
    done = normwise_process("check", tmp_path / "odd.json", PYTHONIOENCODING="ascii")
    assert done.returncode == 1, done.stderr
    assert "\\x1b[2Ja\\ud800" in done.stdout and "\x1b" not in done.stdout
