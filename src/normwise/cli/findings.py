"""How findings are printed: counts, then each with its reasons, and what can be mended."""

from collections import Counter
from typing import TYPE_CHECKING

from rich.markup import escape
from rich.text import Text

from normwise.cli.console import errors, output
from normwise.cli.fixes import Level
from normwise.cli.layers import shown_layers
from normwise.errors import printable

if TYPE_CHECKING:
    from collections.abc import Sequence

    from normwise.rules import Finding
    from normwise.workflows.check_many import Checked

_MOST_OF_A_RULE = 20
"""Findings of one rule that are printed; more of them nobody reads, and they take long."""
_INDENT = "    "
_STYLES = {"error": "bold red", "warning": "bold yellow", "info": "bold blue"}


def print_checked(checked: "Checked", verbose: bool = False) -> None:
    """Prints the findings in one model."""
    if checked.report is None:
        errors.print(
            f"[bold red]Error:[/] {escape(printable(checked.error))}",
            highlight=False,
            soft_wrap=True,
        )
        return
    findings = checked.report.findings
    counts = ", ".join(
        f"{number} {name}{'s' if number > 1 and name != 'info' else ''}"
        for name in _STYLES
        if (number := sum(f.severity == name for f in findings))
    )
    found = counts or "nothing to object to"
    hidden = f" ({len(checked.allowed)} allowed)" if checked.allowed else ""
    output.print(f"[bold]{escape(printable(checked.model))}[/]: {found}{hidden}", highlight=False)
    seen: Counter[str] = Counter()
    for finding in findings:
        seen[finding.name] += 1
        if verbose or seen[finding.name] <= _MOST_OF_A_RULE:
            _print_finding(finding, verbose)
    for name, number in seen.items():
        if not verbose and number > _MOST_OF_A_RULE:
            output.print(
                f"\n  and {number - _MOST_OF_A_RULE:,} more of {name} (-v shows them)",
                highlight=False,
            )
    if checked.report.left_out:
        output.print()
        _print_indented(escape(printable(checked.report.left_out)))
    if told := _fixable(findings):
        output.print(f"\n  {told}", highlight=False)
    for finding, allowance in checked.allowed if verbose else ():
        reason = f": {allowance.reason}" if allowance.reason else ""
        layers = printable(shown_layers(finding.layers, verbose))
        output.print(
            f"  [dim]allowed {finding.code} {finding.name} {escape(layers + reason)}[/]",
            highlight=False,
        )


def _fixable(findings: "Sequence[Finding]") -> str:
    """How many of the findings `--fix` mends, in words; empty if none."""
    counts = [sum(f.mended_by == level for f in findings) for level in Level]
    told = [
        f"{number} by [bold]--fix{'' if level is Level.safe else ' unsafe'}[/]"
        for level, number in zip(Level, counts, strict=True)
        if number
    ]
    return f"Can be mended here: {', '.join(told)} (with -o OUT.keras)." if told else ""


def _print_finding(finding: "Finding", verbose: bool) -> None:
    layers = escape(printable(shown_layers(finding.layers, verbose)))
    style = _STYLES[finding.severity]
    output.print(
        f"\n  [{style}]{finding.severity}[/] {finding.code} [bold]{finding.name}[/]  {layers}",
        highlight=False,
    )
    kept = "outputs stay" if finding.keeps_outputs else "outputs change: train again"
    lines = [finding.message, finding.why, f"[bold]Fix[/] ({kept}): {escape(finding.fix)}"]
    if verbose:
        lines += [f"[dim]- {escape(text)}[/]" for text in finding.evidence]
    _print_indented(
        *(printable(line if index > 1 else escape(line)) for index, line in enumerate(lines))
    )


def _print_indented(*markups: str) -> None:
    """Prints texts with an indent in front of each line, and no blanks behind; all at once."""
    lines = []
    for markup in markups:
        text = output.render_str(markup, highlight=False)
        for line in text.wrap(output, output.width - len(_INDENT)):
            line.rstrip()
            lines.append(Text(_INDENT).append_text(line))
    output.print(Text("\n").join(lines), highlight=False)
