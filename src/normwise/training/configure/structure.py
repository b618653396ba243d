"""What is told of a network: which one takes the options, how deep it is, and its total stride."""

from functools import lru_cache
from typing import Any, Final

from normwise.keras_format.stride import stride_of
from normwise.networks import NETWORKS, build, options_of
from normwise.training.configure.situation import Chosen
from normwise.training.network_settings import NetworkSettings

_USUAL: Final = "unet"
# What they say of weights changes no size, and files or downloads are not for measuring.
_OF_WEIGHTS: Final = frozenset({"weights", "preprocessing", "frozen"})
_PER_LEVEL: Final = ("network.filters", "network.blocks")
"""Options that may have a number for each level."""


def own_options(chosen: Chosen) -> dict[str, Any]:
    """The options that are not every network's, by their names without `network.`."""
    told = {
        key.removeprefix("network."): chosen[key] for key in chosen if key.startswith("network.")
    }
    return {name: told[name] for name in told if name not in NetworkSettings.model_fields}


def network_for(chosen: Chosen) -> str | None:
    """The first network that takes all options that are told, None if there is none."""
    wanted = set(own_options(chosen)) | ({"depth"} if "network.depth" in chosen else set())
    names = (_USUAL, *NETWORKS)
    return next((name for name in names if wanted <= set(options_of(name))), None)


def has_free_depth(network: str) -> bool:
    """Whether the depth of a network can be chosen."""
    return "depth" in options_of(network)


def depth_told(chosen: Chosen) -> tuple[str, int] | None:
    """The depth that is told, with the key that tells it: itself, or a number for each level."""
    if (depth := chosen.get("network.depth")) is not None:
        return "network.depth", int(depth)
    for key in _PER_LEVEL:
        if isinstance(values := chosen.get(key), (list, tuple)):
            return key, len(values) - 1
    return None


def least_depth(chosen: Chosen) -> int:
    """Down-sampling steps that there have to be."""
    return 2 if chosen.get("network.deep_supervision") is True else 1


def stride_told(chosen: Chosen) -> tuple[str, int]:
    """What patches must be a multiple of as far as it is told, with the key that tells it."""
    name = str(chosen["network.name"])
    if not has_free_depth(name):
        key = "network.encoder" if "network.encoder" in chosen else "network.name"
        return key, _built_narrow(name, chosen.get("network.encoder"))[0]
    key, depth = depth_told(chosen) or (
        ("network.deep_supervision", 2) if least_depth(chosen) > 1 else ("network.name", 1)
    )
    return key, 2**depth


def built(chosen: Chosen, shape: tuple[int | None, ...], outputs: int, filters: Any) -> Any:
    """The network of the choices so far, under its own plan and with random weights."""
    options = {k: v for k, v in own_options(chosen).items() if k not in _OF_WEIGHTS}
    depth = chosen.get("network.depth")
    return build(
        str(chosen["network.name"]), shape, outputs, filters=filters, depth=depth, **options
    )


def encoder_has_batch_norms(chosen: Chosen) -> bool:
    """Whether the network is an encoder with batch normalizations of its own, such as ResNet50."""
    encoder = chosen.get("network.encoder")
    return chosen["network.name"] == "encoder" and _built_narrow("encoder", encoder)[1]


@lru_cache(maxsize=8)
def _built_narrow(name: str, encoder: str | None) -> tuple[int, bool]:
    """The total stride of a network without a norm plan, and whether it has batch norms then."""
    from normwise.surgery.statistics import batch_norms  # noqa: PLC0415 - loads a backend

    options = {} if encoder is None else {"encoder": encoder}
    network = build(name, (None, None, 1), 1, "none", filters=2, **options)
    return stride_of(network), bool(batch_norms(network))
