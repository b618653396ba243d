"""What follows from how a model is trained."""

from normwise.rules import Training


def test_the_calls_of_a_training():
    assert Training(32, 1000, 3).total_steps == 96
    assert Training(32, 1000, 3, steps=10).total_steps == 10
    assert Training(32, 1000).total_steps is None
    assert Training(32, replicas=4).samples_per_statistic == 8
    assert Training().samples_per_statistic is None


def test_steps_of_a_huge_data_set_are_exact():
    assert Training(batch_size=3, samples=10**400, epochs=1).total_steps == (10**400 + 2) // 3


def test_a_statistic_has_no_more_samples_than_the_data_set():
    assert Training(batch_size=32, samples=2).samples_per_statistic == 2
    assert Training(batch_size=32, samples=36, replicas=4).samples_per_statistic == 8
