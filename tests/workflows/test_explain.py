"""`normwise explain`: a page by its rule's name or code, however it is written."""

import pytest

from normwise.errors import CheckError
from normwise.workflows.explain import page_of


@pytest.mark.parametrize("word", ["nw101", "NW101", "Wrong-Axis", " wrong-axis "])
def test_a_rule_is_known_in_capitals_or_not(word):
    assert page_of(word) == page_of("wrong-axis")


@pytest.mark.parametrize(("word", "near"), [("questoin", "question"), ("wrong-axs", "wrong-axis")])
def test_the_nearest_page_is_named(word, near):
    with pytest.raises(CheckError, match=rf"no rule '{word}'\. Did you mean {near}\?"):
        page_of(word)
