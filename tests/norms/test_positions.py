"""Sites, and how each reader of a tensor sees it."""

from typing import Any

import keras

from normwise.graph.regions import layout_of
from normwise.keras_format import read_graph
from normwise.norms.plan import Position
from normwise.norms.positions import OUTPUT, Placement
from tests import unets
from tests.zoo import built, conv, image

layers = keras.layers


def placement(model: Any) -> Placement:
    return Placement(layout_of(read_graph(model)))


def names(found: Placement, indices: Any) -> list[str]:
    return [found.graph.nodes[i].name for i in indices]


def test_sites_are_linear_layers_that_reach_an_activation() -> None:
    inputs = image(4, name="input")
    x = conv(4, activation="relu", name="fused")(inputs)
    x = layers.ReLU(name="r1")(conv(4, name="plain")(x))
    x = layers.ReLU(name="r2")(layers.BatchNormalization(name="n")(conv(4, name="normed")(x)))
    y = layers.Dropout(0.5)(conv(4, name="dropped")(x))
    x = layers.ReLU(name="r3")(layers.Add()([x, layers.ReLU(name="r4")(y)]))
    x = layers.ReLU(name="r5")(layers.Add()([x, conv(4, name="added")(x)]))
    x = conv(4, name="lonely")(x)
    found = placement(keras.Model(inputs, conv(1, name="head")(layers.MaxPooling2D()(x))))
    told = {
        found.graph.nodes[s.linear].name: (found.graph.nodes[s.activation].name, s.fused)
        for s in found.sites
    }
    assert told == {
        "fused": ("fused", True),
        "plain": ("r1", False),
        "normed": ("r2", False),
        "dropped": ("r4", False),
        "added": ("r5", False),
    }
    between = {found.graph.nodes[s.linear].name: names(found, s.between) for s in found.sites}
    assert between["normed"] == ["n"] and between["plain"] == []


def test_branches_of_squeeze_and_excite_are_no_sites() -> None:
    found = placement(built("squeeze_excite"))
    assert names(found, [s.linear for s in found.sites]) == ["conv2d"]


def test_readers_see_through_norms_and_dropout() -> None:
    inputs = image(4, name="input")
    x = conv(4, activation="relu", name="a")(inputs)
    n = layers.BatchNormalization(name="n")(layers.Dropout(0.1)(x))
    found = placement(keras.Model(inputs, [conv(1, name="raw")(x), conv(1, name="normed")(n), n]))
    readers = {r.node: names(found, r.norms) for r in found.readers(found.graph.index["a"])}
    index = found.graph.index
    assert readers == {index["raw"]: [], index["normed"]: ["n"], OUTPUT: ["n"]}
    assert found.coverage(index["a"]).main is None
    assert found.skeleton(index["n"]) == index["a"]


def with_skip(normed_main: bool, normed_skip: bool, own: bool = False) -> Placement:
    inputs = image(4, name="input")
    x = conv(4, activation="relu", name="a")(inputs)
    n = layers.BatchNormalization(name="n")(x) if normed_main or normed_skip else x
    skip = layers.BatchNormalization(name="own")(x) if own else n if normed_skip else x
    y = layers.UpSampling2D()(layers.MaxPooling2D()(n if normed_main else x))
    return placement(keras.Model(inputs, conv(1)(layers.Concatenate()([y, skip]))))


def test_how_a_skip_sees_a_tensor() -> None:
    for main, skip, own, slots in (
        (True, True, False, {"before-downsampling": True, "/raw": False, "skip": False}),
        (True, False, False, {"before-downsampling": False, "/raw": True, "skip": False}),
        (False, True, False, {"before-downsampling": False, "/raw": False, "skip": True}),
        (False, False, False, {"before-downsampling": False, "/raw": False, "skip": False}),
        (True, False, True, {"before-downsampling": False, "/raw": True, "skip": True}),
    ):
        found = with_skip(main, skip, own)
        places = {
            "before-downsampling": Position("before-downsampling"),
            "/raw": Position("before-downsampling", None, True),
            "skip": Position("skip"),
        }
        told = {name: bool(found.slots(p)[0].norms) for name, p in places.items()}
        assert told == slots, (main, skip, own)


def test_before_downsampling_never_means_the_raw_input() -> None:
    inputs = image(4)
    model = keras.Model(inputs, conv(1)(conv(4, strides=2, activation="relu")(inputs)))
    assert placement(model).slots(Position("before-downsampling")) == []


def test_every_hand_made_network_has_its_places() -> None:
    for name, (make, _) in unets.SAME_SIZE.items():
        found = placement(make())
        counts = {
            where: len(found.slots(Position(where)))
            for where in ("before-downsampling", "skip", "after-merge", "input")
        }
        levels = {"deep": 4, "two_inputs": 1, "stacked": 2, "flat": 0, "residual_unet": 1}.get(
            name, 2
        )
        assert counts["before-downsampling"] == levels, name
        assert counts["skip"] == (1 if name == "stacked" else levels), name
        assert counts["input"] == (2 if name == "two_inputs" else 1), name


def test_a_fixed_normalization_at_the_output_is_not_counted() -> None:
    inputs = image(4)
    x = conv(1)(layers.Normalization(mean=0.0, variance=1.0, name="scale")(inputs))
    x = layers.Normalization(mean=0.0, variance=1.0, invert=True, name="unscale")(x)
    found = placement(keras.Model(inputs, x))
    assert names(found, found.norms) == ["scale"]
