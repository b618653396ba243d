"""The choice of the backend."""

import importlib.util
import sys

import pytest

from normwise import backend
from normwise.errors import BackendMissingError


@pytest.fixture
def installed(monkeypatch):
    """Pretends that only these packages are installed."""

    def pretend(*packages: str) -> None:
        real = importlib.util.find_spec

        def find(name, *rest):
            if name in backend.PACKAGES.values():
                return object() if name in packages else None
            return real(name, *rest)

        monkeypatch.setattr(importlib.util, "find_spec", find)

    return pretend


@pytest.mark.parametrize(
    ("packages", "chosen"),
    [
        (("tensorflow", "jax", "torch"), "tensorflow"),
        (("jax", "torch"), "jax"),
        (("torch",), "torch"),
    ],
)
def test_the_first_installed_is_chosen(installed, monkeypatch, packages, chosen):
    monkeypatch.delenv("KERAS_BACKEND", raising=False)
    installed(*packages)
    assert backend.chosen_backend() == chosen


def test_no_backend_names_the_extra(installed, monkeypatch):
    monkeypatch.delenv("KERAS_BACKEND", raising=False)
    installed()
    with pytest.raises(BackendMissingError, match=r"normwise\[tensorflow\]"):
        backend.chosen_backend()


def test_a_named_backend_that_is_missing_names_its_extra(installed, monkeypatch):
    monkeypatch.setenv("KERAS_BACKEND", "jax")
    installed("tensorflow")
    with pytest.raises(BackendMissingError, match=r"normwise\[jax\]"):
        backend.chosen_backend()


def test_a_named_backend_wins(installed, monkeypatch):
    monkeypatch.setenv("KERAS_BACKEND", "torch")
    installed("tensorflow", "torch")
    assert backend.chosen_backend() == "torch"


def test_a_loaded_keras_decides(monkeypatch):
    import keras

    monkeypatch.setenv("KERAS_BACKEND", "anything")
    assert sys.modules["keras"] is keras
    assert backend.require_backend() == keras.backend.backend()
