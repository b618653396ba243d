"""`normwise` as a process that is killed: it says when its work begins, and keeps every piece.

python -m tests.reliability.worker predict MODEL IMAGE -o OUT --tile 32 --resume
"""

from __future__ import annotations

import sys
from typing import Any

from normwise.cli import main
from normwise.rasters import partial
from normwise.workflows import resuming


def pieces_of(*arguments: Any) -> Any:
    """As `resuming.pieces_of`, and a line before it."""
    print("begin", flush=True)
    return resuming.pieces_of(*arguments)


if __name__ == "__main__":
    # Else the first pieces count only after seconds, and most kills would come before that.
    partial._SECONDS = 0.02
    from normwise.workflows import predicted_files

    predicted_files.pieces_of = pieces_of
    sys.argv[0] = "normwise"
    main()
