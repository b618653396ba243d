"""The plan of any network, and the reasons for what no plan describes."""

from typing import Any

import keras
import pytest

from normwise.keras_format import read_graph
from normwise.networks import build
from normwise.norms import NormPlan, infer_plan
from normwise.norms.inference import _Candidate, _ranked
from normwise.rules.sketches import Sketch
from tests import unets
from tests.zoo import NOT_SAVED, ZOO, Opaque, built, conv, image

layers = keras.layers
applications = keras.applications
BN = layers.BatchNormalization


def plan_of(model: Any) -> NormPlan:
    return infer_plan(read_graph(model))


def residue_of(model: Any) -> dict[str, str]:
    return {residue.layer: residue.reason for residue in plan_of(model).residue}


@pytest.mark.parametrize(
    ("name", "plan", "left"),
    [
        ("ResNet50", "batch(epsilon=1.001e-5)@pre-activation", 0),
        ("VGG16", "none", 0),
        ("MobileNet", "batch@pre-activation", 0),
        ("MobileNetV2", "batch(momentum=0.999)@pre-activation", 17),
        ("EfficientNetB0", "batch@pre-activation", 16),
    ],
)
def test_plans_of_applications(name: str, plan: str, left: int) -> None:
    shape = (64, 64, 3)
    found = plan_of(getattr(applications, name)(weights=None, input_shape=shape, classes=3))
    residue = [r for r in found.residue if r.layer != "normalization"]
    assert str(found).removeprefix("standardize@input,") == plan
    assert len(residue) == left
    assert all("has no activation after it" in r.reason for r in residue)


@pytest.mark.parametrize("name", sorted(ZOO))
def test_the_zoo_has_plans_the_same_from_files(name: str, tmp_path: Any) -> None:
    found = plan_of(built(name))
    assert NormPlan.parse(str(found)) == found
    if name not in NOT_SAVED:
        built(name).save(tmp_path / "m.keras")
        again = plan_of(tmp_path / "m.keras")
        assert (str(again), again.residue) == (str(found), found.residue)


@pytest.mark.parametrize(
    ("name", "plan"),
    [
        ("channels_first", "batch@pre-activation"),
        ("residual_post", "batch@pre-activation"),
        ("depthwise", "batch@pre-activation"),
        ("nested_twice", "batch@pre-activation"),
        ("squeeze_excite", "none"),
    ],
)
def test_plans_of_the_zoo(name: str, plan: str) -> None:
    found = plan_of(built(name))
    assert (str(found), found.residue) == (plan, ())


def with_tap(raw: bool, kind: Any = BN) -> Any:
    """A hand-made U-Net whose skip is on the normalized or on the raw tensor."""
    inputs = image(4, None)
    tap = conv(4, activation="relu", name="enc")(inputs)
    norm = kind(name="norm")(tap)
    x = conv(4, activation="relu", name="mid")(layers.MaxPooling2D()(norm))
    x = layers.Concatenate()([layers.UpSampling2D()(x), tap if raw else norm])
    return keras.Model(inputs, conv(1)(conv(4, activation="relu", name="dec")(x)))


def test_a_raw_skip_by_hand() -> None:
    assert str(plan_of(with_tap(raw=True))) == "batch@before-downsampling/raw-skip"
    assert str(plan_of(with_tap(raw=False))) == "batch@before-downsampling"


def test_a_norm_that_some_reader_goes_around_is_not_pre_activation() -> None:
    inputs = image(4)
    raw = conv(4, name="a")(inputs)
    normed = layers.ReLU()(BN(name="n")(raw))

    def plan(join: list[Any]) -> NormPlan:
        return plan_of(keras.Model(inputs, conv(1)(layers.Concatenate()(join))))

    assert str(plan([normed, normed])) == "batch@pre-activation"
    found = plan([normed, raw])
    assert str(found) == "none" and [r.layer for r in found.residue] == ["n"]


