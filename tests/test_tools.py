"""What `make test-zoo` remembers holds only where nothing has changed that its tests depend on."""

import sys
from importlib import metadata
from pathlib import Path

import pytest

TOOLS = Path(__file__).parents[1] / "tools"
FILES = (
    "src/normwise/a.py",
    "tests/test_a.py",
    "constraints.txt",
    "pyproject.toml",
    "tools/zoo.py",
)


@pytest.fixture
def zoo(tmp_path, monkeypatch):
    """The tool, which is no package, in a checkout of few files."""
    monkeypatch.syspath_prepend(str(TOOLS))
    monkeypatch.delitem(sys.modules, "zoo", raising=False)
    import zoo

    for name in FILES:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(name)
    monkeypatch.setattr(zoo, "ROOT", tmp_path)
    yield zoo
    sys.modules.pop("zoo")


@pytest.mark.parametrize("name", FILES)
def test_a_change_in_a_file_is_another_state(zoo, name):
    before = zoo.state()
    assert zoo.state() == before
    (zoo.ROOT / name).write_text("changed")
    assert zoo.state() != before


def test_another_backend_is_another_state(zoo, monkeypatch):
    states = set()
    for backend in ("tensorflow", "jax", "torch"):
        monkeypatch.setenv("KERAS_BACKEND", backend)
        states.add(zoo.state())
    assert len(states) == 3
    monkeypatch.delenv("KERAS_BACKEND")
    assert zoo.versions()["backend"] == "tensorflow"  # what the tests take then


@pytest.mark.parametrize("package", ["keras", "numpy", "jaxlib"])
def test_another_version_is_another_state(zoo, package, monkeypatch):
    monkeypatch.setenv("KERAS_BACKEND", "jax")
    before, own = zoo.state(), metadata.version
    monkeypatch.setattr(metadata, "version", lambda name: "0" if name == package else own(name))
    assert zoo.state() != before
