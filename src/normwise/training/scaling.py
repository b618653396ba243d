"""How a recipe and a model say that images are scaled one by one, by their percentiles."""

from typing import Any

from normwise.data.scaling import Percentiles
from normwise.errors import DataError, RecipeError
from normwise.training.data_settings import DataSettings


def scaling_of(settings: DataSettings) -> Percentiles | None:
    """The scaling of each image that a recipe asks for, None for statistics of the data set.

    Raises:
        RecipeError: If its percentiles are none.
    """
    if settings.scaling == "per-channel":
        return None
    try:
        return Percentiles(*settings.percentiles)
    except DataError as error:
        raise RecipeError(f"data.percentiles: {error}") from None


def scaling_of_model(model: Any) -> Percentiles | None:
    """The scaling of each image that a live model needs before it, by the name of its input."""
    names = [tensor.name for tensor in model.inputs]
    return Percentiles.of_input(names[0]) if len(names) == 1 else None


def name_input(network: Any, scaling: Percentiles | None) -> None:
    """Writes into a model which scaling its images need; the name goes wherever the model goes.

    Args:
        network: A live model with one input; only its name is changed.
        scaling: The scaling, None to leave the name.
    """
    if scaling is None:
        return
    (tensor,) = network.inputs
    network.get_layer(tensor.name).name = scaling.input_name
    # A live model is asked by its tensor, a file names its layers.
    tensor.name = scaling.input_name
