"""Networks that are built under a norm plan; `NETWORKS` names them."""

from normwise.networks.building import NETWORKS, build, default_plan, options_of

__all__ = ["NETWORKS", "build", "default_plan", "options_of"]
