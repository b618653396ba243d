"""Faults put into healthy networks at random places, and whether they are found.

What is injected is the truth: nothing here asks a rule where a fault is.
"""
