"""Trains the stand-in in a process of its own; `stuck` waits for the test to kill it."""

import json
import sys
import time
from pathlib import Path

import numpy as np

from normwise.training.determinism import seed_run
from normwise.training.fit import fit
from normwise.training.progress import Silent

from .stand_in import Batches, network, recipe, validate, weights_of


class Stuck(Silent):
    def step(self, epoch, step, loss, patches_per_second):
        print(f"{epoch} {step}", flush=True)
        if (epoch, step) == (2, 2):
            time.sleep(300)


def main(folder, mode, settings):
    seed_run(0)
    model = network(dropout=0.3)
    watcher = Stuck() if mode == "stuck" else Silent()
    settings = recipe(**settings)
    fit(model, Batches(), validate, settings, folder, resume=mode == "resume", watcher=watcher)
    np.savez(folder / "weights.npz", *weights_of(model))


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2], json.loads(sys.argv[3]))
