"""Writes docs/rules from the rules' own files, and docs/question.md from the network it is about.

python tools/make_rule_pages.py
"""

from pathlib import Path

from normwise.rules import RULES, Rule
from normwise.rules.markdown import levels_of, markdown
from normwise.workflows.question import answer

FOLDER = Path("docs/rules")
QUESTION = Path("docs/question.md")


def pages() -> dict[Path, str]:
    """Every page by its path, the index included."""
    found = {FOLDER / f"{rule.name}.md": markdown(rule) for rule in RULES}
    return {FOLDER / "README.md": _index(), **found}


def question() -> str:
    """docs/question.md: what `normwise explain question` prints."""
    return f"<!-- written by tools/make_rule_pages.py -->\n\n{answer()}"


def _index() -> str:
    lines = [
        "# The rules of `normwise check`",
        "",
        "| code | rule | severity | | `--fix` |",
        "|---|---|---|---|---|",
    ]
    lines += [
        f"| {rule.code} | [{rule.name}]({rule.name}.md) | {rule.severity} | {_said(rule)} "
        f"| {', '.join(levels_of(rule)) or 'by hand'} |"
        for rule in RULES
    ]
    return "\n".join([*lines, ""])


def _said(rule: Rule) -> str:
    return f"{rule.page.title} Needs data." if rule.needs_data else rule.page.title


def main() -> None:
    """Writes every page."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    for path, text in pages().items():
        path.write_text(text)
    QUESTION.write_text(question())


if __name__ == "__main__":
    main()
