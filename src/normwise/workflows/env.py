"""What `normwise env` tells."""

from normwise.environment import environment

__all__ = ["environment"]
