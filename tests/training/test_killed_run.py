"""A run that is really killed, and goes on in another process."""

import json
import subprocess
import sys
from pathlib import Path

import keras
import numpy as np
import pytest

from .killed_run import main

ROOT = Path(__file__).parents[2]


def start(folder, mode, settings):
    command = [sys.executable, "-m", "tests.training.killed_run", str(folder), mode]
    command.append(json.dumps(settings))
    return subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)


def weights(folder):
    with np.load(folder / "weights.npz") as archive:
        return [archive[name] for name in archive.files]


@pytest.mark.slow
@pytest.mark.skipif(keras.backend.backend() != "tensorflow", reason="bit-equal on TensorFlow")
def test_a_killed_run_ends_with_the_same_bits(tmp_path):
    """With all that a run may have to keep; without it, test_fit.py stops runs in one process."""
    settings = {"ema": 0.9, "clip_norm": 0.5, "accumulate": 3, "precision": "mixed_float16"}
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    whole.mkdir()
    parts.mkdir()
    main(whole, "straight", settings)
    killed = start(parts, "stuck", settings)
    for line in killed.stdout:
        if line.strip() == "2 2":
            killed.kill()
            break
    assert killed.wait(300) < 0
    assert not (parts / "weights.npz").exists()
    left = sorted(path.name for path in parts.rglob("*") if path.is_file())
    assert left == ["best.npz", "history.csv", "last.npz"]
    assert start(parts, "resume", settings).wait(300) == 0
    found, wanted = weights(parts), weights(whole)
    assert all(np.array_equal(a, b) for a, b in zip(found, wanted, strict=True))
    assert any(np.abs(a).max() > 0 for a in wanted)
