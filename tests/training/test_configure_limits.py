"""Choices at the ends: much and little time, memory and image; and what is told of them."""

from dataclasses import replace

import pytest

from .test_configure import MASKS, TARGETS, choices, shares


def planned(made, seconds, fingerprint=MASKS):
    """Steps, and the seconds of training and validation, if a step with 16 filters takes so many.

    Pixels are validated in two thirds of the time in which they are trained.
    """
    seconds *= (made["network.filters"] / 16) ** 1.7
    steps = made["training.steps"] * made["training.epochs"]
    pixels = fingerprint.pixels * fingerprint.images["val"] / fingerprint.images["train"]
    rows, columns = made["data.patch"]
    validated = 2 / 3 * pixels / (made["training.batch_size"] * rows * columns)
    return steps, seconds * (steps + made["training.epochs"] * validated)


# Time. ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("seconds", [0.3, 2.0, 8.0, 20.0, 100.0])
@pytest.mark.parametrize("validating", [10, 1])
def test_on_a_slow_machine_the_planned_steps_fit_into_the_time(seconds, validating):
    images = {"train": 60, "val": validating, "test": 0}
    data = replace(MASKS, images=images)
    made, reasons = choices(data, seconds=seconds, budget=480.0)
    steps, both = planned(made, seconds, data)
    assert both <= 0.9 * 480
    assert "the rest of the 480 s" in reasons["training.steps"]
    if seconds > 1:
        assert f"only about {int(360 / (seconds * 0.35))} steps" in reasons["network.filters"]
    if seconds == 8:  # 2.46 s with 8 filters: 146 steps in three quarters of the time
        assert 100 <= steps <= 146


def test_where_not_even_one_step_fits_that_is_said():
    made, reasons = choices(seconds=1000.0)
    assert (made["training.steps"], made["training.epochs"]) == (1, 1)
    assert reasons["training.epochs"].startswith(
        "not even 1 epoch of a single step fits into the 300 s"
    )
    assert "the fewest, are more than the 300 s" in reasons["training.steps"]


def test_much_time_goes_into_width_and_steps_as_far_as_the_data_are_for():
    made, reasons = choices(budget=36000.0)
    steps, both = planned(made, 0.1)
    assert made["network.filters"] == 32
    assert steps == pytest.approx(300 * MASKS.pixels / (8 * 128 * 128), rel=0.01)
    assert both < 0.2 * 36000
    told = reasons["training.steps"]
    assert "more would fit into the 36000 s" in told and "seen about 299 times" in told
    assert "is for validation" not in told
    for pixels, width in ((50_000_000, 48), (200_000_000, 64)):
        large = replace(MASKS, pixels=pixels)
        made, reasons = choices(large, budget=36000.0)
        assert made["network.filters"] == width
        assert "very wide" in reasons["network.filters"]
        steps, both = planned(made, 0.1, large)
        assert 0.6 * 36000 <= both <= 0.9 * 36000
        assert "the rest of the 36000 s" in reasons["training.steps"]
        assert choices(large, budget=480.0)[0]["network.filters"] == 24
    small = replace(MASKS, pixels=100_000)
    made, reasons = choices(small, budget=36000.0)
    assert planned(made, 0.1, small)[0] == 3000
    assert "seen about 3932 times" in reasons["training.steps"]


def test_a_budget_that_is_told_is_what_is_planned_for():
    told, reasons = choices(told={"training.budget": 60}, seconds=0.15)
    short, _ = choices(budget=60.0, seconds=0.15)
    assert told == short and told != choices(seconds=0.15)[0]
    assert "the rest of the 60 s" in reasons["training.steps"]
    assert reasons["training.budget"] == "as you said"
    none, _ = choices(told={"training.budget": None}, seconds=0.15)
    assert none == {**choices(seconds=0.15)[0], "training.budget": None}


def test_epochs_follow_the_steps_that_are_told():
    for steps, most in ((10, 25), (400, 20), (2000, 20), (100_000, 1)):
        told = {"training.steps": steps, "network.filters": 16}
        made, reasons = choices(told=told)
        assert 1 <= made["training.epochs"] <= most
        if steps == 10:
            assert made["training.epochs"] == 25
        elif steps < 100_000:
            assert planned(made, 0.1)[1] <= 0.9 * 300
            assert f"of {steps} steps, as you said, fit" in reasons["training.epochs"]
    assert reasons["training.epochs"].startswith("not even 1 epoch of 100000 steps")


def test_no_steps_told_are_one_pass_over_the_images():
    told = {"training.steps": None, "training.epochs": 20}
    made, reasons = choices(told=told)
    assert made["training.steps"] is None
    passing = 39  # 5,000,000 pixels in patches of 8 x 128 x 128
    assert made["norm"] == "batch(momentum=0.94)@pre-activation"
    assert f"after the {passing} steps of an epoch" in reasons["norm"]
    assert f"of {20 * passing} steps" in reasons["training.ema"]


