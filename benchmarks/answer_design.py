"""What `make answer` measures: the data sets, the trainings, and the claims that they speak to.

Everything is fixed here before anything is trained: which two variants are compared for a claim,
on which sets, and which comparisons are corrected together.
"""

import hashlib
import json
import shlex
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from normwise.comparison.experiment import Experiment, Trial, Variant, variants_of
from normwise.training.recipe import Recipe
from normwise.training.recipe_changes import with_settings

EPOCHS, STEPS = 3, 100
"""Of each training; steps are an epoch's."""

BN = "batch(momentum=0.967)"
"""With Keras' own momentum of 0.99 the statistics would still be cold after so few steps
(`cold-statistics`); this is the momentum that the rule's fix names for them."""

BATCH, RAW = f"{BN}@pre-activation", f"{BN}@encoder:post-activation/raw-skip"
AFTER, DOWN = f"{BN}@post-activation", f"{BN}@before-downsampling"
GROUP, INSTANCE = "group(groups=4)@pre-activation", "instance@pre-activation"
INPUT, INPUT_DOWN = f"{BN}@input", f"{BN}@input+before-downsampling"
NORMALIZED = f"{BN}@encoder:post-activation"
PRE_ENCODER = f"{BN}@encoder:pre-activation"


@dataclass(frozen=True)
class DataSet:
    """A real data set.

    Attributes:
        name: Of its folder.
        what: What is learned from what.
        source: Where it comes from, with its licence.
        settings: What must be told for it.
        residual: Whether the U-Net predicts what a linear function of the input leaves.
    """

    name: str
    what: str
    source: str
    settings: tuple[str, ...] = ()
    residual: bool = False


@dataclass(frozen=True)
class Part:
    """Trainings of one network under several plans.

    Attributes:
        name: For `--only`.
        what: In words.
        plans: Norm plans.
        vary: Settings that vary beside them.
        settings: The network and its patches.
        epochs: Of each training.
        steps: Of each epoch.
    """

    name: str
    what: str
    plans: tuple[str, ...]
    settings: tuple[str, ...]
    vary: tuple[str, ...] = ()
    epochs: int = EPOCHS
    steps: int = STEPS

    @property
    def variants(self) -> tuple[Variant, ...]:
        """What is compared."""
        return variants_of(self.plans, self.vary)

    def all_settings(self, data_set: DataSet) -> tuple[str, ...]:
        """Every setting of its trainings on a set."""
        residual = data_set.residual and "network.name=question" not in self.settings
        # Two images of isl_fluor validate: among its epochs they would choose by chance.
        length = (
            f"training.epochs={self.epochs}",
            f"training.steps={self.steps}",
            "training.keep=last",
        )
        more = ("network.input_residual=true",) if residual else ()
        return (*data_set.settings, *self.settings, *more, *length)

    def experiment(self, data_set: DataSet, data: Path, seeds: int) -> Experiment:
        """The comparison on a set, as `normwise compare` makes it."""
        base = Recipe(data={"path": str((data / data_set.name).resolve())})
        settings = self.all_settings(data_set)
        return Experiment(with_settings(base, settings), self.variants, seeds)

    def key(self, data_set: DataSet, variant: Variant) -> str:
        """Changes with whatever would change a training's number, but for its seed."""
        recipe = self.experiment(data_set, Path(), 1).recipe(Trial(variant, 0))
        elsewhere = {"data": {"path"}, "training": {"seed"}}
        content = [data_set.name, recipe.model_dump(mode="json", exclude=elsewhere)]
        return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:12]

    def command(self, data_set: DataSet, seeds: int) -> str:
        """What a user types for the same trainings."""
        words = ["normwise", "compare", data_set.name]
        words += [word for plan in self.plans for word in ("--norm", plan)]
        words += [word for text in self.vary for word in ("--vary", text)]
        words += [word for text in self.all_settings(data_set) for word in ("--set", text)]
        return shlex.join([*words, "--seeds", str(seeds), "-o", f"{data_set.name}-{self.name}"])


@dataclass(frozen=True)
class Cell:
    """The trainings of a part under one variant, and what they are called in sentences."""

    part: str
    variant: str
    name: str


@dataclass(frozen=True)
class Contrast:
    """Two cells whose trainings are paired seed by seed."""

    one: Cell
    other: Cell

    @property
    def name(self) -> str:
        """For tables."""
        return f"{self.one.name} against {self.other.name}"

    @property
    def with_network(self) -> str:
        """The same for tables of several claims, which don't say that it is the question's."""
        own = "question's network"
        unsaid = self.one.part.startswith("question") and own not in self.name
        return f"{own}, {self.name}" if unsaid else self.name


