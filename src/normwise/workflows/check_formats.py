"""Findings in the forms that other programs read: SARIF and GitHub's workflow commands."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import quote

from normwise import __version__
from normwise.errors import printable
from normwise.rules import RULES, Finding, Severity
from normwise.workflows.check_many import Checked
from normwise.workflows.models import is_callable_name

SARIF_SCHEMA = "https://json.schemastore.org/sarif-2.1.0.json"
_LEVELS = {Severity.ERROR: "error", Severity.WARNING: "warning", Severity.INFO: "note"}
_COMMANDS = {Severity.ERROR: "error", Severity.WARNING: "warning", Severity.INFO: "notice"}


def to_sarif(checked: Sequence[Checked]) -> dict[str, Any]:
    """A SARIF 2.1.0 log (OASIS standard), for code scanning services and editors."""
    return {
        "$schema": SARIF_SCHEMA,
        "version": "2.1.0",
        "runs": [
            {
                "tool": {"driver": _driver()},
                "results": [
                    _result(finding, one.model)
                    for one in checked
                    if one.report
                    for finding in one.report.findings
                ],
                "invocations": [
                    {
                        "executionSuccessful": not any(one.error for one in checked),
                        "toolExecutionNotifications": [
                            *_notifications("error", (one.error for one in checked)),
                            *_notifications("note", map(_left_out, checked)),
                        ],
                    }
                ],
            }
        ],
    }


def _notifications(level: str, texts: Iterable[str]) -> Iterator[dict[str, Any]]:
    return ({"level": level, "message": {"text": text}} for text in texts if text)


def _left_out(one: Checked) -> str:
    """What was not looked at in a model, with its name; empty if all was."""
    left_out = one.report.left_out if one.report else ""
    return left_out and f"{one.model}: {left_out}"


def _driver() -> dict[str, Any]:
    rules = [
        {
            "id": rule.code,
            "name": rule.name,
            "shortDescription": {"text": rule.page.title},
            "fullDescription": {"text": rule.page.why},
            "help": {"text": rule.fix},
            "defaultConfiguration": {"level": _LEVELS[rule.severity]},
        }
        for rule in RULES
    ]
    return {"name": "normwise", "version": __version__, "rules": rules}


def _result(finding: Finding, model: str) -> dict[str, Any]:
    return {
        "ruleId": finding.code,
        "level": _LEVELS[finding.severity],
        "message": {"text": f"{finding.message} {finding.fix}"},
        "locations": [
            {
                **_file(model),
                "logicalLocations": [
                    {"fullyQualifiedName": layer} for layer in dict.fromkeys(finding.layers)
                ],
            }
        ],
    }


def _file(model: str) -> dict[str, Any]:
    """Where a model stands: its file, or the source of the callable that makes it.

    A line is given because GitHub refuses places without a file or a line.
    """
    path = _source(model.partition(":")[0]) if is_callable_name(model) else Path(model)
    uri = quote(os.fsencode(path.as_posix()))
    return {"physicalLocation": {"artifactLocation": {"uri": uri}, "region": {"startLine": 1}}}


def _source(module: str) -> Path:
    """The source file of a module, from the working folder on where it is below it."""
    known = getattr(sys.modules.get(module), "__file__", None)
    if known is None:
        return Path(*module.split(".")).with_suffix(".py")
    path = Path(known)
    return path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path


def to_github(checked: Iterable[Checked]) -> list[str]:
    """Workflow commands that a GitHub Action shows as annotations, one a line."""
    lines = []
    for one in checked:
        if one.error:
            lines.append(_command("error", one.model, "normwise", one.error))
        for finding in one.report.findings if one.report else ():
            layers = ", ".join(finding.layers)
            text = f"{layers}: {finding.message} {finding.fix}" if layers else finding.message
            title = f"{finding.code} {finding.name}"
            lines.append(_command(_COMMANDS[finding.severity], one.model, title, text))
        if one.report and one.report.left_out:
            lines.append(_command("notice", one.model, "normwise", one.report.left_out))
    return lines


def _command(kind: str, file: str, title: str, text: str) -> str:
    # Commas and colons end a property; a line break ends the command.
    data = printable(text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A"))
    values = {"file": file, "title": title}
    escaped = {
        key: re.sub("[%\r\n:,]", lambda c: f"%{ord(c[0]):02X}", value)
        for key, value in values.items()
    }
    return f"::{kind} file={escaped['file']},title={escaped['title']}::{data}"
