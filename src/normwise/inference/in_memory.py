"""The prediction of an image in memory by a model: as a whole, from several views of it."""

from typing import Any

import numpy.typing as npt

from normwise.inference.members import Member
from normwise.inference.mixtures import combined
from normwise.inference.tiled import predict_tiled
from normwise.inference.whole import Prediction, check_image, fixed_size_note

Values = npt.NDArray[Any]


def predict_member(member: Member, image: Values, mean_and_std: bool = False) -> Prediction:
    """The mean of a model's predictions of all views of an image.

    Args:
        member: The model with its views. One that was built for a smaller size gets tiles of it.
        image: As for `predict_whole`.
        mean_and_std: Whether the outputs are a mean and a standard deviation in turn.

    Returns:
        As `predict_whole`, of the image itself.

    Raises:
        NetworkError: If the image has another number of axes or channels than the model takes.
    """
    check_image(member.model, image.shape)
    size = image.shape[:-1]
    if fixed_size_note(member.model, size):
        return predict_tiled(member, image, member.whole(size), mean_and_std)
    each = (view.back(member.predict(view.of(image))) for view in member.views)
    return combined(each, mean_and_std)
