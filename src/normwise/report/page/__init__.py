"""The pieces that pages are made of: one HTML file that needs nothing else."""
