"""The frame of a page: style and script are inside the file."""

from html import escape
from importlib.resources import files

from normwise.files import as_utf8


def document(title: str, body: str) -> str:
    """A whole page.

    It asks no server for anything, follows the reader's choice of light or dark, and can be
    printed. Tables of the class `sortable` sort by a click on a head; without scripts all is there
    all the same. Names of files that are not UTF-8 are shown with escapes.

    Args:
        title: What stands in the window's title, as text.
        body: HTML.

    Returns:
        HTML text.
    """
    return as_utf8(
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        '<meta name="generator" content="normwise"><link rel="icon" href="data:,">'
        f"<title>{escape(title)}</title><style>\n{_own('style.css')}</style></head>"
        f"<body><main>{body}</main><script>\n{_own('sort.js')}</script></body></html>\n"
    )


def _own(name: str) -> str:
    return files("normwise.report.page").joinpath(name).read_text(encoding="utf-8")
