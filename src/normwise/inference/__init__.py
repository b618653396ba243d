"""Applying a trained model to images of any size."""
