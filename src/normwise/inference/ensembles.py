"""The prediction of an image in memory by a model: as a whole, from several views of it."""

from typing import Any

import keras
import numpy.typing as npt

from normwise.inference.members import Member, member_of
from normwise.inference.mixtures import combined
from normwise.inference.tiled import predict_tiled
from normwise.inference.views import Views
from normwise.inference.whole import Prediction, check_image, fixed_size_note

Values = npt.NDArray[Any]


def predict_views(
    model: keras.Model, image: Values, views: Views = "none", mean_and_std: bool = False
) -> Prediction:
    """Test-time augmentation: the mean of the predictions of an image's views.

    Args:
        model: As for `predict_whole`. One that was built for a smaller size gets tiles of it.
        image: As for `predict_whole`.
        views: Which flips and turns of the image are predicted. A model that was built for
            unequal sides takes no turned image, and gets flips.
        mean_and_std: Whether the outputs are a mean and a standard deviation in turn.

    Returns:
        As `predict_whole`, of the image itself.

    Raises:
        NetworkError: If the image has another number of axes or channels than the model takes.
        NormwiseError: If `views` is no such set.
    """
    check_image(model, image.shape)
    return predict_member(member_of(model, views), image, mean_and_std)


def predict_member(member: Member, image: Values, mean_and_std: bool = False) -> Prediction:
    """As `predict_views`, with a model whose tiling and views are known.

    Args:
        member: The model.
        image: As for `predict_whole`.
        mean_and_std: Whether the outputs are a mean and a standard deviation in turn.

    Raises:
        NetworkError: If the image has another number of axes or channels than the model takes.
    """
    check_image(member.model, image.shape)
    size = image.shape[:-1]
    if fixed_size_note(member.model, size):
        return predict_tiled(member, image, member.whole(size), mean_and_std)
    each = (view.back(member.predict(view.of(image))) for view in member.views)
    return combined(each, mean_and_std)
