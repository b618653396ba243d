"""Measuring a model on data: what the rules that need data judge."""
