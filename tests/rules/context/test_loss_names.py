"""What the names of losses tell: Keras' own, those of packages, recipes and people's functions."""

import pytest

from normwise.rules.context import LossKind, loss_kind
from normwise.training.losses.expression import REGRESSION, SEGMENTATION

EMBEDDING, PROBABILITIES = LossKind


@pytest.mark.parametrize(
    ("kind", "names"),
    [
        (EMBEDDING, ["cosine_similarity", "CosineSimilarity", "cosine_proximity", "Circle"]),
        (EMBEDDING, ["circle_loss", "Addons>TripletSemiHardLoss", "triplet_loss", "ArcFaceLoss"]),
        (EMBEDDING, ["arcface", "contrastive", "SupervisedContrastiveLoss", "NTXentLoss"]),
        (
            EMBEDDING,
            [
                "mse_plus_cosine",
                "NpairsLoss",
                "n_pair_loss",
                "info_nce",
                "InfoNCE",
                "SupCon",
                "VICReg",
            ],
        ),
        (PROBABILITIES, ["binary_crossentropy", "SparseCategoricalCrossentropy", "CTC", "bce"]),
        (PROBABILITIES, ["weighted_cross_entropy", "BinaryFocalCrossentropy", "Dice", "Tversky"]),
        (PROBABILITIES, ["dice_coef_loss", "bce_dice_loss", "diceloss", "BCEDiceLoss", "focal"]),
        (PROBABILITIES, ["0.5*focal+dice", "cross-entropy+dice", "bce_plus_mse", *SEGMENTATION]),
        (None, ["mse", "MSE", "mae", "rmse_loss", "mean_squared_error", "MeanAbsoluteError"]),
        (None, ["mean_squared_logarithmic_error", "Huber", "log_cosh", "LogCosh", "poisson"]),
        (None, ["masked_mae", *REGRESSION]),
        (None, [None, "", "my_loss", "function", "<lambda>", "LossFunctionWrapper", "損失"]),
        (None, ["reconstruction_loss", "vae_loss", "perceptual_loss", "kl_divergence", "hinge"]),
        (None, ["indices_loss", "previous", "circle_radius", "gaussian_kernel"]),
        (None, ["triplet_crossentropy", "dice_plus_cosine", "dice" * 99]),
    ],
)
def test_what_a_name_tells(kind, names):
    for name in names:
        assert loss_kind(name) is kind, name
