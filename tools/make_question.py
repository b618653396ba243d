"""Writes the question's network, as it was asked, for `normwise explain question`.

python tools/make_question.py
"""

import json
from pathlib import Path

from normwise.keras_format.saving import without_newer_defaults

PATH = Path("src/normwise/networks/question.json")


def main() -> None:
    """Builds the network and writes its architecture."""
    import normwise as nw  # noqa: PLC0415 - loads a backend

    config = json.loads(nw.build("question", (512, 512, 9)).to_json())
    text = json.dumps(without_newer_defaults(config), separators=(",", ":"))
    PATH.write_text(text + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
