"""Real data that ships with the package, each set with its notice."""

from importlib.resources import files
from pathlib import Path


def sample_folder(name: str = "isl_fluor") -> Path:
    """The folder of a sample; normwise is installed as plain files, so it is a real path."""
    return Path(str(files(__name__))) / name
