"""Networks by name."""

import pytest

from normwise.errors import NetworkError, PlanError
from normwise.networks import NETWORKS, build, options_of
from tests.weightless import weightless


def test_networks_are_known_by_name() -> None:
    assert set(NETWORKS) >= {"question", "unet"}
    with pytest.raises(TypeError):
        NETWORKS["mine"] = build  # type: ignore[index]
    with pytest.raises(NetworkError, match="'vnet' is no network; known are question, unet"):
        build("vnet", (8, 8, 1))


def test_options_are_told() -> None:
    assert "decoder_activation" in options_of("question") and "upsampling" in options_of("unet")
    assert "norm" not in options_of("unet")
    assert "depth" in options_of("unet") and "depth" not in options_of("question")


def test_none_is_the_default() -> None:
    with_none = build("unet", (8, 8, 1), filters=2, depth=1, upsampling=None)
    without = build("unet", (8, 8, 1), filters=2, depth=1)
    assert with_none.count_params() == without.count_params()


def test_a_text_that_is_no_plan() -> None:
    with pytest.raises(PlanError, match="is no kind"):
        build("unet", (8, 8, 1), norm="bath@skip")


@weightless()
@pytest.mark.parametrize("network", sorted(NETWORKS))
def test_every_network_ends_linear_in_float32(network: str) -> None:
    model = build(network, (None, None, 4), 3, filters=2)
    assert model.output_shape == (None, None, None, 3) and model.output.dtype == "float32"
    assert model.layers[-1].activation.__name__ == "linear"
    assert model.name == network
