"""Fails when a package that everything stands on is covered less than it must be."""

import io
import sys

from coverage import Coverage

MINIMUM = 95
PACKAGES = ("graph", "keras_format", "norms", "networks", "inference", "surgery", "rules")


def main() -> int:
    """Prints the coverage of each package; returns how many are below the minimum."""
    failed, found = 0, Coverage()
    found.load()
    for package in PACKAGES:
        total = found.report(include=[f"src/normwise/{package}/*"], file=io.StringIO())
        print(f"coverage {package:14} {total:5.1f} %")
        failed += total < MINIMUM
    return failed


if __name__ == "__main__":
    sys.exit(main())
