"""`nw.build` says what it takes; tests/networks has what it builds."""

import inspect

import pytest

import normwise as nw
from normwise.networks import NETWORKS, options_of
from normwise.networks.building import FROM_DATA


@pytest.mark.parametrize("network", NETWORKS)
def test_build_documents_each_network_and_all_of_its_options(network):
    said = inspect.getdoc(nw.build)
    assert f'"{network}"' in said
    for option in (*options_of(network), FROM_DATA):
        assert f"- `{option}` (" in said, option
