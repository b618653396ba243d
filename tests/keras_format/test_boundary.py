"""Files are read where neither Keras nor a backend can be imported."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.zoo import ZOO, built

BLOCKED = ("keras", "tensorflow", "tf_keras", "jax", "torch", "numpy")
FIXTURES = Path(__file__).parent / "fixtures"

READ = """
from normwise.graph.flatten import flatten
from normwise.graph.parameters import total_parameters
from normwise.graph.regions import layout_of
from normwise.keras_format import read_graph
from normwise.norms import infer_plan
for path in sys.argv[1:]:
    graph = read_graph(path)
    layout_of(graph), total_parameters(flatten(graph))
    print(graph.name, len(flatten(graph).nodes), infer_plan(graph))
"""


def run(code: str, *arguments: object, blocked: tuple[str, ...] = BLOCKED) -> tuple[int, str]:
    """Runs code in a process where the blocked packages can't be imported."""
    start = f"import sys\nfor name in {blocked!r}: sys.modules[name] = None\n"
    command = [sys.executable, "-c", start + code, *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return done.returncode, done.stdout + done.stderr


def test_files_are_read_without_keras(tmp_path: Path) -> None:
    paths = [FIXTURES / "operations.json", FIXTURES / "nested.json"]
    for name in ("nested_twice", "operations", "channels_first", "all_norms"):
        paths.append(tmp_path / f"{name}.keras")
        built(name).save(paths[-1])
    code, output = run(READ, *paths)
    assert code == 0, output
    assert len(output.splitlines()) == len(paths)
    assert "nested_twice 10" in output


@pytest.mark.filterwarnings("ignore:You are saving your model as an HDF5")
def test_hdf5_needs_h5py_and_no_keras() -> None:
    needed = tuple(name for name in BLOCKED if name != "numpy")  # h5py needs it
    code, output = run(READ, FIXTURES / "nested.h5", FIXTURES / "sequential.h5", blocked=needed)
    assert code == 0, output


CHECK = """
from normwise.workflows.check import check
for path in sys.argv[1:]:
    print(*sorted({finding.name for finding in check(path).findings}))
"""


@pytest.mark.filterwarnings("ignore:You are saving your model as an HDF5")
def test_files_are_checked_with_their_weights_by_python_alone(tmp_path: Path) -> None:
    model, paths = ZOO["residual_post"](), [tmp_path / "m.keras", tmp_path / "m.h5"]
    for norm in model.layers:
        if norm.__class__.__name__ == "BatchNormalization":
            norm.gamma.assign(norm.gamma * 2)
    for path in paths:
        model.save(path)
    code, output = run(CHECK, *paths, blocked=(*BLOCKED, "h5py"))
    assert code == 0, output
    assert output.count("untouched-statistics") == 2


def test_importing_loads_no_backend() -> None:
    code, output = run(
        "import normwise.keras_format, normwise.norms, normwise.networks, normwise.graph.regions\n"
        "assert not {'keras', 'tensorflow', 'jax', 'torch', 'h5py', 'numpy'} & "
        "{name for name, module in sys.modules.items() if module is not None}",
    )
    assert code == 0, output


def test_the_block_blocks() -> None:
    for name in BLOCKED:
        code, output = run(f"import {name}")
        assert code != 0 and "ModuleNotFoundError" in output
    code, output = run("from normwise.networks import build\nbuild('unet', (16, 16, 3))")
    assert code != 0 and "ModuleNotFoundError" in output


def test_the_zoo_is_not_empty() -> None:
    assert len(ZOO) > 30
