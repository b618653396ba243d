"""How messages count and name."""

from normwise.rules.words import counted, named, span


def test_counts_have_their_plural():
    assert [counted(n, "layer") for n in (0, 1, 2, 1234)] == [
        "0 layers",
        "1 layer",
        "2 layers",
        "1,234 layers",
    ]


def test_many_layers_are_told_by_their_ends():
    assert span(["a"]) == "a"
    assert span(iter("abc")) == "a to c"


def test_many_names_are_told_by_the_first_few():
    assert named("abcde") == "a, b, c, d, e"
    assert named("abcdefg") == "a, b, c, d, e and 2 more"
