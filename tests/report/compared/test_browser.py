"""The page in a real browser: no error, charts and pictures to see, a table that sorts."""

import json
import re
import shutil
import subprocess

import pytest

from normwise.report.compared.page import html_page

CHROMIUM = next(
    filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), ""
)

FIRST = """<script>
const problems = [];
addEventListener("error", event => problems.push(event.message || event.target.outerHTML), true);
</script>"""
LAST = """<script>
addEventListener("load", () => {
  const order = () => [...document.querySelectorAll("table.sortable tbody tr")].map(
    row => row.querySelector(".letter").textContent).join("");
  const head = document.querySelectorAll("table.sortable th button")[1];
  const orders = [order()];
  head.click(); orders.push(order());
  head.click(); orders.push(order());
  const boxes = what => [...document.querySelectorAll(what)].map(one => {
    const box = one.getBoundingClientRect(); return [box.width, box.height]; });
  const found = {
    problems, orders, charts: boxes("svg.chart"), pictures: boxes("img"),
    loaded: [...document.images].every(image => image.complete && image.naturalWidth > 0),
    page: document.documentElement.scrollWidth, window: innerWidth,
    ground: getComputedStyle(document.body).backgroundColor,
    asked: performance.getEntriesByType("resource").filter(e => !e.name.startsWith("data:")).length,
  };
  document.body.innerHTML = "<pre id=found></pre>";
  document.getElementById("found").textContent = JSON.stringify(found);
});
</script>"""


def seen(path, *options):
    """What the browser finds in a page."""
    command = [CHROMIUM, "--headless", "--no-sandbox", "--disable-gpu", "--dump-dom", *options]
    done = subprocess.run(
        [*command, path.as_uri()], capture_output=True, text=True, timeout=120, check=True
    )
    return json.loads(re.search(r'<pre id="found">(.*?)</pre>', done.stdout, re.DOTALL)[1])


@pytest.mark.skipif(not CHROMIUM, reason="there is no Chromium")
def test_the_page_in_a_browser(facts, tmp_path):
    page = html_page(facts).replace("<title>", f"{FIRST}<title>", 1)
    # The names that the page shows are text: one of them is a script that must not run.
    path = tmp_path / "report.html"
    path.write_text(page.replace("</body>", f"{LAST}</body>"), encoding="utf-8")
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
