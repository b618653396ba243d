"""What the outputs of a regression say about each target: a value, quantiles, or a normal law.

This file imports no Keras.
"""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Final, Self

import numpy as np
import numpy.typing as npt

Values = npt.NDArray[Any]

MEAN_AND_STD: Final = "target_mean_and_std"
VALUES: Final = "target_units"
_QUANTILES: Final = re.compile(r"target_quantiles((?:_0p\d+)+)")


@dataclass(frozen=True)
class Distribution:
    """What stands for each target; the outputs of the first target come first.

    Args:
        quantiles: Levels between 0 and 1, ascending, one output each; empty for none.
        gaussian: Whether a mean and a standard deviation stand for each target.
    """

    quantiles: tuple[float, ...] = ()
    gaussian: bool = False

    @classmethod
    def of_layers(cls, names: Iterable[str]) -> Self:
        """What a finished model gives, by the names of its layers, wherever its file is."""
        for name in names:
            if name == MEAN_AND_STD:
                return cls(gaussian=True)
            if found := _QUANTILES.fullmatch(name):
                levels = found[1].removeprefix("_").split("_")
                return cls(tuple(float(level.replace("p", ".")) for level in levels))
        return cls()

    @property
    def layer_name(self) -> str:
        """The name of a finished model's last layer, such as `target_quantiles_0p1_0p5_0p9`."""
        if self.gaussian:
            return MEAN_AND_STD
        if self.quantiles:
            levels = (np.format_float_positional(level, trim="-") for level in self.quantiles)
            return "target_quantiles_" + "_".join(level.replace(".", "p") for level in levels)
        return VALUES

    @property
    def single(self) -> bool:
        """Whether one value stands for each target."""
        return not (self.quantiles or self.gaussian)

    @property
    def outputs(self) -> int:
        """Outputs for each target."""
        return 2 if self.gaussian else max(1, len(self.quantiles))

    def names(self, targets: Sequence[str]) -> tuple[str, ...]:
        """The names of all outputs, such as `DAPI q0.1` or `DAPI std`."""
        if self.single:
            return tuple(targets)
        endings = ("mean", "std") if self.gaussian else [f"q{level:g}" for level in self.quantiles]
        return tuple(f"{target} {ending}" for target in targets for ending in endings)

    def of_each_target(self, values: Values) -> Values:
        """Outputs (..., targets x outputs) as (..., targets, outputs)."""
        targets = values.shape[-1] // self.outputs
        return values.reshape(*values.shape[:-1], targets, self.outputs)

    def point(self, values: Values) -> Values:
        """One value for each target, (..., targets): mean, median, or the quantile nearest to it.

        Args:
            values: Finished outputs, shape (..., targets x outputs).
        """
        nearest = int(np.argmin(np.abs(np.array(self.quantiles or (0.5,)) - 0.5)))
        return self.of_each_target(values)[..., 0 if self.gaussian else nearest]


SINGLE: Final = Distribution()
"""One value for each target."""
