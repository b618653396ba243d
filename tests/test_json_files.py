"""JSON files that any parser reads, and errors that name the one that can't be read."""

import json
import math
from pathlib import Path

import pytest

from normwise.errors import RunError
from normwise.json_files import json_text, nulled, numbers, read_json, write_json


def test_numbers_that_json_lacks_are_null_however_deep() -> None:
    value = {"a": (math.nan, 1.5), "b": [{"c": -math.inf}], "d": "µm", "e": 3, "f": None}
    assert nulled(value) == {"a": [None, 1.5], "b": [{"c": None}], "d": "µm", "e": 3, "f": None}
    assert json.loads(json_text(value)) == nulled(value)
    assert "µm" in json_text(value) and json_text(value).endswith("}\n")


def test_numbers_come_back_as_they_were() -> None:
    row = {"loss": 0.5, "r2": math.nan, "epoch": 3}
    back = numbers(json.loads(json_text(row)))
    assert math.isnan(back.pop("r2")) and back == {"loss": 0.5, "epoch": 3}


def test_a_name_that_is_not_utf8_comes_back_as_it_was(tmp_path: Path) -> None:
    write_json(tmp_path / "a.json", {"name": "caf\udce9"})
    assert read_json(tmp_path / "a.json", lambda found: found["name"], "") == "caf\udce9"


@pytest.mark.parametrize(
    ("content", "said"),
    [("{", "JSONDecodeError"), ("[]", "TypeError"), ("{}", "KeyError 'name'"), (None, "a.json")],
)
def test_what_cannot_be_read_is_named_with_the_remedy(
    content: str | None, said: str, tmp_path: Path
) -> None:
    path = tmp_path / "a.json"
    if content is not None:
        path.write_text(content)
    with pytest.raises(RunError) as caught:
        read_json(path, lambda found: found["name"], "Remove it.")
    assert str(caught.value).startswith(f"{path} can't be read: ") and said in str(caught.value)
    assert str(caught.value).endswith(". Remove it.")
