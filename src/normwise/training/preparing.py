"""What a run is made of before anything is trained: its data, its network, its learning rate."""

import logging
from dataclasses import dataclass, replace
from pathlib import Path

import keras

from normwise.data.augmentation import Augmentation
from normwise.data.class_sampling import Sampling
from normwise.data.dataset import Dataset
from normwise.data.folder import open_dataset
from normwise.data.loading import PatchBatches
from normwise.data.relations import relations
from normwise.data.statistics import ChannelStatistics, channel_statistics
from normwise.distributed.processes import agreed
from normwise.keras_format.stride import strides_of
from normwise.training.determinism import seed_run
from normwise.training.evaluate import output_of
from normwise.training.first_weights import draw_by_name
from normwise.training.loading import Batch
from normwise.training.loss_settings import distribution_of
from normwise.training.losses.expression import DEFAULTS
from normwise.training.network import build_network
from normwise.training.output import Output, regression_output
from normwise.training.pictures import draw_curve
from normwise.training.rate_finder import RateCurve, find_rate
from normwise.training.recipe import Recipe, load_recipe
from normwise.training.residual import with_input_residual
from normwise.training.resolve import resolve
from normwise.training.run_files import RATES, RECIPE
from normwise.training.sampling import sampling_of
from normwise.training.scaling import scaling_of

log = logging.getLogger("normwise.training")


@dataclass(frozen=True)
class Parts:
    """What a run is made of, before anything is trained.

    Args:
        recipe: The recipe with every choice made.
        dataset: Its data.
        images: Statistics of the training images.
        output: What the network's output means.
        network: The network with its first weights.
    """

    recipe: Recipe
    dataset: Dataset
    images: ChannelStatistics
    output: Output
    network: keras.Model


def opened(recipe: Recipe) -> Dataset:
    """The data of a recipe, split as its training sees them.

    Raises:
        DataError: If the data folder can't be used, with every problem.
    """
    data = recipe.data
    return open_dataset(
        data.path,
        labels=data.labels,
        bands=data.bands,
        targets=data.targets,
        validation=data.validation,
        fold=data.fold,
        seed=recipe.training.seed,
    )


def parts_of(recipe: Recipe) -> Parts:
    """Opens the data and builds the network of a recipe.

    Raises:
        DataError: If the data folder can't be used, with every problem.
        RecipeError: If a setting doesn't suit the data or the network.
    """
    dataset = replace(opened(recipe), scaling=scaling_of(recipe.data))
    images = channel_statistics(dataset, "train", of="images")
    output = _output(recipe, dataset)
    seed_run(recipe.training.seed)
    network = build_network(recipe, dataset.channels, output.channels, images, dataset.dimensions)
    if recipe.training.weights_by_name:
        draw_by_name(network, recipe.training.seed)
    if recipe.network.input_residual:
        fit_of_input = relations(dataset, "train").linear_fit()
        network = with_input_residual(network, fit_of_input, images, output)
    recipe = resolve(recipe, dataset, strides_of(network))
    return Parts(recipe, dataset, images, output, network)


def try_rates(parts: Parts) -> RateCurve:
    """Tries learning rates on the training data; nothing is changed.

    Raises:
        RunError: If the loss falls at no rate.
    """

    def prepare(batch: Batch) -> Batch:
        return batch[0], parts.output.scaled(batch[1]), batch[2]

    sampling = sampling_of(parts.recipe, parts.dataset)
    with training_batches(parts.recipe, parts.dataset, parts.images, sampling) as batches:
        return find_rate(parts.network, batches, parts.recipe, prepare)


def with_rate(parts: Parts, folder: Path, resume: bool) -> Recipe:
    """The recipe with a number for `auto`: what a trial finds, or what the resumed run found."""
    recipe = parts.recipe
    if recipe.training.learning_rate != "auto":
        return recipe
    if resume and (folder / RECIPE).exists():
        rate = load_recipe(folder / RECIPE).training.learning_rate
    else:
        curve = try_rates(parts)
        rate = agreed({"rate": curve.suggestion})["rate"]
        draw_curve(curve, folder / RATES)
        log.info("learning rate %g, found by a trial of %d steps", rate, len(curve.losses))
    training = recipe.training.model_copy(update={"learning_rate": rate})
    return recipe.model_copy(update={"training": training})


def _output(recipe: Recipe, dataset: Dataset) -> Output:
    output = output_of(dataset)
    if output.task == "segmentation":
        return output
    labels = channel_statistics(dataset, "train", of="labels")
    loss = recipe.training.loss or DEFAULTS["regression"]
    return regression_output(
        output.names,
        labels.mean.tolist(),
        labels.variance.tolist(),
        distribution_of(loss, recipe.training.loss_options),
    )


def patch_of(recipe: Recipe) -> tuple[int, ...]:
    """The patch of a resolved recipe, along each axis."""
    assert recipe.data.patch is not None
    return recipe.data.patch


def training_batches(
    recipe: Recipe, dataset: Dataset, images: ChannelStatistics, sampling: Sampling | None
) -> PatchBatches:
    """The patches that a resolved recipe trains on."""
    return PatchBatches(
        dataset,
        "train",
        patch_of(recipe),
        recipe.training.batch_size,
        fill=images.mean,
        std=images.std,
        seed=recipe.training.seed,
        augmentation=Augmentation(**recipe.data.augmentation.model_dump()),
        sampling=sampling,
        steps=recipe.training.steps,
    )
