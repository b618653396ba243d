"""Choices follow from the data, the machine and the time; each can be overruled."""

from dataclasses import replace

import numpy as np
import pytest

from normwise.data.fingerprint import ClassTraits, Exposure, Fingerprint, TargetTraits, Values
from normwise.data.objects import ObjectSizes
from normwise.training.configure import CHOOSERS, Cost, Situation, choose
from normwise.training.recipe import Recipe, known_keys


def values(name="a", top=100.0):
    return Values(name, 0.0, top, 10.0, 5.0, (0, 1, 5, 10, 15, 30, 40), 4.0, 0.0)


def shares(*numbers, size=200.0, images=0.7):
    objects = ObjectSizes(9, 20.0, size, 900.0, images)
    return tuple(ClassTraits(f"class {i}", share, objects) for i, share in enumerate(numbers))


MASKS = Fingerprint(
    root="data", task="segmentation", dtype="uint8", nodata=None,
    images={"train": 60, "val": 10, "test": 20}, pixels=5_000_000,
    smallest=(256, 256), median=(256, 300), largest=(512, 512),
    channels=(values(),), exposure=(Exposure(2.0, 0.1, 0.0),), correlation=((1.0,),),
    classes=shares(0.8, 0.2), targets=(), relations=(), leaks=(), notes=(),
)  # fmt: skip
TARGETS = replace(
    MASKS, task="regression", classes=(), targets=(values("t"),),
    relations=(TargetTraits("a", 0.3, 0.1),),
)  # fmt: skip


def choices(
    fingerprint=MASKS, told=None, seconds=0.1, memory=8 * 2**30, budget=300.0, bytes_=10**8,
    validating=None, growing=0,
):  # fmt: skip
    """The choices and their reasons, where a step with 16 filters takes so many seconds."""

    def cost(filters, chosen):
        assert "training.batch_size" in chosen
        ratio = filters / 16
        return Cost(seconds * ratio**1.7, round(bytes_ * ratio**growing))

    if validating is None:
        images = fingerprint.images
        validating = fingerprint.pixels * images["val"] // images["train"]
    made = choose(Situation(fingerprint, budget, memory, cost, validating), told or {})
    assert all(choice.reason for choice in made)
    return {choice.key: choice.value for choice in made}, {c.key: c.reason for c in made}


@pytest.mark.parametrize("fingerprint", [MASKS, TARGETS])
def test_choices_make_a_recipe(fingerprint):
    made, _ = choices(fingerprint)
    assert set(made) <= set(CHOOSERS) <= {*known_keys(), "network.encoder_momentum"}
    nested = {}
    for key, value in made.items():
        *path, last = key.split(".")
        section = nested
        for part in path:
            section = section.setdefault(part, {})
        section[last] = value
    nested["data"]["path"] = "data"
    recipe = Recipe(**nested)
    assert recipe.data.patch == (128, 128)
    assert all(side % 2**recipe.network.depth == 0 for side in recipe.data.patch)


def test_uneven_exposure_is_scaled_by_percentiles_unless_levels_mean_something():
    uneven = (Exposure(8.0, 0.9, 0.0), Exposure(6.0, 0.9, 0.0), Exposure(9.0, 0.9, 0.0))
    made, reasons = choices(replace(MASKS, exposure=uneven))
    assert made["data.scaling"] == "percentiles"
    assert made["data.percentiles"] == (1.0, 99.8)
    assert "8.0-fold" in reasons["data.scaling"]
    flat = (*uneven[:2], Exposure(9.0, 0.9, 0.2))
    few = replace(MASKS, exposure=uneven, images={"train": 3, "val": 1, "test": 0})
    for other in (MASKS, replace(MASKS, exposure=flat), few, replace(TARGETS, exposure=uneven)):
        made, _ = choices(other)
        assert made["data.scaling"] == "per-channel"
        assert "data.percentiles" not in made


def test_a_channel_that_tells_images_apart_is_shifted():
    channels = (values("red"), values("nir"), values("dem"))
    exposure = (Exposure(2.0, 0.4, 0.0), Exposure(2.0, 0.6, 0.0), Exposure(2.0, 0.99, 0.0))
    own = tuple(tuple(float(a == b) for a in range(3)) for b in range(3))
    mixed = replace(MASKS, channels=channels, exposure=exposure, correlation=own)
    made, reasons = choices(mixed)
    assert made["data.augmentation.offset"] == (0.0, 0.0, 1.0)
    assert "dem:" in reasons["data.augmentation.offset"]
    alike = replace(mixed, exposure=exposure[2:] * 3)
    even = replace(mixed, exposure=exposure[:1] * 3)
    many = replace(mixed, images={"train": 5000, "val": 10, "test": 20})
    targets = replace(mixed, task="regression", targets=TARGETS.targets, classes=(),
                      relations=(TargetTraits("red", 0.9, 0.9),))  # fmt: skip
    for other in (alike, even, many, targets):
        assert choices(other)[0]["data.augmentation.offset"] is None
    percentiles = choices(mixed, {"data.scaling": "percentiles"})[0]
    assert percentiles["data.augmentation.offset"] is None


