"""Whatever `configure` writes, `train` takes: choices follow from what is set, or it refuses."""

import random
import re
from functools import cache
from itertools import islice

import numpy as np
import pytest

from normwise.errors import DataError, NetworkError, PlanError, RecipeError
from normwise.networks import applications
from normwise.rasters import write_raster
from normwise.training.configure import Cost
from normwise.training.configure.cost import network_to_measure
from normwise.training.deep_supervision import head_sizes
from normwise.training.preparing import parts_of
from normwise.training.recipe import load_recipe
from normwise.workflows.configure import configure
from tests.weightless import weightless

KEY = re.compile(r"\b(?:data|network|training)\.[a-z_]+(?:\.[a-z_]+)?|\bnorm\b")
VALUES = {
    "network.name": ["unet", "residual", "attention", "nested", "question"],
    "network.depth": [1, 2, 3, 6],
    "network.filters": [2, 3, "[2, 4]", "[2, 4, 6]"],
    "network.deep_supervision": ["true", "false"],
    "network.upsampling": ["nearest", "bilinear", "transposed"],
    "network.blocks": [1, "[1, 1]"],
    "network.decoder_activation": ["relu"],
    "network.input_residual": ["true", "false"],
    "norm": ["group(groups=2)@pre-activation", "batch@decoder:pre-activation", "layer@input",
             "none", "batch@skip", "group@pre-activation"],
    "data.patch": [16, 33, 34, 64, "[16, 24]", "[8, 8, 8]", 500],
    "data.scaling": ["percentiles", "per-channel"],
    "data.percentiles": ["[2, 98]", "[98, 2]"],
    "data.sampling": ["class-balanced", 0.5],
    "data.fold": ["[2, 3]"],
    "training.batch_size": [1, 4],
    "training.loss": ["dice", "tversky", "focal+dice", "quantile", "gaussian", "huber", "mse"],
    "training.loss_options.quantiles": ["[0.2, 0.8]", "[0.5]"],
    "training.loss_options.huber_delta": [2],
    "training.loss_options.focal_gamma": [1],
    "training.loss_options.tversky_alpha": [0.4],
    "training.loss_options.label_smoothing": [0.1],
    "training.metric": ["iou", "mean_iou", "r2", "pinball", "nll"],
    "training.keep": ["best", "last"],
    "training.class_weights": ["[1, 2]", "balanced", "[1, 2, 3]"],
}  # fmt: skip


@pytest.fixture(scope="module")
def built():
    """What networks were built from already; the size of a batch makes no other one."""
    return set()


@pytest.fixture(autouse=True)
def _untrained():
    """Nothing here takes a step."""
    with weightless():
        yield


@pytest.fixture(autouse=True)
def quick(monkeypatch, built):
    """Networks are built as for measuring, but narrow, without a step and once."""

    def cost(channels, outputs, filters, chosen):
        narrow = filters if isinstance(filters, (list, tuple)) else 2
        of_network = {key: chosen[key] for key in chosen if key.startswith("network.")}
        of_network |= {"network.filters": narrow, "data.patch": chosen["data.patch"]}
        key = str((channels, outputs, sorted(of_network.items())))
        if key not in built:
            network_to_measure(channels, outputs, narrow, chosen)
            built.add(key)
        return Cost(0.1, 10**8)

    monkeypatch.setattr("normwise.training.configure.cost.measured_cost", cost)


def fill(root, kind):
    rng = np.random.default_rng(0)
    size = (12, 16, 16) if kind == "volumes" else (48, 40)
    for name in "abcdef":
        mask = rng.random(size) > 0.7
        image = (rng.normal(1000, 100, size) + 300 * mask).astype(np.float32)
        both = np.stack([image, image[::-1]], -1)
        write_raster(root / "images" / f"{name}.npy", both)
        labels = (0.1 * image[..., None] + 3) if kind == "targets" else mask[..., None]
        folder, dtype = ("targets", np.float32) if kind == "targets" else ("masks", np.uint8)
        write_raster(root / folder / f"{name}.npy", labels.astype(dtype))
    return root


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    root = tmp_path_factory.mktemp("settings")
    return {kind: fill(root / kind, kind) for kind in ("masks", "targets", "volumes")}


OF_MASKS = re.compile("sampling|class_weights|focal|tversky|smoothing|dice|iou")
OF_TARGETS = re.compile("residual|quantile|huber|gaussian|mse|r2|pinball|nll")