def two_skips(main: bool, first: bool, second: bool, own: bool = False) -> NormPlan:
    """One tensor with two skips; each reads the norm or goes around it."""
    inputs = image(4, None)
    tap = conv(4, activation="relu", name="enc")(inputs)
    norm = BN(name="n")(tap)
    skips = [BN()(tap) if own and reads else norm if reads else tap for reads in (first, second)]
    x = conv(4, activation="relu")(layers.MaxPooling2D()(norm if main else tap))
    x = layers.Concatenate()([layers.UpSampling2D()(x), skips[0]])
    x = conv(4, activation="relu")(x)
    x = layers.Concatenate()([x, skips[1]])
    return plan_of(keras.Model(inputs, conv(1)(x)))


def test_two_skips_of_one_tensor_have_to_agree() -> None:
    assert str(two_skips(True, True, True)) == "batch@before-downsampling"
    assert str(two_skips(True, False, False)) == "batch@before-downsampling/raw-skip"
    assert str(two_skips(False, True, True)) == "batch@skip"
    assert str(two_skips(False, True, True, own=True)) == "batch@skip"
    for first, second in ((True, False), (False, True)):
        for main in (True, False):
            found = two_skips(main, first, second)
            assert str(found) == "none" and [r.layer for r in found.residue] == ["n"]
        alone = two_skips(False, first, second, own=True)
        assert str(alone) == "none" and len(alone.residue) == 1


def test_ties_go_to_fewer_suffixes_then_fewer_regions_then_the_order_of_positions() -> None:
    def candidates(*texts: str) -> tuple[_Candidate, ...]:
        plan = NormPlan.parse(f"batch@{'+'.join(texts)}")
        return tuple(_Candidate(p, frozenset()) for p in plan.clauses[0].positions)

    ordered = [
        candidates("pre-activation", "post-activation"),
        candidates("pre-activation", "before-downsampling"),
        candidates("post-activation", "skip"),
        candidates("pre-activation", "encoder:post-activation"),
        candidates("encoder:pre-activation", "encoder:post-activation"),
        candidates("pre-activation", "post-activation/raw-skip"),
        candidates("pre-activation", "encoder:post-activation/raw-skip"),
    ]
    assert _ranked(reversed(ordered)) == ordered


def test_moving_one_normalization_changes_the_plan() -> None:
    def network(places: str) -> Any:
        inputs = image(4, None)
        x = inputs
        for name in "abc":
            x = conv(4, name=name)(x)
            x = BN(name=f"{name}_pre")(x) if name in places else x
            x = layers.ReLU()(x)
            x = BN(name=f"{name}_post")(x) if name.upper() in places else x
        return keras.Model(inputs, conv(1)(x))

    assert str(plan_of(network("abc"))) == "batch@pre-activation"
    for moved in ("abC", "aBc", "Abc", "ab", "bc"):
        found = plan_of(network(moved))
        assert str(found) == "none" and len(found.residue) == len(moved)
        assert all("but not every such place has the same" in r.reason for r in found.residue)
    assert str(plan_of(network("ABC"))) == "batch@post-activation"


def test_a_wrong_axis_is_named() -> None:
    inputs = image(4)
    x = layers.ReLU()(BN(axis=1, name="odd")(conv(4)(inputs)))
    reason = residue_of(keras.Model(inputs, conv(1)(x)))["odd"]
    assert "its axis is 1" in reason and "channels are axis 3" in reason


def test_an_axis_of_channels_first_is_right_and_its_last_is_wrong() -> None:
    def network(axis: int) -> Any:
        inputs = keras.Input((4, 16, 16))
        first = {"data_format": "channels_first"}
        x = layers.ReLU()(BN(axis=axis, name="n")(conv(4, **first)(inputs)))
        return keras.Model(inputs, conv(1, **first)(x))

    assert not residue_of(network(1)) and not residue_of(network(-3))
    assert "its axis is -1" in residue_of(network(-1))["n"]


def test_a_norm_of_a_channels_first_input_is_over_its_channels() -> None:
    def network(axis: int) -> Any:
        net = Sketch()
        x = net.norm(net.input(4, 16, 16), axis=axis, name="n")
        return infer_plan(net.graph(net.conv(1, x, data_format="channels_first")))

    assert (str(network(1)), network(1).residue) == ("batch@input", ())
    assert "its axis is -1, but the channels are axis 1" in network(-1).residue[0].reason


