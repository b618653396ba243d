"""What follows from how a model is trained."""

from normwise.rules import Training


def test_the_calls_of_a_training():
    assert Training(32, 1000, 3).total_steps == 96
    assert Training(32, 1000, 3, steps=10).total_steps == 10
    assert Training(32, 1000).total_steps is None
    assert Training(32, replicas=4).samples_per_statistic == 8
    assert Training().samples_per_statistic is None