def test_validation_is_as_long_as_its_pixels_are_many():
    halves = replace(MASKS, images={"train": 1, "val": 1, "test": 0})
    common = {"seconds": 0.15, "budget": 480.0}
    made, _ = choices(halves, validating=MASKS.pixels // 4, **common)
    assert made["training.epochs"] == 25
    made, reasons = choices(halves, validating=MASKS.pixels, **common)
    assert made["training.epochs"] == 9
    assert "takes about 7.6 s" in reasons["training.epochs"]


def test_an_average_is_over_updates_of_the_weights():
    told = {"training.steps": 500, "training.epochs": 20, "training.accumulate": 10}
    made, reasons = choices(told=told)
    assert made["training.ema"] == 0.98
    assert "the last 50 of 1000 updates, and batch statistics" in reasons["training.ema"]
    _, reasons = choices(told={**told, "training.batch_size": 2, "training.accumulate": 1})
    assert "of 10000 steps: steadier" in reasons["training.ema"]


# Memory. --------------------------------------------------------------------------------------


def test_the_batch_is_measured_with_the_filters_that_are_told():
    made, reasons = choices(told={"network.filters": 128}, growing=1)
    assert made["training.batch_size"] == 5  # of 0.8 GB each, in half of 8 GB
    assert "763 MB a patch with 128 filters" in reasons["training.batch_size"]
    assert choices(growing=1)[0]["training.batch_size"] == 8
    _, reasons = choices(bytes_=10**10)
    assert "not even one fits into half" in reasons["training.batch_size"]


def test_a_network_is_only_as_wide_as_its_batches_fit_into_the_memory():
    made, reasons = choices(seconds=0.02, bytes_=3 * 10**8, growing=1)
    assert (made["network.filters"], made["training.batch_size"]) == (24, 8)
    assert "wider ones don't fit into half of the memory" in reasons["network.filters"]
    # Where the memory isn't that of the network's width it is measured.
    assert choices(seconds=0.02, bytes_=3 * 10**8)[0]["network.filters"] == 32
    told = {"training.batch_size": 64}
    made, reasons = choices(told=told, seconds=0.002, bytes_=3 * 10**8, growing=1)
    assert made["network.filters"] == 8
    assert reasons["network.filters"].startswith("not even a batch of the narrowest fits")


# Images and classes. --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("size", "patch", "depth"),
    [
        ((1, 2), (2, 2), 1),
        ((5, 7), (6, 8), 1),
        ((20, 31), (24, 32), 1),
        ((32, 32), (32, 32), 2),
        ((3, 100, 100), (4, 48, 48), 1),
    ],
)
def test_patches_of_small_images_are_hardly_larger_than_these(size, patch, depth):
    made, reasons = choices(replace(MASKS, smallest=size, median=size, largest=size))
    assert (made["data.patch"], made["network.depth"]) == (patch, depth)
    told = reasons["data.patch"]
    least = 32 if len(size) == 2 else 8
    assert ("all of a median image" in told) == (min(size) < least)
    assert ("three quarters" in told) == (max(size) >= least)


def test_patches_are_called_large_where_they_are():
    for side, patch in ((100, 64), (600, 256)):
        data = replace(MASKS, median=(side, side), classes=shares(0.5, 0.5, size=9000.0))
        made, reasons = choices(data)
        assert made["data.patch"] == (patch, patch)
        assert ("objects are large" in reasons["data.patch"]) == (patch == 256)


def test_classes_that_do_not_occur_are_told_apart():
    for given, told in (
        ((1.0, 0.0), "no class that occurs (1 of 2 does not) has less than 2%"),
        ((0.9, 0.1, 0.0, 0.0), "no class that occurs (2 of 4 do not) has less than 5%"),
        ((0.9, 0.1), "no class has less than 2%"),
        ((0.96, 0.04, 0.0), "the rarest class that occurs (1 of 3 does not) has 4.00%"),
    ):
        _, reasons = choices(replace(MASKS, classes=shares(*given)))
        assert reasons["training.class_weights"].startswith(told)


# Encoders. ------------------------------------------------------------------------------------


@pytest.mark.parametrize("normalized", [True, False])
def test_an_encoder_s_momentum_and_rate_suit_its_weights(monkeypatch, normalized):
    monkeypatch.setattr(
        "normwise.training.configure.structure._built_narrow", lambda *_: (32, normalized)
    )
    told = {"network.encoder": "ResNet50", "network.filters": 8, "training.steps": 36}
    begun = {**told, "network.weights": "resnet.weights.h5"}
    for given, rate, moving in (
        (told, 1e-3, True),
        (begun, 3e-4, True),
        ({**begun, "network.frozen": True}, 1e-3, False),
    ):
        made, reasons = choices(TARGETS, given)
        assert made["training.learning_rate"] == rate
        assert ("network.encoder_momentum" in made) == (normalized and moving)
        assert made["norm"] == "batch(momentum=0.94)@decoder:pre-activation"
        assert reasons["norm"].endswith("; the encoder keeps its own norms")
        if normalized and moving:
            assert made["network.encoder_momentum"] == 0.94
            assert "its own batch norms: 10.8%" in reasons["network.encoder_momentum"]
    assert "network.encoder_momentum" not in choices(TARGETS)[0]
