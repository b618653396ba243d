"""`normwise train`: options that would do nothing are refused before the work."""

import pytest

from tests.commands import normwise


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--coordinator", "127.0.0.1:1"), "--coordinator: belongs to --on jax-distributed"),
        (("--processes", "2"), "--processes: belongs to --on jax-distributed"),
        (("--process", "0"), "--process: belongs to --on jax-distributed"),
        (("--on", "tpu"), "received 'tpu'; allowed: jax-distributed"),
        (("--on", "jax-distributed"), "--find-rate trains nothing"),
        (("--folds", "2"), "--find-rate trains nothing"),
        (("--resume",), "--find-rate trains nothing"),
    ],
)
def test_finding_a_rate_takes_nothing_of_a_training(words, said, tmp_path):
    done = normwise("train", "data", "--find-rate", *words, cwd=tmp_path)
    assert done.returncode == 2 and said in " ".join(done.stderr.split())


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--processes", "0"), "'--processes': Input should be greater than or equal to 1"),
        (("--process", "-1"), "'--process': Input should be greater than or equal to 0"),
    ],
)
def test_numbers_of_processes_that_can_not_be(words, said, tmp_path):
    done = normwise("train", "data", *words, cwd=tmp_path)
    assert done.returncode == 2 and said in " ".join(done.stderr.split())
