"""Peak memory of a training in MB: `python memory.py FOLDER`; prints one number."""

import resource
import sys
from tempfile import TemporaryDirectory

from normwise.memory import keep_freed_memory


def main(folder: str) -> float:
    """Trains a small U-Net for two epochs on the whole folder, checks and statistics included."""
    import normwise as nw

    recipe = {
        "data": {"path": folder, "patch": 256},
        "network": {"name": "unet", "filters": 8},
        "training": {"epochs": 2, "steps": 60, "batch_size": 8},
    }
    with TemporaryDirectory() as out:
        nw.train(recipe, out=out, overwrite=True, progress=False)
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


if __name__ == "__main__":
    keep_freed_memory()
    print(main(sys.argv[1]))
