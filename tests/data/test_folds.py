"""Folds of a cross-validation."""

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from normwise.data.folds import folds_of
from normwise.errors import DataError

GROUPS = st.dictionaries(
    st.text("abcdefgh", min_size=1, max_size=4), st.sampled_from("uvwxyz"), min_size=6, max_size=40
)


@given(GROUPS, st.integers(2, 6), st.integers(0, 5))
def test_a_group_stays_together_and_no_fold_is_empty(groups, folds, seed):
    if len(set(groups.values())) < folds:
        with pytest.raises(DataError, match="groups of images"):
            folds_of(groups, folds, seed)
        return
    chosen = folds_of(groups, folds, seed)
    assert set(chosen) == set(groups)
    assert set(chosen.values()) == set(range(1, folds + 1))
    assert len({(groups[name], fold) for name, fold in chosen.items()}) == len(set(groups.values()))


def test_images_without_groups_are_shared_out_evenly():
    names = {f"i{k}": f"i{k}" for k in range(23)}
    sizes = Counter(folds_of(names, 5, 0).values())
    assert sorted(sizes.values()) == [4, 4, 5, 5, 5]


def test_the_order_of_the_names_does_not_matter_but_the_seed_does():
    names = {f"i{k}": f"i{k}" for k in range(12)}
    backwards = dict(reversed(names.items()))
    assert folds_of(names, 3, 0) == folds_of(backwards, 3, 0)
    assert folds_of(names, 3, 0) != folds_of(names, 3, 1)


def test_large_groups_are_balanced_by_small_ones():
    groups = {f"a{k}": "a" for k in range(6)} | {f"i{k}": f"i{k}" for k in range(6)}
    assert Counter(folds_of(groups, 2, 3).values()) == {1: 6, 2: 6}


@pytest.mark.parametrize("folds", [0, 1, 4])
def test_impossible_numbers_of_folds(folds):
    with pytest.raises(DataError, match="expected from 2 to 3, the number of images"):
        folds_of({"a": "a", "b": "b", "c": "c"}, folds, 0)


@pytest.mark.parametrize("groups", [{}, {"a": "a"}, {"a": "g", "b": "g"}])
def test_one_image_makes_no_folds(groups):
    words = f"5 folds: found {len(set(groups.values()))}, expected 2 or more images"
    with pytest.raises(DataError, match=words) as caught:
        folds_of(groups, 5, 0)
    assert "train without folds" in str(caught.value)