@dataclass(frozen=True)
class Claim:
    """A piece of the question or of its answers, and what was measured for it.

    Attributes:
        title: A short question.
        said: What was said, or what nobody said.
        contrasts: What is compared; all of them on all sets are corrected together. No two claims
            compare the same trainings, or one result would be corrected twice and count as two.
        rules: Rules of `check` whose pages hold published evidence.
        evidence: Further evidence.
        note: How the numbers are to be read.
    """

    title: str
    said: str
    contrasts: tuple[Contrast, ...]
    note: str
    rules: tuple[str, ...] = ()
    evidence: tuple[str, ...] = ()


SETS = (
    DataSet(
        "isl_fluor",
        "regression: 13 planes of phase contrast to 3 fluorescence channels; of 12 images of "
        "128x128 the seed draws 10 to train and 2 to validate, 4 others are measured",
        "Christiansen et al. 2018 (google/in-silico-labeling, Apache-2.0)",
    ),
    DataSet(
        "dsb2018_subset",
        "segmentation of nuclei, of very uneven exposure; of 94 images of 256x256 to 1024x1024 the "
        "seed draws 85 to train and 9 to validate, 36 others are measured",
        "Caicedo et al. 2019 (Data Science Bowl 2018, CC0 1.0)",
        # A tenth validates: these images are large, and validating them costs more than training.
        ("data.labels=masks", "data.validation=0.1"),
    ),
    DataSet(
        "s2_bands",
        "regression: sharp 20 m bands of Sentinel-2 from blurred ones, 10 channels to 6; a part of "
        "each of 2 scenes trains (its last fifth validates), another is measured",
        "Lanaras et al. 2018 (CC BY 4.0, European Commission (Copernicus), ESA)",
        ("training.metric=rmse",),
        residual=True,
    ),
    DataSet(
        "hls_water",
        "segmentation of water in 9 channels; of 73 images of 128x128 the seed draws 58 to train "
        "and 15 to validate, 26 others are measured",
        "Landsat-8/9 HLS with Copernicus DEM and JRC surface water; who made the labels is not "
        "stated, and images are not shown",
        ("data.labels=masks",),
    ),
)

_UNET = ("network.name=unet", "network.filters=8", "network.depth=3", "data.patch=64")
_QUESTION = ("network.name=question", "data.patch=128", "training.batch_size=8")

PARTS = (
    Part(
        "where",
        "a U-Net with 8 filters and 3 down-sampling steps, batches of 8 patches of 64x64",
        ("none", BATCH, AFTER, DOWN, INPUT, INPUT_DOWN, GROUP, INSTANCE),
        (*_UNET, "training.batch_size=8"),
    ),
    Part(
        "small-batches",
        "the same U-Net, with 1 and 2 patches a batch",
        (BATCH, GROUP),
        _UNET,
        ("training.batch_size=1,2",),
    ),
    Part(
        "question",
        "the network of the question, batches of 8 patches of 128x128",
        (RAW, NORMALIZED),
        _QUESTION,
        ("network.decoder_activation=null,relu",),
    ),
    Part(
        "question-plans",
        "the network of the question as asked, under two more plans",
        ("none", PRE_ENCODER),
        _QUESTION,
    ),
)


def _where(variant: str, name: str) -> Cell:
    return Cell("where", variant, name)


def _small(plan: str, size: int, name: str) -> Cell:
    return Cell("small-batches", f"{plan} · training.batch_size={size}", f"{name} at {size}")


def _asked(plan: str, activation: str, name: str) -> Cell:
    return Cell("question", f"{plan} · network.decoder_activation={activation}", name)


_NONE, _PRE = _where("none", "no norm"), _where(BATCH, "before the activation")
_POST, _DOWN = _where(AFTER, "after the activation"), _where(DOWN, "before down-sampling only")
_BATCH, _GROUP = _where(BATCH, "batch norm"), _where(GROUP, "group norm")
_AS_ASKED = _asked(RAW, "null", "as asked")
_UNNORMALIZED = Cell("question-plans", "none", "the question's network without a norm")
_UNPUBLISHED = "No published measurement of this is among what normwise has collected."

