"""Reads a page tag by tag."""

import re
from html.parser import HTMLParser


class Tags(HTMLParser):
    """Every tag closed where it must be, and what is loaded."""

    VOID = frozenset(
        {"meta", "wbr", "link", "img", "br", "line", "circle", "rect", "polyline", "polygon"}
    )

    def __init__(self):
        super().__init__()
        self.open, self.loaded, self.text = [], [], []

    def handle_starttag(self, tag, attrs):
        named = dict(attrs)
        self.loaded += [named[key] for key in ("src", "href") if key in named]
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        pass

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.text.append(data)


def text_of(page, loaded):
    """The words of a page that is whole, asks no server, and holds so many pictures and icons."""
    tags = Tags()
    tags.feed(page)
    assert tags.open == []
    assert all(source.startswith("data:") for source in tags.loaded)
    assert len(tags.loaded) == loaded
    assert not re.search(r"@import|url\((?!#)|fetch\(|https?://", page)
    assert page.count("<script>") == 1, "a name is text, never a script"
    assert "prefers-color-scheme: dark" in page
    assert "@media print" in page
    return " ".join(tags.text)
