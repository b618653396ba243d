"""What reads what, through what changes nothing."""

from normwise.rules.context import OUTPUT
from normwise.rules.sketches import Sketch
from tests.rules.context.chains import at, chain


def test_identities_are_skipped_and_dropout_where_asked():
    context = chain()
    norm, conv, drop = (at(context, n) for n in ("norm", "conv", "drop"))
    assert context.read(norm) == drop and context.read(norm, dropout=True) == conv
    assert context.read(drop) == conv and context.only_reader(conv) == drop
    assert context.users[conv] == (norm,)
    assert context.readers[norm] == (OUTPUT,) and context.only_reader(norm) is None
    assert context.readers[at(context, "same")] == ()
    assert context.read(at(context, "in")) is None


def test_a_dropout_of_rate_0_is_an_identity():
    net = Sketch()
    x = net.add("Dropout", net.conv(8, net.input(16, 16, 3), name="conv"), rate=0)
    context = net.context(net.norm(x, name="norm"))
    assert context.read(at(context, "norm")) == at(context, "conv")


def test_ways_to_a_norm_and_to_a_linear_layer():
    net = Sketch()
    x = net.conv(8, net.input(16, 16, 3), name="one")
    y = net.conv(8, net.relu(net.norm(x)), name="two")
    z = net.add("Add", x, y, name="sum")
    context = net.context(net.conv(1, net.add("Mine", z)))
    ways = [(context.reaches_norm[at(context, n)], context.reaches_linear[at(context, n)])
            for n in ("one", "two", "sum")]  # fmt: skip
    assert ways == [(True, False), (False, False), (False, False)]
