"""Losses by name: sums with factors are read and written, without a backend."""

import subprocess
import sys

import pytest

from normwise.training.losses.expression import Term, canonical_loss, parse_loss


@pytest.mark.parametrize(
    ("text", "terms", "canonical"),
    [
        ("dice", [("dice", 1)], "dice"),
        ("cross-entropy-dice", [("cross-entropy", 1), ("dice", 1)], "cross-entropy+dice"),
        (" 0.5 * focal + dice", [("focal", 0.5), ("dice", 1)], "0.5*focal+dice"),
        ("2*cross-entropy-dice", [("cross-entropy", 2), ("dice", 2)], "2*cross-entropy+2*dice"),
        ("1*mse+1e-3*mae", [("mean-squared", 1), ("mean-absolute", 1e-3)],
         "mean-squared+0.001*mean-absolute"),
    ],
)  # fmt: skip
def test_sums_are_read_and_written(text, terms, canonical):
    found = parse_loss(text)
    assert found == tuple(Term(*term) for term in terms)
    assert canonical_loss(text) == canonical
    assert parse_loss(canonical) == found


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("focl", r"received 'focl'; allowed: cross-entropy, dice.*Did you mean focal\?"),
        ("dice+", r"received '' in 'dice\+'"),
        ("-1*dice", "factor '-1'; expected a positive number"),
        ("a*dice", "factor 'a'"),
        ("inf*dice", "factor 'inf'"),
        ("dice+2*dice", "dice twice"),
        ("dice+huber", r"adds losses of classes .* to losses of values"),
    ],
)
def test_what_is_no_loss(text, message):
    with pytest.raises(ValueError, match=message):
        parse_loss(text)


def test_names_load_no_backend():
    code = (
        "import sys, normwise.training.losses.expression, normwise.training.loss_settings\n"
        "assert 'keras' not in sys.modules"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
