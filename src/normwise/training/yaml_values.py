"""Recipes and settings as YAML, with numbers as people write them."""

import re
from typing import Any

import yaml


class _Loader(yaml.SafeLoader):
    """YAML as PyYAML reads it, but that 1e-3 is a number, as in YAML 1.2, and no text."""


_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:float",
    re.compile(r"^[-+]?(\d+(\.\d*)?|\.\d+)[eE][-+]?\d+$"),
    list("-+.0123456789"),
)


def read_yaml(text: str) -> Any:
    """The value of a YAML text.

    Raises:
        yaml.YAMLError: If it is none, or asks for anything but plain values.
    """
    return yaml.load(text, Loader=_Loader)
