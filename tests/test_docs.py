"""What README and docs tell a reader to type works, on a small folder with a small budget."""

import json
import re
import shlex
import shutil
from contextlib import chdir
from inspect import signature
from pathlib import Path

import numpy as np
import pytest
import yaml

import normwise as nw
from normwise.data.description import Description
from normwise.files import write_text
from normwise.rasters import write_raster
from normwise.training.configure import Cost
from normwise.training.finished_run import Run
from normwise.training.metrics import Metrics
from normwise.workflows import train as training
from tests.commands import normwise

pytestmark = pytest.mark.usefixtures("no_pictures")

ROOT = Path(__file__).parents[1]
PAGES = [
    "README.md",
    "docs/plans.md",
    "docs/networks.md",
    "docs/data.md",
    "docs/training.md",
    "docs/surgery.md",
    "docs/check.md",
    "docs/distributed.md",
    "docs/compare.md",
    "docs/predict.md",
    "docs/export.md",
    "docs/recipe.md",
]
SMALL = (
    "--set training.epochs=1 --set training.steps=2 --set network.filters=4 "
    "--set network.depth=1 --set data.patch=32"
)


def blocks(page: str, language: str) -> list[str]:
    """Fenced blocks of a language in a page."""
    return re.findall(rf"```{language}\n(.*?)```", (ROOT / page).read_text(), re.DOTALL)


def make_rivers(folder: Path) -> None:
    rng = np.random.default_rng(0)
    for name in "abcdef":
        mask = (rng.random((8, 8)) > 0.6).repeat(8, 0).repeat(8, 1)
        image = rng.normal(1000, 100, (64, 64, 4)) + 800 * mask[..., None]
        for kind, array in (("images", image.astype(np.int16)), ("masks", mask.astype(np.uint8))):
            (folder / kind).mkdir(parents=True, exist_ok=True)
            suffix = "tif" if kind == "images" else "png"
            write_raster(folder / kind / f"{name}.{suffix}", array)
    splits = zip("abcdef", ["train"] * 4 + ["val", "test"], strict=True)
    write_text(folder / "split.csv", "name,split\n" + "".join(f"{n},{s}\n" for n, s in splits))


@pytest.fixture(scope="module", autouse=True)
def _quick():
    """`configure` trains no network to measure it; tests/workflows/test_configure.py does."""
    with pytest.MonkeyPatch.context() as patch:
        cost = "normwise.training.configure.cost.measured_cost"
        patch.setattr(cost, lambda *_: Cost(0.1, 10**8))
        yield


@pytest.fixture(scope="module")
def things(tmp_path_factory):
    """What the reader of the pages has: a model, data, a recipe, images."""
    folder = tmp_path_factory.mktemp("things")
    make_rivers(folder / "rivers")
    nw.build("question", (128, 128, 9)).save(folder / "model.keras")
    scene = np.random.default_rng(1).normal(size=(75, 130, 9)).astype(np.float32)
    (folder / "new_images").mkdir()
    write_raster(folder / "new_images" / "scene.npy", scene)
    recipe = next(b for b in blocks("docs/data.md", "yaml") if "path: rivers" in b)
    (folder / "recipe.yaml").write_text(recipe)
    return folder


@pytest.fixture(scope="module")
def trained(things, tmp_path_factory):
    """A run on the data."""
    out = tmp_path_factory.mktemp("trained") / "run"
    done = normwise("train", "rivers", "-o", out, *shlex.split(SMALL), cwd=things)
    assert done.returncode == 0, done.stderr
    return out


TRAIN = signature(training.train)


def trained_before(*arguments, **options):
    """In place of `nw.train`: the run that is there, for a page's commands train enough."""
    told = TRAIN.bind(*arguments, **options).arguments
    assert Path(training.recipe_of(told["recipe"]).data.path).name == "rivers"
    folder = Path(told["out"])
    metrics = Metrics.of(json.loads((folder / "metrics.json").read_text()))
    return Run(folder, metrics, history=None, best_epoch=1)


@pytest.fixture
def desk(things, tmp_path):
    """A folder with all of it, for a page of its own."""
    return Path(shutil.copytree(things, tmp_path / "desk"))


def runs_that_are_there(page: str) -> set[str]:
    """Those that a page uses without training them."""
    text = "".join(blocks(page, "bash") + blocks(page, "python"))
    return set(re.findall(r"runs/\w+", text)) - set(re.findall(r"-o (runs/\w+)", text))


@pytest.mark.parametrize("page", PAGES)
def test_commands_and_code_of(page, desk, request):
    for run in runs_that_are_there(page):
        shutil.copytree(request.getfixturevalue("trained"), desk / run)
    for block in blocks(page, "bash"):
        for line in block.splitlines():
            command = line.partition("#")[0].strip()
            if not command.startswith("normwise"):
                continue
            trains = command.startswith("normwise train") and "--resume" not in command
            compares = command.startswith("normwise compare")
            small = f"{SMALL} --seeds 1" if compares else SMALL
            told = f"{command} {small}".replace("--folds 3", "--folds 2")
            words = shlex.split(told if trains or compares else command)
            done = normwise(*words[1:], cwd=desk)
            assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"
    for block in blocks(page, "python"):
        small = block.replace("512, 512", "128, 128")
        with chdir(desk), pytest.MonkeyPatch.context() as patch:
            patch.setattr(training, "train", trained_before)
            exec(compile(small, page, "exec"), {"__name__": "__main__"})


def test_the_findings_that_the_readme_shows(things):
    done = normwise("check", "model.keras", "--fail-on", "never", cwd=things)
    said = " ".join(done.stdout.split())
    (shown,) = (b for b in blocks("README.md", "text") if "NW1" in b)
    for line in shown.splitlines():
        assert " ".join(line.split()) in said


def test_the_runs_that_pages_need_are_known():
    assert runs_that_are_there("README.md") == set()
    assert runs_that_are_there("docs/predict.md") == {"runs/rivers"}
    assert runs_that_are_there("docs/training.md") == {"runs/first"}
    assert runs_that_are_there("docs/data.md") == {"runs/py"}


def test_what_stands_in_dataset_yaml_can_be_read():
    (shown,) = (b for b in blocks("docs/data.md", "yaml") if "classes:" in b)
    found = Description.model_validate(yaml.safe_load(shown))
    assert found.class_ids == {0: 0, 255: 1}
    assert found.nodata == -9999 and len(found.bands or ()) == 4


def test_every_make_target_of_the_pages_exists():
    makefile = (ROOT / "Makefile").read_text()
    named = set(re.findall(r"`?make ([a-z-]+)`?", (ROOT / "README.md").read_text()))
    assert {"demo", "test"} <= named
    for target in named:
        assert re.search(rf"^{target}:", makefile, re.MULTILINE), target


def test_links_of_the_pages_lead_somewhere():
    for page in PAGES:
        text = (ROOT / page).read_text()
        for link in re.findall(r"\]\(([^)#]+)\)", text):
            if not link.startswith("http"):
                assert ((ROOT / page).parent / link.strip()).exists(), f"{page}: {link}"


def test_a_wrong_command_is_noticed(tmp_path):
    done = normwise("show", "gone.keras", cwd=tmp_path)
    assert done.returncode == 2
    assert "no such file" in done.stderr
