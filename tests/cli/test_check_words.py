"""What `normwise check` makes of its words: the user's modules, names with colons, options."""

import json
import sys

import pytest

from tests.commands import normwise

IMAGE = (None, 8, 8, 3)


def network(*named):
    """The configuration of a Sequential model, as `model.to_json()` writes it."""
    first = {"class_name": "InputLayer", "config": {"batch_shape": IMAGE, "name": "in"}}
    made = [{"class_name": kind, "config": config} for kind, config in named]
    config = {"name": "net", "layers": [first, *made]}
    return json.dumps({"class_name": "Sequential", "config": config})


def convolution(name):
    sizes = {"kernel_size": [3, 3], "strides": [1, 1], "dilation_rate": [1, 1], "groups": 1}
    config = {"name": name, "filters": 4, "padding": "same", "data_format": "channels_last"}
    return "Conv2D", config | sizes


def over_rows(name):
    return "BatchNormalization", {"name": name, "axis": 1}


@pytest.fixture
def desk(tmp_path, monkeypatch):
    """A working folder with a model whose one finding is an error."""
    monkeypatch.setattr(sys, "path", list(sys.path))
    layers = (
        convolution("conv"),
        over_rows("n:fire:"),
        ("ReLU", {"name": "relu"}),
        convolution("out"),
    )
    (tmp_path / "wrong.json").write_text(network(*layers))
    return tmp_path


@pytest.mark.parametrize(
    ("module", "code", "said"),
    [
        ("exits_0", "import sys; sys.exit(0)", "importing exits_0 failed: SystemExit: 0"),
        ("boom", "raise ValueError('bang')", "importing boom failed: ValueError: bang"),
        ("unclosed", "def make(:", "importing unclosed failed: SyntaxError"),
        ("exits_3", "def make(): raise SystemExit(3)", "calling it failed: SystemExit: 3"),
        ("three", "def make(): return 3", "expected a Keras model"),
        ("nothing", "", "has no attribute 'make'"),
    ],
)
def test_a_module_that_fails_is_named_and_the_others_are_checked(desk, module, code, said):
    (desk / f"{module}.py").write_text(code)
    done = normwise("check", f"{module}:make", "wrong.json", cwd=desk)
    assert done.returncode == 2
    assert f"Error: {module}:make: " in done.stderr and said in done.stderr
    assert "fault of normwise" not in done.stderr
    assert "wrong.json: 1 error" in done.stdout
    assert "2 models: 0 without a finding, 1 with findings, 1 not readable." in done.stdout


def test_an_imported_module_may_not_exit_either(desk):
    (desk / "registers.py").write_text("raise SystemExit")
    done = normwise("check", "wrong.json", "--import", "registers", cwd=desk)
    assert done.returncode == 2 and "--import registers: " in done.stderr


def test_what_runs_is_said(desk):
    done = normwise("check", "absent:make", "wrong.json", cwd=desk)
    assert done.stderr.startswith("Imports absent and calls absent:make, which runs their code.\n")
    assert "Imports" not in normwise("check", "wrong.json", cwd=desk).stderr
    help = " ".join(normwise("check", "--help").stdout.split())
    assert "Only package.module:callable imports and runs your code." in help


VERBS = {
    "check": (),
    "fold": ("-o", "out.keras"),
    "place": ("--norm", "none", "-o", "out.keras"),
    "recalibrate": ("--data", ".", "-o", "out.keras"),
    "show": (),
    "evaluate": (".",),
    "export": ("-o", "out", "--format", "savedmodel"),
    "predict": ("image.npy", "-o", "out.npy"),
}


@pytest.mark.parametrize("verb", VERBS)
def test_every_verb_says_whose_code_it_runs(desk, verb):
    (desk / "image.npy").write_bytes(b"")
    done = normwise(verb, "absent:make", *VERBS[verb], cwd=desk)
    lines = done.stderr.splitlines()
    assert lines[0] == "Imports absent and calls absent:make, which runs their code."
    assert done.returncode == 2 and len(lines) == 2


IMPORTING = ["check", "fold", "place", "recalibrate", "evaluate", "export", "predict"]


@pytest.mark.parametrize("verb", IMPORTING)
def test_an_imported_module_is_said_to_run(desk, verb):
    (desk / f"registers_{verb}.py").write_text("raise ValueError('bang')")
    done = normwise(verb, "wrong.json", *VERBS[verb], "--import", f"registers_{verb}", cwd=desk)
    assert done.stderr.startswith(f"Imports registers_{verb}, which runs its code.\n")
    assert "failed: ValueError: bang" in done.stderr and done.returncode == 2


