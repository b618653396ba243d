"""The section `network` of a recipe: which network, and its own options."""

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

# The names in `networks.NETWORKS`, whose import loads a backend.
NetworkName = Literal["question", "unet", "residual", "attention", "nested", "encoder"]


class NetworkSettings(BaseModel):
    """Which network; further keys are the network's own options."""

    model_config = ConfigDict(extra="allow", frozen=True)

    name: NetworkName = Field(default="unet", description="the network")
    filters: int | tuple[int, ...] | None = Field(
        default=None,
        description="channels of the first level, or of each; null: the network's own",
    )
    depth: int | None = Field(
        default=None, ge=1, description="down-sampling steps; null: the network's own"
    )
    input_residual: bool = Field(
        default=False,
        description="predict what a linear function of the input leaves of the target",
    )

    @property
    def options(self) -> dict[str, Any]:
        """The network's own options, those that are no setting of every network."""
        return dict(self.model_extra or {})
