"""The healthy model files that are broken: hand-made ones, and those of Keras 2."""

from __future__ import annotations

import json
import sys
import warnings
from pathlib import Path
from typing import Any

FIXTURES = Path(__file__).parents[1] / "keras_format" / "fixtures"
SUFFIXES = (".keras", ".h5", ".json")
MEMBERS = (
    "nested_twice", "nested_in_nested", "nested_several_outputs", "sequential_in_functional",
    "dict_in_and_out", "operations", "slices", "channels_first", "residual_post", "residual_pre",
    "squeeze_excite", "one_dimension", "depthwise", "resizing", "space_to_depth", "prelu",
    "time_distributed", "all_norms", "frozen_and_mixed", "odd_names",
)  # fmt: skip
"""Of tests/zoo.py."""
JOINED = 130
"""Tensors in each of as many concatenations (see `wide_join`)."""


def write(folder: Path, members: tuple[str, ...] = MEMBERS, joined: int = JOINED) -> None:
    """Writes the models with Keras, each as `.keras`, `.h5` and `.json`, and copies Keras 2's."""
    from tests.zoo import built

    for name in members:
        model = built(name)
        (folder / f"{name}.json").write_text(model.to_json())
        for suffix in (".keras", ".h5"):
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # Keras advises against .h5
                try:
                    model.save(folder / f"{name}{suffix}")
                except ValueError:  # it can't write every model in this form
                    (folder / f"{name}{suffix}").unlink(missing_ok=True)
    for path in sorted(FIXTURES.iterdir()):
        if path.suffix in SUFFIXES and ".told" not in path.name:
            (folder / f"keras2_{path.name}").write_bytes(path.read_bytes())
    (folder / "wide_join.json").write_text(wide_join(joined))


def wide_join(count: int) -> str:
    """As many concatenations as tensors that each reads raw, beside the norms of these tensors.

    A small file in which everything is said of each pair would take long to check.
    """
    layers = [_layer("InputLayer", "i", [], batch_input_shape=[None, 8, 8, 1])]
    conv = {"filters": 1, "kernel_size": [1, 1], "data_format": "channels_last"}
    taps, norms, joins = ([f"{kind}{k}" for k in range(count)] for kind in "tnc")
    layers += [_layer("Conv2D", tap, ["i"], **conv) for tap in taps]
    for tap, norm in zip(taps, norms, strict=True):
        layers.append(_layer("BatchNormalization", norm, [tap], axis=[3]))
    layers += [_layer("Concatenate", join, taps, axis=-1) for join in joins]
    layers.append(_layer("Concatenate", "all", [*joins, *norms], axis=-1))
    layers.append(_layer("Conv2D", "end", ["all"], **conv))
    ends = {"input_layers": [["i", 0, 0]], "output_layers": [["end", 0, 0]]}
    config = {"name": "m", "layers": layers, **ends}
    return json.dumps({"class_name": "Functional", "config": config, "keras_version": "2.15.0"})


def _layer(class_name: str, name: str, read: list[str], **config: Any) -> dict[str, Any]:
    """A layer as Keras 2 writes it."""
    calls = [[[layer, 0, 0, {}] for layer in read]] if read else []
    settings = {"name": name, **config}
    return {"class_name": class_name, "name": name, "config": settings, "inbound_nodes": calls}


def read(folder: Path) -> list[tuple[str, bytes]]:
    """Suffix and bytes of each file, in an order that doesn't change."""
    return [(p.suffix, p.read_bytes()) for p in sorted(folder.iterdir()) if p.suffix in SUFFIXES]


if __name__ == "__main__":
    write(Path(sys.argv[1]))