def test_momentum_follows_the_steps():
    made, reasons = choices(seconds=0.15)
    assert made["norm"] == "batch(momentum=0.96)@pre-activation"
    assert 0.05 < 0.96 ** made["training.steps"] < 0.12
    assert "at 0.99" in reasons["norm"]
    told, reasons = choices(told={"training.steps": 100})
    assert told["norm"] == "batch(momentum=0.98)@pre-activation"
    assert "(at 0.99 it would be 37%)" in reasons["norm"]


def test_validation_leaves_the_time_to_training():
    # 5,000,000 pixels in 60 images train, 10 images validate; a step takes 8 patches of 128 x 128.
    validated = 2 / 3 * 5_000_000 * 10 / 60 / (8 * 128 * 128)
    for budget, pixels in ((60.0, 1), (600.0, 1), (600.0, 20), (600.0, 100)):
        mixed = replace(MASKS, pixels=MASKS.pixels * pixels)
        made, reasons = choices(mixed, {"network.filters": 16}, 0.15, budget=budget)
        each, epochs = validated * pixels * 0.15, made["training.epochs"]
        training = made["training.steps"] * epochs * 0.15
        if epochs == 25:
            assert 25 * each <= 0.15 * budget and "rarely enough" in reasons["training.epochs"]
        else:
            assert f"takes about {each:.2g} s" in reasons["training.epochs"]
        assert training + epochs * each <= 0.9 * budget
        assert training + epochs * each >= 0.7 * budget
    assert epochs == 5
    told, _ = choices(told={"training.epochs": 100, "network.filters": 16}, seconds=0.15)
    assert told["training.epochs"] == 100
    beyond = 100 * validated * 0.15 - 0.15 * 300
    steps = (0.75 * 300 - beyond) / 0.15
    assert 0 < beyond < 30
    assert told["training.steps"] == int(steps) // 100


def test_steps_fill_the_time_and_width_leaves_enough_of_them():
    narrow, _ = choices(seconds=0.15)
    wide, _ = choices(seconds=0.02)
    assert narrow["network.filters"] == 16
    assert narrow["training.steps"] * narrow["training.epochs"] == pytest.approx(1500, rel=0.03)
    assert wide["network.filters"] == 32
    assert wide["training.steps"] * wide["training.epochs"] == pytest.approx(3460, rel=0.03)
    longer, _ = choices(seconds=0.15, budget=1200.0)
    assert longer["network.filters"] == 32
    assert longer["training.budget"] == 1200
    small, _ = choices(replace(MASKS, pixels=100_000), seconds=0.02)
    assert small["network.filters"] == 16


def test_weights_are_averaged_over_a_twentieth_of_the_steps():
    told = {"training.steps": 50, "training.epochs": 20}
    assert choices(told=told)[0]["training.ema"] == 0.98
    assert choices(told={**told, "training.steps": 2})[0]["training.ema"] == 0.9
    assert choices(told={**told, "training.steps": 5000})[0]["training.ema"] == 0.999


def test_the_batch_fits_the_memory_and_small_ones_have_no_batch_norm():
    assert choices()[0]["training.batch_size"] == 8
    made, reasons = choices(memory=2**30, bytes_=200 * 2**20)
    assert made["training.batch_size"] == 2
    assert made["norm"].startswith("group")
    assert "half" in reasons["training.batch_size"]


def test_small_images_get_small_patches_and_shallow_networks():
    made, _ = choices(replace(MASKS, median=(50, 70), smallest=(40, 40)))
    assert made["data.patch"] == (32, 32)
    assert made["network.depth"] == 2
    assert made["training.batch_size"] == 16
    large = replace(MASKS, median=(600, 600), classes=shares(0.5, 0.5, size=9000.0))
    assert choices(large)[0]["data.patch"] == (256, 256)
    volume, _ = choices(replace(MASKS, median=(12, 100, 100), smallest=(12, 90, 90)))
    assert volume["data.patch"] == (8, 48, 48)
    assert volume["network.depth"] == 1


def test_rare_classes_have_weights_whose_mean_over_pixels_is_1():
    assert choices()[0]["training.class_weights"] is None
    fractions = (0.9, 0.09, 0.01)
    weights = choices(replace(MASKS, classes=shares(*fractions)))[0]["training.class_weights"]
    mean = sum(w * s for w, s in zip(weights, fractions, strict=True))
    assert mean == pytest.approx(1, abs=2e-3)
    assert weights[2] / weights[1] == pytest.approx(3, rel=2e-3)
    absent = choices(replace(MASKS, classes=shares(0.95, 0.04, 0.01, 0.0)))[0]
    assert absent["training.class_weights"][3] == 1


def test_targets_that_follow_the_channels_are_predicted_as_differences():
    made, reasons = choices(TARGETS)
    assert (made["network.input_residual"], made["training.loss"]) == (False, "mean-squared")
    assert made["data.augmentation.intensity"] > 0
    near = replace(TARGETS, relations=(TargetTraits("a", 0.99, 0.97),))
    made, reasons = choices(near)
    assert made["network.input_residual"] is True
    assert made["data.augmentation.intensity"] == 0
    assert "97.0%" in reasons["network.input_residual"]
    far = replace(TARGETS, targets=(values("t", top=1000.0),))
    assert choices(far)[0]["training.loss"] == "huber"
    assert "network.input_residual" not in choices(MASKS)[0]


