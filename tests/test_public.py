"""What `import normwise as nw` offers: all of it is there, and alike."""

import ast
from inspect import getdoc, isfunction, signature
from pathlib import Path

import pytest

import normwise as nw

PUBLIC = sorted({*nw.__all__} - {"__version__"})


@pytest.mark.parametrize("name", PUBLIC)
def test_every_name_is_there_and_says_what_it_is(name):
    assert getdoc(getattr(nw, name)) and name in dir(nw)


def test_type_checkers_are_told_the_same_names():
    tree = ast.parse(Path(nw.__file__).read_text())
    imports = (node for node in ast.walk(tree) if isinstance(node, ast.ImportFrom))
    told = {alias.name for node in imports if "normwise" in node.module for alias in node.names}
    assert told == set(PUBLIC)


def test_an_unknown_name_is_an_attribute_error():
    assert not hasattr(nw, "normalise")


def test_what_pages_and_the_design_speak_of_can_be_reached():
    done = nw.check(nw.build("unet", (8, 8, 1), filters=2, depth=1))
    assert isinstance(done, nw.Report)
    assert all(isinstance(finding, nw.Finding) for finding in done.findings)
    assert issubclass(nw.errors.ExportError, nw.NormwiseError)
    assert nw.Journal().empty and nw.Recipe(data={"path": "rivers"}).network.name == "unet"


def test_long_work_says_how_it_goes_unless_told_not_to():
    functions = {name: getattr(nw, name) for name in PUBLIC if isfunction(getattr(nw, name))}
    told = {
        name: parameters["progress"].default
        for name, function in functions.items()
        if "progress" in (parameters := signature(function).parameters)
    }
    assert {"check", "compare", "predict", "recalibrate", "train"} <= set(told)
    assert set(told.values()) == {True}, told
