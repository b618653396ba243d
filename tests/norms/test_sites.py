"""Which activations a linear layer reaches, against a search from each layer anew."""

import numpy as np
import pytest

from normwise.graph.catalogue import Role, role_of
from normwise.graph.regions import layout_of
from normwise.norms.positions import Placement
from normwise.rules.sketches import Sketch


def random_network(rng):
    """Mostly sums, norms and what lies between them and the next activation."""
    net = Sketch()
    made = [net.input(4, 4, 3)]
    for _ in range(int(rng.integers(5, 25))):
        recent = made[-6:]
        first, second = (recent[i] for i in rng.integers(0, len(recent), 2))
        kind = rng.integers(0, 6)
        if kind == 0:
            made.append(net.conv(3, first))
        elif kind == 1:
            made.append(net.relu(first))
        elif kind == 2:
            made.append(net.norm(first))
        elif kind == 3:
            made.append(net.add("Dropout", first))
        elif first != second:
            made.append(net.add("Add", first, second))
    return net.graph(net.conv(1, made[-1]))


def reached(graph, linear):
    """The activations behind the fewest sums, each with the norms of one way to it."""
    front = {linear: [()]}
    while front:
        found, behind = {}, {}
        while front:
            index, ways = front.popitem()
            for reader in graph.consumers[index]:
                role = role_of(graph.nodes[reader])
                if role is Role.ACTIVATION:
                    found.setdefault(reader, []).extend(ways)
                elif role is Role.NORM:
                    front.setdefault(reader, []).extend((*way, reader) for way in ways)
                elif role is Role.PASS:
                    front.setdefault(reader, []).extend(ways)
                elif graph.nodes[reader].class_name == "Add":
                    behind.setdefault(reader, []).extend(ways)
        if found:
            return found
        front = behind
    return {}


@pytest.mark.parametrize("seed", range(80))
def test_sites_are_what_a_search_from_each_layer_finds(seed):
    graph = random_network(np.random.default_rng(seed))
    found = Placement(layout_of(graph))
    for linear, node in enumerate(found.graph.nodes):
        if role_of(node) is not Role.LINEAR:
            continue
        wanted = reached(found.graph, linear)
        sites = [site for site in found.sites if site.linear == linear]
        assert {site.activation for site in sites} == set(wanted)
        for site in sites:
            assert site.between in wanted[site.activation]
        # Each first norm is on one of the ways, and none is there twice.
        firsts = [(site.activation, site.between[:1]) for site in sites]
        assert sorted(firsts) == sorted({(a, w[:1]) for a, ways in wanted.items() for w in ways})


def test_a_chain_of_sums_leads_to_one_activation():
    net = Sketch()
    x = net.input(4, 4, 3)
    for number in range(3):
        x = net.add("Add", x, net.norm(net.conv(3, x, name=f"c{number}"), name=f"n{number}"))
    found = Placement(layout_of(net.graph(net.relu(x, name="end"))))
    told = {
        found.graph.nodes[s.linear].name: (
            found.graph.nodes[s.activation].name,
            [found.graph.nodes[n].name for n in s.between],
        )
        for s in found.sites
    }
    assert told == {f"c{i}": ("end", [f"n{i}"]) for i in range(3)}
