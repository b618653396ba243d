"""The command line as a user calls it: exit codes, messages, whole processes where they count."""

import json
import os
import signal
import subprocess
import sys
import time

import keras
import numpy as np
import pytest

from normwise.files import write_text
from normwise.json_files import json_text
from normwise.rasters import read_raster, write_raster
from tests.commands import normwise, normwise_process


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """A data folder with two classes: bright is 1."""
    folder = tmp_path_factory.mktemp("data") / "discs"
    rng = np.random.default_rng(0)
    for name in ("a", "b", "c", "d"):
        mask = (rng.random((8, 8)) > 0.6).repeat(8, 0).repeat(8, 1)
        image = (rng.normal(100, 10, (64, 64, 3)) + 60 * mask[..., None]).clip(0, 255)
        (folder / "images").mkdir(parents=True, exist_ok=True)
        (folder / "masks").mkdir(exist_ok=True)
        write_raster(folder / "images" / f"{name}.png", image.astype(np.uint8))
        write_raster(folder / "masks" / f"{name}.png", mask[..., None].astype(np.uint8))
    (folder / "split.csv").write_text("name,split\na,train\nb,train\nc,val\nd,test\n")
    return folder


@pytest.fixture(scope="module")
def run(data, tmp_path_factory):
    """A run folder, trained by the command line."""
    out = tmp_path_factory.mktemp("runs") / "discs"
    done = normwise(
        "train", data, "-o", out, "--set", "network.filters=4", "--set", "network.depth=2",
        "--set", "training.epochs=3", "--set", "training.steps=8", "--set", "data.patch=32",
        "--set", "training.learning_rate=0.01",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "Run folder" in done.stdout
    return out


def test_help_names_every_verb():
    done = normwise_process("--help")
    assert done.returncode == 0
    for verb in ("show", "train", "evaluate", "predict", "demo", "env"):
        assert verb in done.stdout


def test_a_run_folder_is_complete(run):
    expected = {"recipe.yaml", "model.keras", "checkpoints", "history.csv", "metrics.json",
                "curves.png", "preview.png", "log.txt", "check.json"}  # fmt: skip
    assert expected <= {path.name for path in run.iterdir()}
    assert not [path for path in run.rglob("*") if ".part" in path.name]


def test_show_prints_where_normalization_stands(run, tmp_path):
    done = normwise("show", run, "-o", tmp_path / "net.svg", "--size", "64x64")
    assert done.returncode == 0, done.stderr
    assert "standardize@input,batch@pre-activation" in done.stdout
    assert "UN-NORMALIZED" not in done.stdout
    assert f"{8 * 64 * 64:,}" in done.stdout
    assert "<svg" in (tmp_path / "net.svg").read_text()


def test_show_as_json(run):
    done = normwise("show", run, "--format", "json", "-b", "2")
    table = json.loads(done.stdout)
    assert table["plan"] == "standardize@input,batch@pre-activation"
    assert table["stride"] == [4, 4]
    batch = [row for row in table["layers"] if row["batch"]]
    assert batch
    assert all(row["batch"] == 2 for row in batch)
    skips = [row["skip"] for row in table["layers"] if row["skip"]]
    assert len(skips) == 2
    assert all(skip.endswith("normalized pre-activation") for skip in skips)


def test_evaluate_prints_and_writes(run, data, tmp_path):
    done = normwise("evaluate", run, "-o", tmp_path / "metrics.json")
    assert done.returncode == 0, done.stderr
    values = json.loads((tmp_path / "metrics.json").read_text())["values"]
    assert values["iou"] > 0.5
    again = normwise(
        "evaluate", run, data, "--split", "val", "--labels", "masks", "--format", "json"
    )
    assert json.loads(again.stdout)["task"] == "segmentation"
    refused = normwise("evaluate", run, "-o", tmp_path / "metrics.json")
    assert refused.returncode == 2
    assert "exists already" in refused.stderr
    assert "--overwrite" in refused.stderr
    missing = normwise("evaluate", run, data, "--labels", "targets")
    assert "holds no `targets/`" in " ".join(missing.stderr.split())


def test_predict_any_size_and_a_folder(run, data, tmp_path):
    odd = np.random.default_rng(1).integers(0, 255, (37, 53, 3), dtype=np.uint8)
    write_raster(tmp_path / "odd.png", odd)
    done = normwise("predict", run, tmp_path / "odd.png", "-o", tmp_path / "odd.tif")
    assert done.returncode == 0, done.stderr
    probabilities = read_raster(tmp_path / "odd.tif")
    assert probabilities.shape == (37, 53, 1)
    assert 0 <= probabilities.min() <= probabilities.max() <= 1
    done = normwise("predict", run, data / "images", "-o", tmp_path / "all", "--classes")
    assert done.returncode == 0, done.stderr
    assert set(np.unique(read_raster(tmp_path / "all" / "a.png"))) <= {0, 1}
    assert len(list((tmp_path / "all").glob("*.png"))) == 4


def test_a_failed_file_does_not_stop_the_others(run, data, tmp_path):
    images = tmp_path / "images"
    images.mkdir()
    (images / "good.png").write_bytes((data / "images" / "a.png").read_bytes())
    (images / "cut.png").write_bytes((data / "images" / "a.png").read_bytes()[:200])
    done = normwise("predict", run, images, "-o", tmp_path / "out")
    assert done.returncode == 2
    assert "1 predicted, 1 failed" in done.stderr
    assert "cut.png" in done.stderr
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == [".normwise", "good.tif"]


def test_an_existing_run_is_not_overwritten(run, data):
    done = normwise("train", data, "-o", run)
    assert done.returncode == 2
    assert "holds a run already" in done.stderr


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("show", "missing.keras"), "no such file"),
        (("show", "."), "is it a run folder"),
        (("show", "nowhere.module:model"), "No module named"),
        (("train", "missing"), "no such recipe or data folder"),
        (("train", "missing", "--resume"), "no such recipe or data folder"),
        (("evaluate", "missing.keras", "."), "no such file"),
        (("train", "."), "is no data folder"),
        (("predict", "missing.keras", "missing.png", "-o", "x.tif"), "no such file"),
        (("show", "missing.keras", "--size", "big"), "for example 512"),
    ],
)
def test_unusable_input_is_one_clear_error(arguments, said, tmp_path):
    done = normwise(*arguments, cwd=tmp_path)
    assert done.returncode == 2
    assert said in " ".join(done.stderr.split())
    assert "Traceback" not in done.stderr
    assert len(done.stderr.strip().splitlines()) <= 3


