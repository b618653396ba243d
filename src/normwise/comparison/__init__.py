"""Comparing plans: the experiment, its trials, and what can be said of their differences."""
