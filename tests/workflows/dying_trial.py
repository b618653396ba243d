"""A process that makes a trial, but dies after its first epoch if it is the first one."""

import sys
from pathlib import Path

from normwise.comparison.worker import main
from tests.dying import die_after_an_epoch

if __name__ == "__main__":
    die_after_an_epoch(Path(sys.argv[1]).with_name("died"))
    sys.exit(main(*sys.argv[1:]))
