"""Imports go one way, nothing light imports Keras, and Keras' private names have one owner."""

import ast
import subprocess
import sys
from collections.abc import Iterator, Mapping
from functools import cache
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[1] / "src" / "normwise"

MAY_IMPORT: Mapping[str, frozenset[str]] = {
    "errors": frozenset(),
    "samples": frozenset(),
    "leftovers": frozenset(),
    "files": frozenset({"errors", "leftovers"}),
    "json_files": frozenset({"errors", "files"}),
    "memory": frozenset(),
    "syntax_trees": frozenset(),
    "backend": frozenset({"errors", "syntax_trees"}),
    "environment": frozenset({"errors", "backend"}),
    "graph": frozenset({"errors"}),
    "keras_format": frozenset({"errors", "files", "graph", "memory"}),
    "norms": frozenset({"errors", "graph"}),
    "rules": frozenset({"errors", "graph", "norms"}),
    "surgery": frozenset({"errors", "graph", "keras_format", "norms"}),
    "networks": frozenset({"errors", "graph", "keras_format", "norms"}),
    "rasters": frozenset({"errors", "files", "syntax_trees"}),
    "data": frozenset({"errors", "files", "json_files", "rasters"}),
    "inference": frozenset(
        {"errors", "files", "backend", "graph", "keras_format", "rasters", "surgery"}
    ),
    "report": frozenset({"errors", "files", "graph", "norms"}),
    "training": frozenset(
        {"errors", "files", "keras_format", "norms", "networks", "surgery", "data", "inference"}
        | {"report", "distributed", "rules", "environment", "graph", "json_files", "memory"}
    ),
    "distributed": frozenset({"errors", "backend"}),
    "comparison": frozenset(
        {"errors", "files", "backend", "memory", "data", "rasters", "inference", "rules", "norms"}
        | {"keras_format", "graph", "training", "probes", "distributed", "json_files"}
        | {"environment"}
    ),
    "testing": frozenset({"errors", "norms", "rules", "workflows"}),
    "probes": frozenset({"errors", "graph", "keras_format", "rules", "surgery"}),
}
"""What each package may import; `workflows` may import all, `cli` only `workflows`."""

KERAS_FREE = ("errors", "files", "memory", "graph", "norms", "rules", "rasters", "data", "report")
KERAS_FREE += ("json_files", "samples", "leftovers")
KERAS_FREE_FILES = (
    "keras_format/archive.py",
    "keras_format/archive_file.py",
    "keras_format/bounds.py",
    "keras_format/compiled.py",
    "keras_format/config.py",
    "keras_format/file_bytes.py",
    "keras_format/hdf5.py",
    "keras_format/hdf5_messages.py",
    "keras_format/layer_config.py",
    "keras_format/legacy.py",
    "keras_format/live_compiled.py",
    "keras_format/plain_copy.py",
    "keras_format/plain_hdf5.py",
    "keras_format/references.py",
    "keras_format/weights_file.py",
    "keras_format/weights_member.py",
    "keras_format/wiring.py",
)
BACKENDS = frozenset({"keras", "tensorflow", "torch", "jax"})
PRIVATE = frozenset(
    {"_keras_history", "_inbound_nodes", "_nodes", "_nodes_by_depth", "_inputs_struct",
     "_outputs_struct", "_functional", "_operations", "_outbound_nodes", "_flatten_layers",
     "_remat_mode", "_losses", "_loss_ids", "_exclude_from_weight_decay",
     "_exclude_from_weight_decay_pattern"}
)  # fmt: skip


@cache
def statements(source: str) -> tuple[ast.Import | ast.ImportFrom, ...]:
    """The imports that a file makes at run time, wherever in it; type checking is left out."""
    tree = ast.parse(source)
    hidden = {
        id(part)
        for block in ast.walk(tree)
        if isinstance(block, ast.If) and "TYPE_CHECKING" in ast.dump(block.test)
        for part in ast.walk(block)
    }
    found = (node for node in ast.walk(tree) if isinstance(node, ast.Import | ast.ImportFrom))
    return tuple(node for node in found if id(node) not in hidden)


def imported(source: str) -> Iterator[str]:
    """Modules that a file imports at run time."""
    for node in statements(source):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif node.module:
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def needed(files: Mapping[str, str]) -> dict[str, set[str]]:
    """Which of some files each of them imports; of a package the files that are named.

    Args:
        files: Their sources by the names of their modules.
    """
    found: dict[str, set[str]] = {}
    for name, source in files.items():
        found[name] = set()
        for node in statements(source):
            if isinstance(node, ast.Import):
                names = {alias.name for alias in node.names}
            else:
                parts = {f"{node.module}.{alias.name}" for alias in node.names}
                names = parts if parts <= files.keys() else {*parts, str(node.module)}
            found[name] |= names & files.keys() - {name}
    return found


