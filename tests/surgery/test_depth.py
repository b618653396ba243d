"""The order in which norms are measured, against a slow and simple closure of dependencies."""

import numpy as np
import pytest

from normwise.rules.sketches import Sketch
from normwise.surgery.depth import levels_of, strongly_connected


def closed(before):
    """For each key all that it depends on, over any number of steps."""
    found = {name: set(direct) for name, direct in before.items()}
    for _ in found:
        for more in found.values():
            more.update(*(found[name] for name in tuple(more)))
    return found


def random_network(rng):
    """Norms, some of them called again, behind sums of earlier results."""
    net = Sketch()
    made, norms = [net.input(4, 4, 3)], []
    for number in range(int(rng.integers(4, 12))):
        first, second = (made[i] for i in rng.integers(0, len(made), 2))
        kind = rng.integers(0, 4)
        if kind == 0 and norms:
            made.append(net.again(str(rng.choice(norms)), first))
        elif kind == 1:
            made.append(net.add("Add", first, second))
        elif kind == 2:
            made.append(net.relu(first))
        else:
            norms.append(f"norm{number}")
            made.append(net.norm(first, name=norms[-1]))
    return net.graph(made[-1]), norms


def dependencies(graph, norms):
    """What each norm's input depends on, from the graph alone."""
    before = {name: set() for name in norms}
    above = []
    for node in graph.nodes:
        read = set().union(*(above[t.node] for t in node.inputs))
        if node.layer in before:
            before[node.layer] |= read
            read = read | {node.layer}
        above.append(read)
    return closed(before)


@pytest.mark.parametrize("seed", range(60))
def test_each_norm_comes_after_all_that_it_depends_on(seed):
    graph, norms = random_network(np.random.default_rng(seed))
    before = dependencies(graph, norms)
    levels = levels_of(graph, norms, {name: name for name in norms})
    place = {name: number for number, level in enumerate(levels) for name in level.layers}
    assert sorted(place) == sorted(norms) and len(place) == sum(len(v.layers) for v in levels)
    for name in norms:
        loop = {other for other in before[name] if name in before[other]} | {name}
        assert {place[other] for other in loop} == {place[name]}
        earlier = [place[other] for other in before[name] - loop]
        # No pass more than is needed.
        below = [place[o] for member in loop for o in before[member] - loop]
        assert place[name] == 1 + max(below, default=-1) and all(p < place[name] for p in earlier)
    for level in levels:
        assert level.looped == any(name in before[name] for name in level.layers)


def test_norms_hidden_in_one_layer_are_measured_together():
    net = Sketch()
    x = net.add("Custom", net.norm(net.input(4, 4, 3), name="a"), name="box")
    graph = net.graph(net.norm(x, name="d"))
    same = {"a": "a", "box/b": "box/b", "box/c": "box/c", "d": "d"}
    levels = levels_of(graph, ["a", "box/b", "box/c", "d"], same)
    assert [(v.layers, v.looped) for v in levels] == [
        (("a",), False),
        (("box/b", "box/c"), True),
        (("d",), False),
    ]


@pytest.mark.parametrize("seed", range(30))
def test_groups_depend_on_each_other_and_come_in_order(seed):
    rng = np.random.default_rng(seed)
    size = int(rng.integers(1, 9))
    before = [rng.integers(0, size, rng.integers(0, 4)).tolist() for _ in range(size)]
    reached = closed(dict(enumerate(before)))
    groups = list(strongly_connected(before))
    assert sorted(v for group in groups for v in group) == list(range(size))
    for group in groups:
        alike = {v for v in reached[group[0]] if group[0] in reached[v]} | {group[0]}
        assert set(group) == alike
    done = set()
    for group in groups:
        done |= set(group)
        assert set().union(*(before[v] for v in group)) <= done


def test_a_chain_longer_than_the_stack():
    groups = list(strongly_connected([[index + 1] for index in range(4999)] + [[]]))
    assert groups == [(index,) for index in reversed(range(5000))]
