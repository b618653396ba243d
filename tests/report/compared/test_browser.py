"""The page in a real browser: no error, charts and pictures to see, a table that sorts."""

from dataclasses import replace

from normwise.report.compared.page import html_page
from tests.report.browser import needs_browser, opened, seen


@needs_browser
def test_the_page_in_a_browser(facts, tmp_path):
    # The names that the page shows are text: one of them is a script that must not run.
    path = opened(html_page(facts), tmp_path)
    wide = seen(path, "--window-size=1280,900")
    assert wide["problems"] == []
    assert wide["orders"] == ["ABC", "BAC", "ABC"], "what has no number stays last"
    assert len(wide["charts"]) == 3
    assert all(width > 300 and height > 100 for width, height in wide["charts"])
    assert wide["loaded"]
    assert wide["asked"] == 0
    assert wide["page"] <= wide["window"]
    phone = seen(path, "--window-size=390,800", "--blink-settings=preferredColorScheme=0")
    assert phone["page"] <= phone["window"] <= 500
    assert phone["ground"] != wide["ground"], "dark"
    assert all(width > 250 for width, _ in phone["charts"])


@needs_browser
def test_long_names_break_where_a_page_is_narrow(facts, tmp_path):
    name = "batch(momentum=0.967)@encoder:post-activation/raw-skip+before-downsampling" * 2
    for place in ({"title": name}, {"answer": name}, {"limits": (name,)}):
        path = opened(html_page(replace(facts, **place)), tmp_path)
        phone = seen(path, "--window-size=390,800")
        assert phone["page"] <= phone["window"] <= 500, place
