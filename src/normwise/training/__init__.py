"""From a recipe and a data folder to a trained model with its metrics."""
