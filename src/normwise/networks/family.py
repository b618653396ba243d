"""What the U-Nets have in common: the options of each, how they are checked, begun and finished."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, final

from normwise.networks.blocks import Style, check_supervision, heads
from normwise.networks.placer import Placer
from normwise.networks.sizes import check_activation, check_input, check_positive, widths_of
from normwise.networks.spatial import Spatial, check_upsampling
from normwise.norms.plan import NormPlan


@final
@dataclass(frozen=True)
class Options:
    """The options that `unet`, `residual`, `attention` and `nested` share.

    Attributes:
        network: The network's name, for errors and for the model.
        filters: Channels of the first level, doubled at each further one, or those of each level.
        depth: Number of down-sampling steps.
        upsampling: One of `spatial.UPSAMPLING`.
        activation: Activation of the hidden layers.
        deep_supervision: Whether there are heads beside the main one.
    """

    network: str
    filters: int | Sequence[int]
    depth: int
    upsampling: str
    activation: str
    deep_supervision: bool

    def widths(self, shape: Sequence[int | None], outputs: int) -> tuple[int, ...]:
        """Channels of each level, once the options and the input are known to be possible.

        Args:
            shape: Spatial sizes, None for any, then channels.
            outputs: Channels of the output.

        Raises:
            NetworkError: An option that can't be.
        """
        check_positive(self.network, outputs=outputs, depth=self.depth)
        widths = widths_of(self.network, self.filters, self.depth)
        check_input(self.network, shape, 2**self.depth)
        check_activation(self.network, "activation", self.activation)
        check_upsampling(self.network, shape, self.upsampling)
        check_supervision(self.network, self.deep_supervision, self.depth)
        return widths

    def style(
        self, shape: Sequence[int | None], plan: NormPlan, reasons: Mapping[str, str]
    ) -> Style:
        """What all layers have in common.

        Args:
            shape: Spatial sizes, then channels.
            plan: The norm plan.
            reasons: Why positions may be missing in this network; see `Placer`.
        """
        return Style(
            Spatial(len(shape) - 1), Placer(plan, reasons), self.activation, self.upsampling
        )

    def model(self, style: Style, inputs: Any, levels: Sequence[Any], outputs: int) -> Any:
        """The network from its input to its heads, once every position of the plan was found.

        Args:
            style: Of its layers.
            inputs: The input.
            levels: The tensors that heads read, the finest first.
            outputs: Channels of each head.

        Raises:
            PlanError: A position of the plan that the network doesn't have.
        """
        import keras  # noqa: PLC0415 - plans and files are handled without a backend

        made = heads(style, levels, outputs, self.deep_supervision)
        style.placer.finish()
        return keras.Model(inputs, made, name=self.network)


def begin(style: Style, shape: Sequence[int | None], statistics: Any) -> tuple[Any, Any]:
    """The input, and what the first layer reads: the same, normalized where the plan says so.

    Args:
        style: Of the layers.
        shape: Spatial sizes, then channels.
        statistics: (mean, variance) of each channel for `standardize@input`.
    """
    import keras  # noqa: PLC0415 - plans and files are handled without a backend

    inputs = keras.Input(tuple(shape), name="input")
    return inputs, style.placer.input(inputs, statistics)