def circle(files: Mapping[str, str]) -> list[str]:
    """Files of which each imports the one before it, the last one the first; empty if none do."""
    try:
        TopologicalSorter(needed(files)).prepare()
    except CycleError as error:
        return error.args[1]
    return []


def own(modules: Iterator[str]) -> set[str]:
    """Names of normwise's packages among imported modules."""
    return {m.split(".")[1] for m in modules if m.startswith("normwise.")}


def sources(package: str) -> list[Path]:
    folder = PACKAGE / package
    return sorted(folder.rglob("*.py")) if folder.is_dir() else [PACKAGE / f"{package}.py"]


@pytest.mark.parametrize("package", MAY_IMPORT)
def test_imports_go_one_way(package):
    for path in sources(package):
        found = own(imported(path.read_text())) - {package}
        assert found <= MAY_IMPORT[package], f"{path} imports {found - MAY_IMPORT[package]}"


def test_no_files_import_each_other_in_a_circle():
    files = {}
    for path in PACKAGE.rglob("*.py"):
        parts = path.relative_to(PACKAGE.parent).with_suffix("").parts
        files[".".join(parts).removesuffix(".__init__")] = path.read_text()
    assert circle(files) == []


def test_a_circle_would_be_noticed():
    files = {"a": "", "a.b": "from a import c", "a.c": "def f():\n    from a.d import x", "a.d": ""}
    assert circle(files) == []
    assert set(circle({**files, "a.d": "import a.b"})) == {"a.b", "a.c", "a.d"}


def test_the_command_line_imports_workflows_and_what_it_prints():
    for path in sources("cli"):
        found = own(imported(path.read_text())) - {"cli", "__version__"}
        assert found <= {"workflows", "errors", "json_files", "memory"}, f"{path} imports {found}"


def test_every_package_is_in_the_table():
    packages = {
        p.stem for p in PACKAGE.iterdir() if p.suffix == ".py" or (p / "__init__.py").exists()
    }
    assert packages - {"__init__", "__main__"} == set(MAY_IMPORT) | {"workflows", "cli"}


@pytest.mark.parametrize("package", (*KERAS_FREE, "syntax_trees"))
def test_what_reads_files_never_imports_keras(package):
    for path in sources(package):
        tops = {module.split(".")[0] for module in imported(path.read_text())}
        assert not tops & BACKENDS, path


@pytest.mark.parametrize("name", KERAS_FREE_FILES)
def test_the_file_half_of_keras_format_never_imports_keras(name):
    tops = {module.split(".")[0] for module in imported((PACKAGE / name).read_text())}
    assert not tops & BACKENDS


def private_names(source: str) -> set[str]:
    """Keras' private names in a file: as attributes, and as text, such as for `getattr`."""
    nodes = list(ast.walk(ast.parse(source)))
    attributes = {node.attr for node in nodes if isinstance(node, ast.Attribute)}
    texts = {
        node.value
        for node in nodes
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
    }
    return (attributes | texts) & PRIVATE


def test_private_names_of_keras_stand_only_in_keras_format():
    for path in PACKAGE.rglob("*.py"):
        if path.parent.name != "keras_format":
            assert not private_names(path.read_text()), path


def test_the_reader_of_private_names_sees_texts():
    source = 'x._nodes\ngetattr(x, "_losses", None)\nsetattr(x, "_mine", x._own)\n'
    assert private_names(source) == {"_nodes", "_losses"}


def test_the_reader_of_imports_sees_hidden_ones():
    source = "def f():\n    from normwise.cli import app\n    import keras.ops\n"
    assert own(imported(source)) == {"cli"}
    assert "keras.ops" in set(imported(source))
    assert "keras" not in set(imported("if TYPE_CHECKING:\n    import keras\n"))


@pytest.mark.parametrize(
    "code",
    [
        "import normwise",
        "import normwise.cli.app",
        "import normwise; normwise.testing",
        "import normwise as nw; nw.errors.ExportError, nw.Journal(), nw.Run, nw.find_rate",
        "from normwise import *",
        "import normwise as nw; nw.NormPlan.parse('batch@skip')",
    ],
)
def test_starting_loads_no_backend(code):
    check = f"{code}\nimport sys; print(sorted({set(BACKENDS)!r} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", check], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_starting_check_sees_a_loaded_backend(tmp_path):
    (tmp_path / "keras.py").touch()  # the first on the path, and loaded at once
    check = f"import keras\nimport sys; print(sorted({set(BACKENDS)!r} & set(sys.modules)))"
    done = subprocess.run(
        [sys.executable, "-c", check], capture_output=True, text=True, check=True, cwd=tmp_path
    )
    assert "keras" in done.stdout
