"""Sizes and bands are written alike for every verb."""

import pytest

from normwise.cli.options import read_bands, read_size
from normwise.errors import NormwiseError
from tests.commands import normwise


@pytest.mark.parametrize(
    ("text", "size"),
    [(None, None), ("64", 64), ("64,32", [64, 32]), ("64x32", [64, 32]), ("4, 8x16", [4, 8, 16])],
)
def test_a_size_is_one_number_or_one_for_each_axis(text, size):
    assert read_size(text, "--size") == size


@pytest.mark.parametrize("text", ["", "big", "0", "64x0", "64x", "-8", "1.5", "²"])
def test_what_is_no_size(text):
    with pytest.raises(NormwiseError, match=r"--tile is '.*'; expected pixels along each axis"):
        read_size(text, "--tile")


def test_bands_are_numbers_from_0():
    assert read_bands(None) is None
    assert read_bands("2, 0") == [2, 0]
    for text in ("", "1,", "-1", "red", "²"):
        with pytest.raises(NormwiseError, match=r"--bands is '.*'; expected numbers from 0"):
            read_bands(text)


VERBS = {
    "predict": ("--tile", "image.npy", "-o", "out.npy"),
    "export": ("--size", "-o", "out", "--format", "onnx"),
}


@pytest.mark.parametrize("text", ["48,64", "48x64"])
@pytest.mark.parametrize("verb", VERBS)
def test_verbs_take_sizes_either_way(verb, text, monkeypatch):
    told = []

    def stop(*_, **options):
        told.append(options)
        raise NormwiseError("stopped")

    option, *words = VERBS[verb]
    monkeypatch.setattr(f"normwise.workflows.{verb}.{verb}", stop)
    done = normwise(verb, "model.keras", *words, option, text)
    assert done.returncode == 2 and "stopped" in done.stderr
    assert told[0][option.removeprefix("--")] == [48, 64]
