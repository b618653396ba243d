"""The healthy model files that are broken: hand-made ones, and those of Keras 2."""

from __future__ import annotations

import sys
import warnings
from pathlib import Path

FIXTURES = Path(__file__).parents[1] / "keras_format" / "fixtures"
SUFFIXES = (".keras", ".h5", ".json")
MEMBERS = (
    "nested_twice", "nested_in_nested", "nested_several_outputs", "sequential_in_functional",
    "dict_in_and_out", "operations", "slices", "channels_first", "residual_post", "residual_pre",
    "squeeze_excite", "one_dimension", "depthwise", "resizing", "space_to_depth", "prelu",
    "time_distributed", "all_norms", "frozen_and_mixed", "odd_names",
)  # fmt: skip
"""Of tests/zoo.py."""


def write(folder: Path, members: tuple[str, ...] = MEMBERS) -> None:
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


def read(folder: Path) -> list[tuple[str, bytes]]:
    """Suffix and bytes of each file, in an order that doesn't change."""
    return [(p.suffix, p.read_bytes()) for p in sorted(folder.iterdir()) if p.suffix in SUFFIXES]


if __name__ == "__main__":
    write(Path(sys.argv[1]))