def test_normalizations_over_several_axes_are_left() -> None:
    inputs = image(4)
    x = layers.ReLU()(layers.LayerNormalization(axis=(1, 2, 3), name="n")(conv(4)(inputs)))
    assert "its axis is" in residue_of(keras.Model(inputs, conv(1)(x)))["n"]


def test_stacked_normalizations() -> None:
    inputs = image(4)
    x = BN(name="second")(BN(name="first")(conv(4)(inputs)))
    found = plan_of(keras.Model(inputs, conv(1)(layers.ReLU()(x))))
    assert str(found) == "batch@pre-activation"
    assert {r.layer: r.reason for r in found.residue} == {
        "second": "it follows another normalization, first"
    }


def test_kinds_without_a_name_are_left() -> None:
    inputs = image(4)
    x = layers.ReLU()(layers.UnitNormalization(name="unit")(conv(4)(inputs)))
    assert "no kind that plans name" in residue_of(keras.Model(inputs, conv(1)(x)))["unit"]


def test_custom_layers_are_walked_around() -> None:
    inputs = image(4)
    x = BN(name="n")(Opaque(object(), name="opaque")(conv(4)(inputs)))
    found = residue_of(keras.Model(inputs, conv(1)(layers.ReLU()(x))))
    assert found == {"n": "no position means the output of opaque"}


def test_a_normalization_of_two_tensors_is_at_both() -> None:
    found = plan_of(built("shared_norm"))
    assert len(read_graph(built("shared_norm")).calls["shared"]) == 2
    assert str(found) == "none" and found.residue


def test_normalizations_of_constants_are_left() -> None:
    from normwise.graph.graph import Graph, Node, Tensor

    nodes = (Node("x", "x", "InputLayer"), Node("n", "n", "BatchNormalization", args=(1.0,)))
    found = infer_plan(Graph("m", "Functional", nodes, Tensor(0), Tensor(1)))
    assert [r.reason for r in found.residue] == ["it reads nothing"]


@pytest.mark.parametrize("name", sorted(unets.SAME_SIZE))
def test_hand_made_networks_without_normalization(name: str) -> None:
    found = plan_of(unets.SAME_SIZE[name][0]())
    assert (str(found), found.residue) == ("none", ())


def test_bridges_of_convolutions_can_be_normalized_at_the_skip() -> None:
    model = unets.unet(bridge=lambda: lambda x: conv(2, 1)(BN()(x)))
    assert str(plan_of(model)) == "batch@skip"


def test_reading_twice_gives_the_same() -> None:
    model = build("unet", (None, None, 3), norm="batch@pre-activation+skip", filters=2, depth=3)
    assert len({str(plan_of(model)) for _ in range(5)}) == 1


def gated(masked: str | None) -> keras.Model:
    """An attention gate by hand, its mask normalized or not."""
    inputs = keras.Input((8, 8, 2))

    def block(x: object, name: str) -> object:
        x = keras.layers.Conv2D(4, 3, padding="same", name=name)(x)
        return keras.layers.ReLU()(keras.layers.BatchNormalization()(x))

    tap = block(inputs, "enc")
    up = keras.layers.UpSampling2D()(block(keras.layers.MaxPooling2D()(tap), "mid"))
    mask = keras.layers.Conv2D(1, 1, name="mask")(block(keras.layers.Add()([tap, up]), "both"))
    if masked == "batch":
        mask = keras.layers.BatchNormalization(name="mask_norm")(mask)
    elif masked == "rms":
        mask = keras.layers.RMSNormalization(name="mask_norm")(mask)
    mask = keras.layers.Activation("sigmoid")(mask)
    x = keras.layers.Concatenate()([keras.layers.Multiply()([tap, mask]), up])
    return keras.Model(inputs, keras.layers.Conv2D(1, 1, name="head")(block(x, "dec")))


def test_a_mask_may_be_normalized_and_need_not() -> None:
    for masked in ("batch", None):
        plan = infer_plan(read_graph(gated(masked)))
        assert str(plan) == "batch@pre-activation" and not plan.residue
    other = infer_plan(read_graph(gated("rms")))
    assert str(other) == "batch@pre-activation"
    assert [residue.layer for residue in other.residue] == ["mask_norm"]
