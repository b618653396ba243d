"""Fails when a package that everything stands on is covered less than it must be."""

import subprocess
import sys

MINIMUM = 95
PACKAGES = ("graph", "keras_format", "norms", "networks", "inference", "surgery", "rules")


def main() -> int:
    """Prints the coverage of each package; returns how many are below the minimum."""
    failed = 0
    for package in PACKAGES:
        command = [sys.executable, "-m", "coverage", "report", "--precision=1"]
        command += [f"--include=src/normwise/{package}/*", "--format=total"]
        total = float(subprocess.run(command, capture_output=True, text=True, check=True).stdout)
        print(f"coverage {package:14} {total:5.1f} %")
        failed += total < MINIMUM
    return failed


if __name__ == "__main__":
    sys.exit(main())
