"""What workers are asked for in tests; they find it by its name."""

import logging
import os
import signal
import time
from contextlib import nullcontext
from functools import partial
from pathlib import Path

from normwise.distributed.shared_files import Seen, refuse_unseen
from normwise.errors import DistributionError, RunError
from tests.dying import die_after_an_epoch, die_once

HALVING = """
import keras

@keras.saving.register_keras_serializable("ray_tests")
class Halving(keras.layers.Layer):
    def call(self, x):
        return x / 2
"""
"""A module with a layer, to be imported by workers too."""


def doubled(number):
    return 2 * number


def dying(asked):
    """Kills its worker some times; attempts are counted by files in a folder."""
    folder, deaths = Path(asked[0]), asked[1]
    made = len(list(folder.iterdir()))
    (folder / f"{made}").touch()
    if made < deaths:
        os.kill(os.getpid(), signal.SIGKILL)
    return made


def failing(number):
    logging.getLogger("normwise.tests").warning("a warning of every task")
    if number == 1:
        raise RunError("the second can't be done")
    return number


def broken(number):
    return 1 / number


def blind(path):
    refuse_unseen([Seen(path)], patience=0.0)


def told(_):
    return os.getpid(), {name: os.environ.get(name) for name in ("OMP_NUM_THREADS", "TF_MADE_UP")}


def waiting(asked):
    """Leaves a file when it begins, and ends when there is another, or after two minutes."""
    begun, wanted = map(Path, asked)
    begun.touch()
    deadline = time.monotonic() + 120
    while not wanted.exists() and time.monotonic() < deadline:
        time.sleep(0.01)


def block_of_a_dying_worker(block):
    """Predicts pieces of an image; the first worker that has done so dies before it answers."""
    from normwise.workflows.predict_on_ray import predict_block

    done = predict_block(block)
    die_once(Path(block.scene.files[0].path).with_name("died"))
    return done


def scene_that_changes(whole):
    """Predicts an image of a folder; `b` vanishes and `c` grows before, and nobody waits for it."""
    from normwise.workflows import predict_on_ray

    predict_on_ray.refuse_unseen = partial(refuse_unseen, patience=0.0)
    path = Path(whole.scene.files[0].path)
    if path.stem == "b":
        path.unlink()
    elif path.stem == "c":
        path.write_bytes(path.read_bytes() + b" ")
    return predict_on_ray.predict_whole_scene(whole)


def scene_of_a_worker_without_it(whole):
    """Does as if this machine had no such image."""
    from normwise.workflows import predict_on_ray

    def unseen(files, patience=0.0):
        raise DistributionError(f"{next(iter(files)).path}: can't be seen on elsewhere.")

    predict_on_ray.refuse_unseen, before = unseen, predict_on_ray.refuse_unseen
    try:
        predict_on_ray._refuse_unseen_image(whole.scene)
    finally:
        predict_on_ray.refuse_unseen = before


def trial_of_a_dying_worker(order):
    """Makes a trial without pictures; the first worker dies after an epoch."""
    from normwise.comparison.on_ray import make_trial
    from normwise.training import finishing, run

    finishing.draw_run = lambda *_: None
    run.reported = lambda *_: nullcontext()
    die_after_an_epoch(order.folder.with_name("died"))
    make_trial(order)