def test_channels_that_are_alike_change_little_on_their_own():
    assert choices()[0]["data.augmentation.intensity"] == 0.1
    r = 0.99  # leaves the root of 1 - r2 = 0.14 to each of two channels
    made, reasons = choices(replace(MASKS, correlation=((1.0, r), (r, 1.0))))
    assert made["data.augmentation.intensity"] == 0.04
    assert "only 14%" in reasons["data.augmentation.intensity"]
    copies, _ = choices(replace(MASKS, correlation=((1.0, 1.0), (1.0, 1.0))))
    assert copies["data.augmentation.intensity"] == 0


def test_channels_that_are_nearly_collinear_change_together():
    rng = np.random.default_rng(0)
    pixels = rng.normal(size=(20_000, 5)) @ rng.normal(size=(5, 30))
    correlation = np.corrcoef((pixels + 0.003 * rng.normal(size=pixels.shape)).T)
    # Rounding makes it indefinite, so that what a channel has of its own seems to be no number.
    rounded = correlation.round(4)
    assert np.linalg.eigvalsh(rounded).min() < -1e-4
    for matrix in (correlation, rounded):
        made, reasons = choices(replace(MASKS, correlation=tuple(map(tuple, matrix.tolist()))))
        assert made["data.augmentation.intensity"] == 0
        assert "only 1%" in reasons["data.augmentation.intensity"]


def test_constant_channels_say_nothing_of_the_others():
    nan = float("nan")
    alone, _ = choices(replace(MASKS, correlation=((1.0, nan), (nan, nan))))
    assert alone["data.augmentation.intensity"] == 0.1
    pair = ((1.0, nan, 0.99), (nan, nan, nan), (0.99, nan, 1.0))
    assert choices(replace(MASKS, correlation=pair))[0]["data.augmentation.intensity"] == 0.04
    nothing, _ = choices(replace(MASKS, correlation=((nan,),)))
    assert nothing["data.augmentation.intensity"] == 0.1


def test_what_is_told_stands_and_the_rest_follows_from_it():
    told = {"data.patch": (64, 64), "network.filters": 8, "training.batch_size": 2}
    made, reasons = choices(told=told)
    assert {key: made[key] for key in told} == told
    assert reasons["network.filters"] == "as you said"
    assert made["network.depth"] == 3
    assert made["norm"].startswith("group")


def test_patches_are_turned_and_sized_where_that_blurs_no_target():
    made, _ = choices()
    assert made["data.augmentation.angle"] == 180 and made["data.augmentation.scale"] == 0.2
    still, _ = choices(told={"data.augmentation.rotations": False})
    assert still["data.augmentation.angle"] == 0 and still["data.augmentation.scale"] == 0.2
    sharpened = replace(TARGETS, relations=(TargetTraits("a", 0.9, 0.9),))
    for fingerprint, told in ((sharpened, {}), (TARGETS, {"network.input_residual": True})):
        made, reasons = choices(fingerprint, told)
        assert made["data.augmentation.angle"] == made["data.augmentation.scale"] == 0
        assert "blur" in reasons["data.augmentation.angle"]


def test_views_are_averaged_that_training_has_shown():
    assert choices()[0]["prediction.tta"] == "flips-and-turns"
    for told, views in (("rotations", "flips"), ("flips", "none")):
        made, _ = choices(told={f"data.augmentation.{told}": False})
        assert made["prediction.tta"] == views
    volumes = replace(MASKS, smallest=(64,) * 3, median=(64,) * 3, largest=(64,) * 3)
    assert choices(volumes)[0]["prediction.tta"] == "flips"


def test_an_epoch_is_judged_image_by_image_where_all_have_the_foreground():
    made, reasons = choices(replace(MASKS, classes=shares(0.8, 0.2, images=1.0)))
    assert made["training.metric"] == "mean_image_iou"
    assert "100% of the images" in reasons["training.metric"]
    made, reasons = choices(replace(MASKS, classes=shares(0.8, 0.2, images=0.9)))
    assert made["training.metric"] == "iou"
    assert "90% of the images" in reasons["training.metric"]
    made, _ = choices(replace(MASKS, classes=shares(0.5, 0.3, 0.2, images=1.0)))
    assert made["training.metric"] == "mean_iou"


def test_few_images_choose_no_epoch():
    made, reasons = choices(replace(MASKS, images={"train": 20, "val": 5, "test": 0}))
    assert made["training.keep"] == "best" and "5 images validate" in reasons["training.keep"]
    few = replace(MASKS, images={"train": 10, "val": 2, "test": 0})
    made, reasons = choices(few)
    assert made["training.keep"] == "last" and "only 2 images validate" in reasons["training.keep"]
    for told in ({"training.early_stopping": 3}, {"training.schedule": "constant"}):
        assert choices(few, told=told)[0]["training.keep"] == "best"
