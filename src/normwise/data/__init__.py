"""Data folders: splits, problems, statistics, patches, augmentation and loading."""

from normwise.data.augmentation import Augmentation
from normwise.data.dataset import SPLITS, Dataset, Item
from normwise.data.description import IGNORE, Description, read_description
from normwise.data.folder import open_dataset
from normwise.data.loading import PatchBatches
from normwise.data.patches import PatchPosition, patch_positions
from normwise.data.statistics import ChannelStatistics, channel_statistics, class_counts
from normwise.data.tiles import Tile, tiles_of

__all__ = [
    "IGNORE",
    "SPLITS",
    "Augmentation",
    "ChannelStatistics",
    "Dataset",
    "Description",
    "Item",
    "PatchBatches",
    "PatchPosition",
    "Tile",
    "channel_statistics",
    "class_counts",
    "open_dataset",
    "patch_positions",
    "read_description",
    "tiles_of",
]
