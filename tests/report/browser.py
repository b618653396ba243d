"""A page in a real browser: what it finds, and what goes wrong."""

import json
import re
import shutil
import subprocess

import pytest

CHROMIUM = next(
    filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), ""
)

needs_browser = pytest.mark.skipif(not CHROMIUM, reason="there is no Chromium")

FIRST = """<script>
const problems = [];
addEventListener("error", event => problems.push(event.message || event.target.outerHTML), true);
</script>"""
LAST = """<script>
addEventListener("load", () => {
  const sorted = document.querySelector("table.sortable");
  const order = () => [...(sorted ? sorted.tBodies[0].rows : [])].map(
    row => row.querySelector(".letter").textContent).join("");
  const head = document.querySelectorAll("table.sortable th button")[1];
  const orders = [order()];
  if (head) { head.click(); orders.push(order()); head.click(); orders.push(order()); }
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


def opened(page, folder):
    """A file with the page, which tells what it finds in itself."""
    path = folder / "report.html"
    watched = page.replace("<title>", f"{FIRST}<title>", 1)
    path.write_text(watched.replace("</body>", f"{LAST}</body>"), encoding="utf-8")
    return path


def seen(path, *options):
    """What the browser finds in a page."""
    command = [CHROMIUM, "--headless", "--no-sandbox", "--disable-gpu", "--dump-dom", *options]
    done = subprocess.run(
        [*command, path.as_uri()], capture_output=True, text=True, timeout=120, check=True
    )
    return json.loads(re.search(r'<pre id="found">(.*?)</pre>', done.stdout, re.DOTALL)[1])