CLAIMS = (
    Claim(
        "After the activation, or before it?",
        "“After the activation is right, and before it is possible too.” So the network was asked, "
        "with the batch norm after each relu.",
        (Contrast(_POST, _PRE),),
        "Batch norm at every activation of encoder, bottleneck and decoder of the U-Net, on either "
        "side of it; the question's own network stands under claim 9.",
        ("mixed-order",),
    ),
    Claim(
        "Only before each down-sampling?",
        "“In a U-Net the best places are the convolutions right before each down-sampling, because "
        "skips use those tensors a second time; elsewhere the gain is small.”",
        (
            Contrast(_DOWN, _NONE),
            Contrast(_POST, _DOWN),
        ),
        "The first comparison is the gain at those places, the second what all others add to it "
        "(both after the activation). The claim holds where the first is a gain and the second is "
        "small beside it. Small means that its whole interval lies near 0 beside the first "
        "difference; that it is open doesn't show it.",
        evidence=(_UNPUBLISHED,),
    ),
    Claim(
        "Everywhere, or not at all?",
        "“It costs time and should not be overused.”",
        (Contrast(_PRE, _NONE), Contrast(_POST, _NONE), Contrast(_AS_ASKED, _UNNORMALIZED)),
        "Whether any of it pays after these few steps, against the same network without: of the "
        "U-Net, and of the question's network, in which “as asked” are five batch norms. What it "
        "costs stands below.",
        evidence=(
            "caffenet-benchmark: CaffeNet 0.471 without any, 0.474 and 0.499 with; GoogLeNet128 "
            "the reverse, 0.619 without any, 0.607 and 0.596 with.",
            "EDSR (Lim et al. 2017; super-resolution, a regression) leaves batch norm out.",
        ),
    ),
    Claim(
        "Right after the input?",
        "“It may stand right after the input, as preprocessing.”",
        (
            Contrast(_where(INPUT, "batch norm on the input"), replace(_NONE, name="standardize")),
            Contrast(
                _where(INPUT_DOWN, "batch norm on the input and before down-sampling"),
                replace(_DOWN, name="standardize and batch norm before down-sampling"),
            ),
        ),
        "Against the exact statistics of the training images (`standardize@input`), which scale "
        "the input in all other comparisons: first with no other normalization, then with batch "
        "norm before each down-sampling.",
        ("norm-on-input",),
    ),
    Claim(
        "Group or instance norm instead?",
        "Nobody named them. They don't depend on the batch, and compute the same in training and "
        "inference, over whatever size they are given.",
        (
            Contrast(_GROUP, _BATCH),
            Contrast(_where(INSTANCE, "instance norm"), _BATCH),
        ),
        "All before the activation, with batches of 8. Of the three only batch norm "
        "predicts by tiles what it predicts of the whole image; that is not part of these numbers, "
        "it stands in section 11.",
        evidence=(
            "nnU-Net and MONAI, whose volumes allow batches of 2, take instance normalization by "
            "default.",
        ),
    ),
    Claim(
        "And with small batches?",
        "Nobody asked how many images a batch has.",
        (
            Contrast(_small(GROUP, 2, "group norm"), _small(BATCH, 2, "batch norm")),
            Contrast(_small(GROUP, 1, "group norm"), _small(BATCH, 1, "batch norm")),
        ),
        "Both kinds at the same batch size, steps and learning rate, so that what differs is the "
        "kind; batches of 8 stand under claim 5, in the same direction: if small batches hurt "
        "batch norm, group norm gains on it from 8 to 2 to 1. Numbers of different batch sizes "
        "should not be compared: smaller batches see fewer patches in as many steps.",
        ("tiny-batch",),
    ),
    Claim(
        "Do the skips have to be normalized?",
        "Nobody saw that the skips of the question's network tap conv1 and conv2 before their "
        "batch norm (`unnormalized-skip`).",
        (
            Contrast(_asked(NORMALIZED, "null", "normalized skips"), _AS_ASKED),
            Contrast(
                _asked(NORMALIZED, "relu", "normalized skips (relu in the decoder)"),
                _asked(RAW, "relu", "raw skips (relu in the decoder)"),
            ),
        ),
        "The question's network with the skips as asked and mended, under each decoder.",
        ("unnormalized-skip",),
        evidence=(_UNPUBLISHED,),
    ),
    Claim(
        "Does it matter that the decoder is one affine map?",
        "Nobody saw that there is no nonlinearity between conv6 and the output: half of all "
        "parameters are "
        "one affine map (`affine-chain`).",
        (
            Contrast(_asked(RAW, "relu", "relu in the decoder"), _AS_ASKED),
            Contrast(_asked(NORMALIZED, "relu", "both mended"), _AS_ASKED),
        ),
        "The question's network with relu after each transposed convolution but the last, then "
        "with normalized skips as well.",
        ("affine-chain",),
        evidence=(_UNPUBLISHED,),
    ),
    Claim(
        "After or before, in the question's own network?",
        "So it was asked: every batch norm stands after the relu of its convolution.",
        (
            Contrast(
                _asked(NORMALIZED, "null", "after the activation, with normalized skips"),
                Cell("question-plans", PRE_ENCODER, "before the activation"),
            ),
        ),
        "With batch norms before the activation no skip is raw, so the other side is the "
        "question's network with mended skips, and not as asked. Nothing else is mended: the "
        "decoder is one affine map in both.",
        evidence=("What is published of the order stands under claim 1.",),
    ),
)


def cells() -> Iterator[Cell]:
    """Every cell that a claim compares."""
    for claim in CLAIMS:
        for contrast in claim.contrasts:
            yield from (contrast.one, contrast.other)
