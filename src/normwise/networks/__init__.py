"""Networks that are built under a norm plan; `NETWORKS` names them."""

from normwise.networks.building import NETWORKS, build, options_of

__all__ = ["NETWORKS", "build", "options_of"]
