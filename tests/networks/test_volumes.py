"""Every network but the question's builds volumes of three spatial axes and their plans."""

import numpy as np
import pytest

from normwise.errors import NetworkError
from normwise.networks import build, stride_of


@pytest.mark.backends
def test_a_unet_of_volumes_runs_at_any_size_of_its_stride() -> None:
    model = build("unet", (None, None, None, 2), 3, filters=2, depth=2)
    made = model.predict_on_batch(np.ones((1, 4, 8, 12, 2), "float32"))
    assert made.shape == (1, 4, 8, 12, 3) and made.dtype == np.float32
    assert stride_of(model) == 4


def test_the_question_is_for_images() -> None:
    with pytest.raises(NetworkError, match=r"question: .*expected \(height, width, channels\)"):
        build("question", (64, 64, 64, 1))


def test_volumes_are_not_interpolated_linearly() -> None:
    with pytest.raises(NetworkError, match=r"nearest voxel alone.*upsampling='nearest'"):
        build("unet", (8, 8, 8, 1), depth=1, upsampling="bilinear")