def combinations(kind):
    """Mostly of settings for the task, as those for the other are all refused alike."""
    rng, others = random.Random(kind), OF_MASKS if kind == "targets" else OF_TARGETS
    while True:
        keys = rng.sample(sorted(VALUES), rng.randint(1, 4))
        told = {key: rng.choice(VALUES[key]) for key in keys}
        if others.search(str(told)) and rng.random() < 0.8:
            continue
        # Not too wide for a test, where it isn't what is tried.
        yield {"network.filters": 2, "training.workers": 1, **told}


def settings_of(told):
    return [f"{key}={value}" for key, value in told.items()]


@cache
def fine(folder, *settings):
    """What `configure` makes of settings that go together; many tests ask for the same."""
    return configure(folder, settings=settings).recipe


def trainable(recipe):
    """What `train` does before its first step."""
    parts = parts_of(recipe)
    if len(parts.network.outputs) > 1:
        head_sizes(parts.network, parts.recipe.data.patch)
    return parts


@pytest.mark.parametrize(("kind", "count"), [("masks", 12), ("targets", 12), ("volumes", 6)])
def test_what_is_written_can_be_trained(folders, tmp_path, kind, count):
    outcomes = []
    for index, told in enumerate(islice(combinations(kind), count)):
        out = tmp_path / f"{index}.yaml"
        try:
            configure(folders[kind], settings=settings_of(told), out=out)
        except (RecipeError, DataError) as error:
            assert not out.exists()
            named = set(KEY.findall(str(error)))
            assert named & set(told) or isinstance(error, DataError), (told, error)
            outcomes.append(False)
            continue
        recipe = load_recipe(out)
        parts = trainable(recipe)
        assert all(side % 2 == 0 for side in parts.recipe.data.patch)
        outcomes.append(True)
    # Both ends are tried, else the combinations say nothing.
    assert 0.25 * count <= sum(outcomes) <= 0.9 * count


@pytest.mark.parametrize(
    ("kind", "told", "chosen"),
    [
        ("targets", {"training.loss": "quantile"}, {"network.input_residual": False}),
        ("targets", {"training.metric": "pinball"}, {"training.loss": "quantile"}),
        ("targets", {"training.metric": "nll"}, {"training.loss": "gaussian"}),
        ("targets", {"training.loss_options.huber_delta": 2}, {"training.loss": "huber"}),
        ("targets", {"network.deep_supervision": "true"}, {"network.input_residual": False}),
        ("targets", {}, {"network.input_residual": True}),
        ("masks", {"training.loss": "dice"}, {"training.class_weights": None}),
        ("masks", {"training.loss_options.tversky_alpha": 0.4},
         {"training.loss": "cross-entropy+tversky"}),
        ("masks", {"network.name": "question"}, {"data.patch": (64, 64), "network.depth": None}),
        ("masks", {"network.decoder_activation": "relu"}, {"network.name": "question"}),
        ("masks", {"network.blocks": "[1, 1, 1]"},
         {"network.name": "residual", "network.depth": 2}),
        ("masks", {"network.depth": 4}, {"data.patch": (32, 32)}),
        ("masks", {"network.filters": "[2, 4, 8]"}, {"network.depth": 2}),
        ("masks", {"data.patch": "[16, 20]"}, {"network.depth": 1}),
        ("masks", {"data.percentiles": "[2, 98]"}, {"data.scaling": "percentiles"}),
        ("masks", {"training.batch_size": 2, "network.filters": 6},
         {"norm": "group(groups=2)@pre-activation"}),
        ("masks", {"training.batch_size": 2, "network.filters": 4, "network.name": "attention"},
         {"norm": "group(groups=2)@pre-activation"}),
        ("volumes", {"network.deep_supervision": "true"}, {"network.depth": 2}),
    ],
)  # fmt: skip
def test_choices_follow_from_what_is_set(folders, kind, told, chosen):
    recipe = fine(folders[kind], *settings_of(told))
    for key, value in chosen.items():
        section, _, name = key.rpartition(".")
        found = getattr(getattr(recipe, section) if section else recipe, name)
        assert found == value, key
    if "network.filters" not in told:
        narrow = {"network.filters": 2, **told}
        recipe = fine(folders[kind], *settings_of(narrow))
    trainable(recipe)


