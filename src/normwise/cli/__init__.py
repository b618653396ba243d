"""The command line: one file a verb; each parses, calls one workflow and prints."""

from normwise.cli.app import main

__all__ = ["main"]
