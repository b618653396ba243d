"""Two processes on one machine end as a single one does."""

import csv
import os
import socket
import subprocess
import sys

import keras
import numpy as np
import pytest

from normwise.rasters import write_raster

pytestmark = [
    pytest.mark.backends,
    pytest.mark.skipif(
        keras.backend.backend() != "jax", reason="keras.distribution works on JAX alone"
    ),
]
SETTINGS = (
    "data.patch=16", "network.filters=4", "network.depth=1", "training.epochs=2",
    "training.steps=3", "training.batch_size=4", "training.learning_rate=0.02",
    "training.ema=0.5", "norm=batch(momentum=0.8)@pre-activation",
)  # fmt: skip


@pytest.fixture(scope="module")
def stripes(tmp_path_factory):
    """Patches of very different brightness: a batch's halves have other statistics."""
    root, chance = tmp_path_factory.mktemp("stripes"), np.random.default_rng(0)
    for kind in ("images", "targets"):
        (root / kind).mkdir()
    for index, name in enumerate("abcde"):
        image = chance.normal(100 * (index + 1), 20, (16, 16, 2)).astype(np.float32)
        write_raster(root / "images" / f"{name}.npy", image)
        write_raster(root / "targets" / f"{name}.npy", 2 * image[..., :1])
    (root / "split.csv").write_text("name,split\na,train\nb,train\nc,train\nd,val\ne,test\n")
    return root


def start(data, out, *options, devices=1):
    settings = [word for setting in SETTINGS for word in ("--set", setting)]
    flags = f"--xla_force_host_platform_device_count={devices}"
    return subprocess.Popen(
        [sys.executable, "-m", "normwise", "train", str(data), "-o", str(out), *settings, *options],
        env={**os.environ, "KERAS_BACKEND": "jax", "XLA_FLAGS": flags},
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
    )  # fmt: skip


def finished(runs):
    """Their outputs; none of them is left behind."""
    try:
        texts = [run.communicate(timeout=300)[0] for run in runs]
    finally:
        for run in runs:
            run.kill()
    for run, text in zip(runs, texts, strict=True):
        assert run.returncode == 0, text
    return texts


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@pytest.fixture(scope="module")
def alone(stripes, tmp_path_factory):
    out = tmp_path_factory.mktemp("alone") / "run"
    finished([start(stripes, out)])
    return out


def history(folder):
    with (folder / "history.csv").open() as file:
        return [
            {k: float(v) for k, v in row.items() if "second" not in k}
            for row in csv.DictReader(file)
        ]


def assert_same(one, two):
    for first, second in zip(history(one), history(two), strict=True):
        for key, value in first.items():
            np.testing.assert_allclose(second[key], value, rtol=1e-4, atol=1e-5, err_msg=key)
    for name in ("last.npz", "best.npz"):
        with np.load(one / "checkpoints" / name) as a, np.load(two / "checkpoints" / name) as b:
            assert a.files == b.files
            moving = [key for key in a.files if "moving_" in key]
            assert moving
            for key in set(a.files) - {"state"}:
                np.testing.assert_allclose(a[key], b[key], rtol=1e-3, atol=1e-4, err_msg=key)


def test_two_processes_equal_one(stripes, alone, tmp_path):
    at = (
        "--on",
        "jax-distributed",
        "--coordinator",
        f"127.0.0.1:{free_port()}",
        "--processes",
        "2",
    )
    runs = [start(stripes, tmp_path / "run", *at, "--process", str(i)) for i in range(2)]
    finished(runs)
    assert_same(alone, tmp_path / "run")
    assert (tmp_path / "run" / "model.keras").exists()


def test_two_devices_of_one_process_equal_one(stripes, alone, tmp_path):
    finished([start(stripes, tmp_path / "run", "--on", "jax-distributed", devices=2)])
    assert_same(alone, tmp_path / "run")


def test_another_batch_is_another_run(stripes, alone, tmp_path):
    """The comparison would see it if each process trained on its own half."""
    finished([start(stripes, tmp_path / "run", "--set", "training.batch_size=2")])
    with pytest.raises(AssertionError):
        assert_same(alone, tmp_path / "run")