@pytest.mark.parametrize("batch", [2, 8])
def test_the_plan_is_the_network_s_own(folders, batch):
    settings = [f"training.batch_size={batch}", "network.filters=4"]
    kind = "batch(momentum=0.94)" if batch == 8 else "group(groups=4)"
    plans = {
        "unet": "@pre-activation",
        "question": "@encoder:post-activation/raw-skip",
    }
    for name, place in plans.items():
        told = [*settings, f"network.name={name}", "training.steps=36"]
        recipe = configure(folders["masks"], settings=told).recipe
        assert recipe.norm == f"{kind}{place}"
        trainable(recipe)


@pytest.mark.parametrize(
    ("kind", "told"),
    [
        ("targets", {"network.input_residual": "true", "training.loss": "quantile"}),
        ("targets", {"network.input_residual": "true", "network.deep_supervision": "true"}),
        ("targets", {"network.input_residual": "true", "training.metric": "nll"}),
        ("targets", {"training.loss": "mse", "training.metric": "pinball"}),
        ("targets", {"training.loss": "mse", "training.loss_options.huber_delta": 2}),
        ("targets", {"training.metric": "nll", "training.loss_options.huber_delta": 2}),
        ("masks", {"training.loss": "dice", "training.class_weights": "[1, 2]"}),
        ("masks", {"training.loss": "focal", "training.loss_options.tversky_alpha": 0.4}),
        ("masks", {"network.name": "question", "network.depth": 3}),
        ("masks", {"network.name": "question", "network.filters": 3}),
        ("masks", {"network.name": "question", "data.patch": 32}),
        ("masks", {"network.name": "question", "norm": "batch@decoder:pre-activation"}),
        ("masks", {"network.name": "unet", "network.blocks": 2}),
        ("masks", {"network.blocks": 2, "network.decoder_activation": "relu"}),
        ("masks", {"network.depth": 6, "network.decoder_activation": "relu"}),
        ("masks", {"network.depth": 3, "data.patch": 36}),
        ("masks", {"network.depth": 1, "network.deep_supervision": "true"}),
        ("masks", {"data.patch": 34, "network.deep_supervision": "true"}),
        ("masks", {"network.depth": 3, "network.filters": "[2, 4]"}),
        ("masks", {"network.filters": "[2, 4]", "network.blocks": "[1, 1, 1]"}),
        ("masks", {"network.filters": 4, "norm": "group(groups=8)@pre-activation"}),
    ],
)
def test_what_cannot_go_together_names_both(folders, tmp_path, kind, told):
    with pytest.raises(RecipeError) as caught:
        configure(folders[kind], settings=settings_of(told), out=tmp_path / "recipe.yaml")
    assert set(told) <= set(KEY.findall(str(caught.value))), caught.value
    assert not (tmp_path / "recipe.yaml").exists()
    for key in told:  # each by itself is fine
        alone = {other: value for other, value in told.items() if other != key}
        narrow = {} if key == "network.filters" else {"network.filters": 2}
        fine(folders[kind], *settings_of({**narrow, **alone}))


def test_an_encoder_has_a_stride_and_a_plan_of_its_own(folders, monkeypatch):
    # It is built once: the networks have copies of its layers.
    monkeypatch.setattr(applications, "application", cache(applications.application))
    told = ["network.encoder=MobileNetV2", "network.filters=2", "training.steps=36"]
    recipe = configure(folders["masks"], settings=told).recipe
    assert (recipe.network.name, recipe.network.depth) == ("encoder", None)
    assert recipe.norm == "batch(momentum=0.94)@decoder:pre-activation"
    assert all(side % 32 == 0 for side in recipe.data.patch)
    trainable(recipe)
    for more, key in (("network.depth=3", "network.depth"), ("data.patch=48", "data.patch")):
        with pytest.raises(RecipeError) as caught:
            configure(folders["masks"], settings=[*told, more])
        assert key in str(caught.value)
        assert re.search(r"network\.(encoder|name)", str(caught.value))


def test_train_would_refuse_what_configure_adapts(folders):
    """The control: with the choices for other settings these recipes can't be trained."""
    usual = configure(folders["targets"], settings=["network.filters=2"]).recipe
    assert usual.network.input_residual
    training = usual.training.model_copy(update={"loss": "quantile"})
    with pytest.raises(RecipeError, match="several outputs a target"):
        trainable(usual.model_copy(update={"training": training}))
    network = usual.network.model_copy(update={"name": "question"})
    with pytest.raises((NetworkError, PlanError, RecipeError)):
        trainable(usual.model_copy(update={"network": network}))
