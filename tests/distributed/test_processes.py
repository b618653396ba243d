"""Where a process stands, and what is refused before anything is started."""

import keras
import numpy as np
import pytest

import normwise as nw
from normwise.distributed import processes
from normwise.distributed.processes import ProcessRank, agreed, check_batch_size, own_part, rank_of
from normwise.errors import DistributionError, RecipeError
from normwise.workflows.together import place_from, place_of


class Stand:
    def __init__(self, where, count):
        self.where, self.count = where, count


@pytest.fixture
def second_of_two(monkeypatch):
    monkeypatch.setattr(processes, "_started", [Stand(ProcessRank("127.0.0.1:1", 2, 1), 4)])


def test_options_come_before_the_environment(monkeypatch):
    assert rank_of() == ProcessRank(None, 1, 0)
    monkeypatch.setenv("KERAS_DISTRIBUTION_JOB_ADDRESSES", "127.0.0.1:1")
    monkeypatch.setenv("KERAS_DISTRIBUTION_NUM_PROCESSES", "3")
    monkeypatch.setenv("KERAS_DISTRIBUTION_PROCESS_ID", "2")
    assert rank_of() == place_of("jax-distributed") == ProcessRank("127.0.0.1:1", 3, 2)
    assert rank_of("127.0.0.1:2", 2, 0) == ProcessRank("127.0.0.1:2", 2, 0)
    monkeypatch.setenv("KERAS_DISTRIBUTION_PROCESS_ID", "two")
    with pytest.raises(DistributionError, match="KERAS_DISTRIBUTION_PROCESS_ID: received 'two'"):
        rank_of()


def test_what_can_not_be():
    with pytest.raises(DistributionError, match=r"received 2; with 2 processes allowed: 0 to 1"):
        rank_of("127.0.0.1:1", 2, 2)
    with pytest.raises(DistributionError, match=r"need the address of process 0.*--coordinator"):
        rank_of(None, 2, 0)
    with pytest.raises(DistributionError, match="received 'tpu'; allowed: jax-distributed"):
        place_of("tpu")
    with pytest.raises(DistributionError, match=r"--processes: belongs to --on"):
        place_from(None, None, 2, None)


def test_a_batch_is_shared_out(second_of_two):
    batch = tuple(np.arange(8 * k).reshape(8, k) for k in (1, 2, 3))
    for whole, part in zip(batch, own_part(batch), strict=True):
        assert np.array_equal(part, whole[4:])
    check_batch_size(8)
    with pytest.raises(RecipeError, match=r"received 6; allowed with 4 devices.*for example 8"):
        check_batch_size(6)


def test_one_process_keeps_its_batch_and_its_numbers():
    batch = (np.ones(3), np.ones(3), np.ones(3))
    assert own_part(batch) is batch
    row = {"loss": 0.1}
    assert agreed(row) is row
    check_batch_size(7)


@pytest.mark.backends
@pytest.mark.skipif(keras.backend.backend() == "jax", reason="JAX is the backend that can")
def test_other_backends_are_refused(tmp_path):
    (tmp_path / "data").mkdir()
    backend = keras.backend.backend()
    with pytest.raises(DistributionError, match=f"needs the JAX backend; this is {backend}"):
        nw.train(tmp_path / "data", out=tmp_path / "run", on="jax-distributed")
    assert not (tmp_path / "run").exists()
