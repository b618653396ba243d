"""The tree of errors that errors.py draws is the one that is there, and all of it."""

import ast
import re
from pathlib import Path

from normwise import errors
from normwise.errors import NormwiseError

PACKAGE = Path(errors.__file__).parent
LINE = re.compile(r"^    (?P<branch>[│├└─ ]*)(?P<name>\w+)(?P<gap> +)(?P<what>\S.*)$")
LINES = [found for line in (errors.__doc__ or "").splitlines() if (found := LINE.match(line))]


def drawn() -> dict[str, str]:
    """Each error in the drawing with the one that it hangs on."""
    path: list[str] = []
    found = {}
    for line in LINES:
        depth = len(line["branch"]) // 4
        path[depth:] = [line["name"]]
        found[line["name"]] = path[depth - 1] if depth else "Exception"
    return found


def test_the_drawing_has_every_error_in_its_place() -> None:
    there = {
        name: value.__bases__[0].__name__
        for name, value in vars(errors).items()
        if isinstance(value, type) and issubclass(value, NormwiseError)
    }
    assert drawn() == there


def test_the_drawing_is_a_table() -> None:
    assert len({line.start("what") for line in LINES}) == 1


def test_every_error_on_purpose_is_defined_in_one_file() -> None:
    known = set(drawn())
    for path in PACKAGE.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.ClassDef) and path.name != "errors.py":
                bases = {base.id for base in node.bases if isinstance(base, ast.Name)}
                assert not bases & known, f"{path}: {node.name}"