def test_names_with_colons_are_no_pictures_and_lines_end_without_blanks(desk):
    done = normwise("check", "wrong.json", "absent:x:", cwd=desk)
    assert "wrong-axis  n:fire:" in done.stdout and "\n    n:fire: normalizes" in done.stdout
    assert "absent:x:: no such file" in done.stderr
    assert not [line for line in done.stdout.splitlines() if line != line.rstrip()]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--limit", "3"), "got limit without data"),
        (("--tile", "64", "--nodata", "0"), "got nodata, tile without data"),
        (("--training-data", "--bands", "0,1"), "got new_data, bands without data"),
        (("--fix", "-o", "out.keras", "--limit", "3"), "got limit without data"),
        (("--fix", "-o", "out.keras", "--data", "."), "--fix mends what the graph"),
        (("--optimizer", "adam"), "No such option: --optimizer"),
    ],
)
def test_what_would_do_nothing_is_refused(desk, words, said):
    done = normwise("check", "wrong.json", *words, cwd=desk)
    assert done.returncode == 2 and said in " ".join(done.stderr.split())
    assert done.stdout == ""


@pytest.mark.parametrize(
    ("words", "severity"),
    [((), "error"), (("--loss", "mse"), "error"), (("--loss", "cosine_similarity"), "warning")],
)
def test_the_loss_is_told_by_its_name(desk, words, severity):
    parts = (
        ("GlobalAveragePooling2D", {"name": "pool"}),
        ("Dense", {"name": "dense", "units": 4}),
        ("BatchNormalization", {"name": "norm", "axis": -1}),
    )
    (desk / "vector.json").write_text(network(convolution("conv"), *parts))
    done = normwise("check", "vector.json", *words, "--format", "json", cwd=desk)
    (one,) = json.loads(done.stdout)
    severities = {finding["name"]: finding["severity"] for finding in one["findings"]}
    assert severities["norm-on-output"] == severity


def test_a_folder_has_models_under_all_their_names(desk):
    whole = (desk / "wrong.json").read_text()
    (desk / "loud.JSON").write_text(json.dumps(json.loads(whole), indent=2))
    (desk / "CUT.KERAS").write_text("")
    for name, text in (("check.json", "{}"), ("list.json", "[1]"), ("adam.json", ADAM)):
        (desk / name).write_text(text)
    (desk / "folder.json").mkdir()
    done = normwise("check", ".", "--format", "json", cwd=desk)
    assert [one["source"] for one in json.loads(done.stdout)] == [
        "./CUT.KERAS",
        "./loud.JSON",
        "./wrong.json",
    ]


def test_a_folder_may_hold_data_and_an_environment(desk):
    h5py = pytest.importorskip("h5py")
    with h5py.File(desk / "train_data.h5", "w") as file:
        file["x"] = [1.0, 2.0]
    (desk / ".venv").mkdir()
    (desk / ".venv" / "broken.keras").write_text("")
    done = normwise("check", ".", "--format", "json", cwd=desk)
    assert [one["source"] for one in json.loads(done.stdout)] == ["./wrong.json"]
    alone = desk / "alone"
    alone.mkdir()
    (desk / "train_data.h5").rename(alone / "train_data.h5")
    for named, said in (("alone", "holds no model"), ("alone/train_data.h5", "or other data")):
        done = normwise("check", named, "--format", "json", cwd=desk)
        (one,) = json.loads(done.stdout)
        assert done.returncode == 2 and said in one["error"]
        assert (one["model"], one["worst"], one["findings"]) == (named, None, [])


@pytest.mark.parametrize("name", ["a" * 300, f"{'a' * 300}:build"])
def test_a_name_that_is_too_long_is_no_file(desk, name):
    done = normwise("check", name, cwd=desk)
    assert done.returncode == 2 and "fault of normwise" not in done.stderr
    assert "Error:" in done.stderr and "aaa" in done.stderr


def test_names_of_files_are_printed_without_what_a_terminal_obeys(desk):
    (desk / "wrong.json").rename(desk / "wr\x1b[31mong.json")
    done = normwise("check", ".", cwd=desk)
    assert "NW101" in done.stdout and "\x1b" not in done.stdout and "x1b[31m" in done.stdout


ADAM = '{"module": "keras.optimizers", "class_name": "Adam", "config": {}}'


def test_of_very_many_findings_of_a_rule_the_first_are_printed(desk):
    norms = [("BatchNormalization", {"name": f"n{i}", "axis": -1}) for i in range(62)]
    (desk / "many.json").write_text(network(convolution("c"), *norms, convolution("out")))
    few = normwise("check", "many.json", cwd=desk).stdout
    assert few.count("NW106") == 20 and "and 41 more of stacked-norm (-v shows them)" in few
    every = normwise("check", "many.json", "-v", cwd=desk).stdout
    assert every.count("NW106") == 61 and "more of stacked-norm" not in every
