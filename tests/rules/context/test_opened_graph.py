"""What each node of an opened graph is."""

from dataclasses import replace

from normwise.graph.catalogue import Role
from normwise.rules import Context
from tests.rules.context.chains import at, chain


def test_a_class_of_the_user_is_no_class_of_keras():
    context = chain()
    nodes = [replace(n, module="mine") if n.name == "norm" else n for n in context.nodes]
    other = Context(replace(context.graph, nodes=tuple(nodes)))
    assert other.roles[at(other, "norm")] is Role.OTHER and not other.norms
    assert context.roles[at(context, "norm")] is Role.NORM and len(context.batch_norms) == 1
