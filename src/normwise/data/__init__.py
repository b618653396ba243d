"""Data folders: splits, problems, statistics, patches, augmentation and loading."""
