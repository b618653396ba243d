"""The options that all U-Nets share are checked in one place, in the same words for each."""

import inspect

import pytest

from normwise.errors import NetworkError
from normwise.networks import NETWORKS, build
from normwise.networks.family import Options

FAMILY = ("unet", "residual", "attention", "nested")
SHARED = set(Options.__dataclass_fields__) - {"network"}


@pytest.mark.parametrize("network", FAMILY)
def test_each_takes_the_shared_options(network):
    parameters = inspect.signature(NETWORKS[network]).parameters
    assert set(parameters) >= SHARED
    usual = {name: parameters[name].default for name in SHARED}
    assert usual == {
        "filters": 32, "depth": 4, "upsampling": "transposed", "activation": "relu",
        "deep_supervision": False,
    }  # fmt: skip


@pytest.mark.parametrize("network", FAMILY)
@pytest.mark.parametrize(
    ("option", "value", "message"),
    [
        ("filters", 0, "filters is 0; expected a whole number above 0"),
        (
            "filters",
            [2, 4, 8],
            r"filters is \[2, 4, 8\]; expected one whole number above 0, or 2 of",
        ),
        ("depth", 0, "depth is 0; expected a whole number above 0"),
        ("upsampling", "cubic", "upsampling is 'cubic'; expected one of 'transposed'"),
        ("activation", "rellu", "activation is 'rellu', which is no Keras activation"),
        ("deep_supervision", "yes", "deep_supervision is 'yes'; expected true or false"),
        ("deep_supervision", True, "deep_supervision puts heads .* with depth 1 there is one"),
    ],
)
def test_each_refuses_in_the_same_words(network, option, value, message):
    options = {"depth": 1, option: value}
    with pytest.raises(NetworkError, match=f"{network}: {message}"):
        build(network, (None, None, 1), 1, **options)
