"""The page of a training run: one HTML file that needs nothing else."""
