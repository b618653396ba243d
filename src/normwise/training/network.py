"""The network of a recipe, with the scaling of its input inside."""

import keras

from normwise.data.statistics import ChannelStatistics
from normwise.errors import RecipeError
from normwise.networks import build, options_of
from normwise.training.network_settings import NetworkSettings
from normwise.training.recipe import Recipe
from normwise.training.recipe_problems import join_problems, nearest_key
from normwise.training.resolve import plan_of_recipe
from normwise.training.scaling import name_input, scaling_of


def build_network(
    recipe: Recipe,
    channels: int,
    outputs: int,
    images: ChannelStatistics,
    dimensions: int = 2,
) -> keras.Model:
    """Builds the recipe's network for images of any size.

    Args:
        recipe: Network and norm plan; the plan is given a scaled input unless it has one.
        channels: Image channels.
        outputs: Channels of its linear output.
        images: Statistics of the training images, in raw pixel values.
        dimensions: 2 for images, 3 for volumes.

    Returns:
        A model from raw pixel values, or from images scaled by percentiles as its input is then
        named, to a linear output.

    Raises:
        RecipeError: If there is no such network, or it has no such option.
        NetworkError: If the network can't be built with these options.
        PlanError: If the plan can't hold in this network.
    """
    plan, network = plan_of_recipe(recipe), recipe.network
    _refuse_unknown(network)
    # A constant channel has nothing to scale; a variance of 0 would make it infinite.
    variance = [value if value > 0 else 1.0 for value in images.variance.tolist()]
    statistics = (images.mean.tolist(), variance) if plan.input_kind == "standardize" else None
    built: keras.Model = build(
        network.name,
        (*[None] * dimensions, channels),
        outputs,
        plan,
        filters=network.filters,
        depth=network.depth,
        input_statistics=statistics,
        **network.options,
    )
    name_input(built, scaling_of(recipe.data))
    return built


def _refuse_unknown(network: NetworkSettings) -> None:
    known = [f"network.{name}" for name in options_of(network.name)]
    given = [*network.options, *(["depth"] if network.depth is not None else [])]
    problems = [
        f"network.{name}: unknown option of {network.name} (network.name). "
        f"{nearest_key(f'network.{name}', known)}"
        for name in given
        if f"network.{name}" not in known
    ]
    if problems:
        raise RecipeError(join_problems("The recipe", problems))
