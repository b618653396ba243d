"""A small network for the tests of contexts, and its nodes by name."""

from normwise.rules.sketches import Sketch


def chain():
    net = Sketch()
    x = net.conv(8, net.input(16, 16, 3, name="in"), name="conv")
    x = net.add("Dropout", net.add("Identity", x, name="same"), name="drop")
    x = net.norm(x, name="norm")
    return net.context(net.add("Activation", x, name="linear"))


def at(context, name):
    return context.graph.index[name]