def test_debug_shows_a_traceback(tmp_path):
    done = normwise("show", "missing.keras", "--debug", cwd=tmp_path)
    assert done.returncode == 2
    assert "Traceback" in done.stderr


def test_a_model_from_a_callable(tmp_path):
    (tmp_path / "mine.py").write_text(
        "import normwise as nw\n\n\ndef network():\n"
        "    return nw.build('unet', (32, 32, 2), 1, norm='instance@skip', filters=4, depth=2)\n"
    )
    done = normwise_process("show", "mine:network", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "instance@skip" in done.stdout


def test_env_as_json():
    facts = json.loads(normwise("env", "--format", "json").stdout)
    assert facts["keras"].startswith("3.")
    assert "python" in facts
    for name in ("openvino", "onnxruntime", "onnx", "tf2onnx", "ray"):
        assert facts[name] == "not installed" or facts[name][0].isdigit()


def test_without_any_backend_the_extra_is_named(tmp_path, data):
    # An import hook that hides the backends, in every process of this test.
    (tmp_path / "sitecustomize.py").write_text(
        "import sys\n"
        "import importlib.util\n"
        "real = importlib.util.find_spec\n"
        "hidden = ('tensorflow', 'jax', 'torch')\n"
        "importlib.util.find_spec = lambda n, p=None: None if n in hidden else real(n, p)\n"
    )
    path = os.pathsep.join([str(tmp_path), os.environ.get("PYTHONPATH", "")])
    done = normwise_process(
        "train", data, "-o", tmp_path / "run", KERAS_BACKEND="", PYTHONPATH=path
    )
    assert done.returncode == 2
    assert "normwise[tensorflow]" in done.stderr


def test_ctrl_c_says_how_to_go_on(data, tmp_path):
    out = tmp_path / "run"
    command = [sys.executable, "-m", "normwise", "train", str(data), "-o", str(out)]
    command += ["--set", "network.filters=4", "--set", "network.depth=1"]
    command += ["--set", "training.epochs=10000"]
    command += ["--set", "training.steps=2", "--set", "data.patch=32"]
    # A shell that runs the tests in the background lets its children ignore Ctrl-C.
    process = subprocess.Popen(
        command,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # noqa: PLW1509
    )
    waited = time.monotonic()
    while not (out / "checkpoints" / "last.npz").exists() and time.monotonic() - waited < 300:
        time.sleep(0.1)
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=300)
    assert process.returncode == 130
    assert f"normwise train {out} --resume" in said
    assert "Traceback" not in said


def test_brackets_in_names_are_printed(tmp_path):
    inputs = keras.Input((4,))
    dense = keras.layers.Dense(2, name="blk[bold]x")
    keras.Model(inputs, dense(inputs), name="m[x]").save(tmp_path / "m.keras")
    done = normwise("show", "m.keras", cwd=tmp_path)
    assert "blk[bold]x" in done.stdout
    assert "m[x]" in done.stdout


def test_an_unknown_backend_is_a_clear_error(data, tmp_path):
    done = normwise_process("train", data, "-o", tmp_path / "run", KERAS_BACKEND="foo")
    assert done.returncode == 2
    assert "tensorflow, jax, torch" in done.stderr


def test_folds_are_told_with_mean_and_spread(data, tmp_path, monkeypatch):
    """What is told of them; a command of docs/training.md trains some."""

    def train_chosen(recipe, *, out, **_):
        number = recipe.data.fold[0]
        write_text(out / "metrics.json", json_text({"values": {"iou": number / 4, "recall": 0.5}}))

    monkeypatch.setattr("normwise.workflows.cross_validation.train_chosen", train_chosen)
    small = ("network.filters=2", "network.depth=1", "training.epochs=1", "training.steps=1")
    settings = [word for text in (*small, "data.patch=16") for word in ("--set", text)]
    out = tmp_path / "folds"
    done = normwise("train", data, "--folds", "3", "-o", out, *settings)
    assert done.returncode == 0, done.stderr
    head = next(line for line in done.stdout.splitlines() if "metric" in line)
    assert head.split() == ["metric", "fold", "1", "fold", "2", "fold", "3", "mean", "spread"]
    row = next(line for line in done.stdout.splitlines() if "iou" in line)
    assert [float(word) for word in row.split()[1:]] == [0.25, 0.5, 0.75, 0.5, 0.25]
    assert "an ensemble for predict and evaluate" in done.stdout
    again = normwise("train", out, "--resume", "--format", "json")
    told = json.loads(again.stdout)
    assert [set(fold) for fold in told["per_fold"]] == [set(told["mean"])] * 3
    refused = normwise("train", data, "--folds", "3", "-o", out, *settings)
    assert refused.returncode == 2
    assert "--resume" in refused.stderr
    assert normwise("train", data, "--folds", "1").returncode == 2
