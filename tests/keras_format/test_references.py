"""Shapes as configurations tell them."""

from normwise.keras_format.references import shape_of


def test_shapes_are_shapes_or_nothing() -> None:
    assert shape_of([None, 3, 4]) == (None, 3, 4)
    assert shape_of("abc") is None and shape_of([1.5]) is None
    assert shape_of([True]) is None and shape_of(None) is None
