"""Reads a page tag by tag."""

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
