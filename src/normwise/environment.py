"""Versions and backends, without loading any of them."""

import os
import platform
from importlib.metadata import PackageNotFoundError, version

import normwise
from normwise.backend import chosen_backend
from normwise.errors import BackendMissingError

PACKAGES = ("keras", "tensorflow", "tensorflow-cpu", "jax", "torch", "numpy", "rasterio")
OPTIONAL = ("openvino", "onnxruntime", "onnx", "tf2onnx", "ray")
"""What computes a prediction in Keras' place, or elsewhere."""
MISSING = "not installed"


def environment() -> dict[str, str]:
    """Versions by name; packages that aren't installed say so."""
    facts = {"normwise": normwise.__version__, "python": platform.python_version()}
    facts["platform"] = f"{platform.system()} {platform.machine()}, {os.cpu_count()} processors"
    for package in (*PACKAGES, *OPTIONAL):
        try:
            facts[package] = version(package)
        except PackageNotFoundError:
            facts[package] = MISSING
    try:
        facts["backend"] = chosen_backend()
    except BackendMissingError as error:
        facts["backend"] = str(error)
    return facts


def installed() -> dict[str, str]:
    """The same without the packages that aren't installed."""
    return {name: said for name, said in environment().items() if said != MISSING}
