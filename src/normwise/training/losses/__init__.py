"""Losses over pixels: of classes, of values, their sums, and how a recipe names them."""
