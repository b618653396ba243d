"""Names that Keras made up are told from chosen ones, and counted anew."""

import pytest

from normwise.keras_format.names import as_in_a_new_session, made_up_base


@pytest.mark.parametrize(
    ("name", "class_name", "base"),
    [
        ("conv2d", "Conv2D", "conv2d"),
        ("conv2d_94", "Conv2D", "conv2d"),
        ("zero_padding2d_3", "ZeroPadding2D", "zero_padding2d"),
        ("batch_normalization_1", "BatchNormalization", "batch_normalization"),
        ("conv_1", "Conv2D", None),
        ("block1_conv2d", "Conv2D", None),
        ("", "Conv2D", None),
    ],
)
def test_made_up_names(name: str, class_name: str, base: str | None) -> None:
    assert made_up_base(name, class_name) == base


def test_counts_start_anew_in_the_old_order() -> None:
    names = ["conv2d_100", "stem", "conv2d_9", "add_2", "conv2d_11", "conv_3"]
    assert as_in_a_new_session(names, ["conv2d"]) == {
        "conv2d_100": "conv2d_2",
        "stem": "stem",
        "conv2d_9": "conv2d",
        "add_2": "add_2",
        "conv2d_11": "conv2d_1",
        "conv_3": "conv_3",
    }


def test_the_first_of_a_session_stay_as_they_are() -> None:
    names = ["conv2d", "conv2d_1", "conv2d_2"]
    assert as_in_a_new_session(names, ["conv2d"]) == {name: name for name in names}
