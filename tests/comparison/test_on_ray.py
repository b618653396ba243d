"""What a worker hands back of a trial that can't be made; without a cluster."""

import pytest

from normwise.comparison import running
from normwise.comparison.experiment import Trial, variants_of
from normwise.comparison.on_ray import _Order, make_trial
from normwise.errors import DataError, RunError
from tests.comparison.made_up import BASE


@pytest.mark.parametrize(
    ("raised", "told", "message"),
    [
        (ValueError("no such bin"), RunError, "^ValueError: no such bin$"),
        (DataError("no such folder"), DataError, "^no such folder$"),
        # The cluster says then what to install.
        (ModuleNotFoundError("no keras"), ModuleNotFoundError, "^no keras$"),
    ],
)
def test_a_fault_is_an_error_of_its_trial(tmp_path, monkeypatch, raised, told, message):
    def failing(*_, **__):
        raise raised

    monkeypatch.setattr(running, "run_trial", failing)
    trial = Trial(variants_of(["none", "batch@skip"])[0], 0)
    with pytest.raises(told, match=message) as caught:
        make_trial(_Order(trial, BASE, tmp_path, (), 1))
    assert type(caught.value) is told
