"""The text of plans: one canonical form, every mistake with its own words."""

import random

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from normwise.errors import PlanError
from normwise.norms import NormPlan, with_standardized_input
from normwise.norms.plan import Clause

from .strategies import clauses


def parsed(text: str) -> str:
    return str(NormPlan.parse(text))


def planned(made: list[Clause]) -> NormPlan:
    try:
        return NormPlan.of(made)
    except PlanError:
        assume(False)
        raise


@given(clauses())
def test_the_text_of_a_plan_parses_back(made: list[Clause]) -> None:
    plan = planned(made)
    assert NormPlan.parse(str(plan)) == plan
    assert parsed(str(plan)) == str(plan)


@given(clauses(), st.randoms(use_true_random=False))
def test_the_order_of_writing_does_not_matter(made: list[Clause], chance: random.Random) -> None:
    plan = planned(made)
    pieces = [Clause(c.spec, (p,)) for c in made for p in c.positions]
    chance.shuffle(pieces)
    shuffled = []
    for piece in pieces:
        arguments = list(piece.spec.args)
        chance.shuffle(arguments)
        inside = " , ".join(f" {k} = {str(v).lower()}" for k, v in arguments)
        shuffled.append(f" {piece.spec.kind}( {inside} ) @ {piece.positions[0]} ")
    assert NormPlan.parse(",".join(shuffled)) == plan
    assert hash(NormPlan.parse(",".join(shuffled))) == hash(plan)


@pytest.mark.parametrize(
    "text",
    [
        "none",
        "batch@encoder:post-activation/raw-skip",
        "batch@before-downsampling",
        "batch@input+before-downsampling",
        "standardize@input",
        "group(groups=8)@pre-activation",
        "batch(momentum=0.9,epsilon=1e-5)@pre-activation",
        "standardize@input,group(groups=8)@skip",
        "batch@head:pre-activation",
        "batch@encoder:pre-activation,instance@decoder:pre-activation",
    ],
)
def test_canonical_texts_stay(text: str) -> None:
    assert parsed(text) == text


@pytest.mark.parametrize(
    ("text", "canonical"),
    [
        ("batch@after-merge+input", "batch@input+after-merge"),
        ("batch@pre-activation+input", "batch@input+pre-activation"),
        ("batch@post-activation+pre-activation", "batch@pre-activation+post-activation"),
        ("batch@head:skip+skip+decoder:after-merge", "batch@skip+head:skip+decoder:after-merge"),
        ("batch@skip,batch@pre-activation", "batch@pre-activation+skip"),
        ("batch@pre-activation+pre-activation", "batch@pre-activation"),
        ("batch@pre-activation+encoder:pre-activation", "batch@pre-activation"),
        (
            "batch@encoder:pre-activation+decoder:pre-activation+bottleneck:pre-activation",
            "batch@pre-activation",
        ),
        ("batch(epsilon=0.00001)@skip", "batch(epsilon=1e-5)@skip"),
        ("batch(epsilon=1e-5,momentum=0.90)@skip", "batch(momentum=0.9,epsilon=1e-5)@skip"),
        ("batch()@skip", "batch@skip"),
        ("batch(center=False)@skip", "batch(center=false)@skip"),
        ("rms@skip,standardize@input", "standardize@input,rms@skip"),
        ("  none ", "none"),
        ("batch @ decoder : skip", "batch@decoder:skip"),
    ],
)
def test_other_texts_become_canonical(text: str, canonical: str) -> None:
    assert parsed(text) == canonical


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", ["is no clause", "KIND@POSITION"]),
        ("batch", ["'batch' is no clause", "batch@pre-activation"]),
        ("@skip", ["is no clause"]),
        ("batch@", ["is no clause"]),
        ("batch@skip,", ["'' is no clause"]),
        ("batch@skip,,rms@input", ["'' is no clause"]),
        ("batch(@skip", ["parenthesis is not closed"]),
        ("batch)@skip", ["parenthesis"]),
        ("batch((momentum=0.9))@skip", ["is no clause"]),
        ("none@skip", ["'none' stands alone"]),
        ("none,batch@skip", ["is no clause"]),
        ("bach@skip", ["'bach' is no kind", "group", "Did you mean 'batch'?"]),
        ("xyz@skip", ["'xyz' is no kind", "known are batch"]),
        ("batch@pre-activaton", ["is no position", "Did you mean 'pre-activation'?"]),
        ("batch@encodr:skip", ["'encodr' is no region", "Did you mean 'encoder'?"]),
        ("batch@:skip", ["'' is no region"]),
        ("batch@a:b:skip", ["'a:b' is no region"]),
        ("batch@skip+", ["'' is no position"]),
        ("batch@post-activation/raw", ["unknown suffix", "/raw-skip"]),
        ("batch@post-activation/raw-skip/raw-skip", ["unknown suffix"]),
        ("batch@pre-activation/raw-skip", ["/raw-skip belongs to post-activation", "not to pre-"]),
        ("batch@skip/raw-skip", ["not to skip"]),
        ("batch@input/raw-skip", ["not to input"]),
        ("batch@encoder:input", ["'input' has no region"]),
        ("batch(0.9)@skip", ["argument '0.9' of batch", "name=value"]),
        ("batch(momentun=0.9)@skip", ["is no argument of batch", "Did you mean 'momentum'?"]),
        ("rms(center=true)@skip", ["is no argument of rms", "epsilon"]),
        ("batch(momentum=0.9,momentum=0.8)@skip", ["'momentum' twice"]),
        ("batch(momentum=high)@skip", ["momentum=high", "a number"]),
        ("batch(momentum=1)@skip", ["0 or more and less than 1"]),
        ("batch(momentum=-0.1)@skip", ["0 or more and less than 1"]),
        ("batch(momentum=nan)@skip", ["0 or more and less than 1"]),
        ("batch(epsilon=0)@skip", ["small positive number"]),
        ("batch(epsilon=nan)@skip", ["small positive number"]),
        ("batch(epsilon=1)@skip", ["small positive number"]),
        ("batch(center=1)@skip", ["true or false"]),
        ("group(groups=2.5)@skip", ["a whole number"]),
        ("group(groups=0)@skip", ["1 or more"]),
        ("group(groups=-1)@skip", ["1 or more", "instance"]),
        ("standardize(epsilon=1e-3)@input", ["standardize takes no arguments"]),
        ("standardize@skip", ["standardize@input"]),
        ("standardize@input+skip", ["standardize@input"]),
        ("batch@skip,rms@skip", ["'batch@skip' and 'rms@skip'", "same place"]),
        ("batch@skip,batch(momentum=0.9)@encoder:skip", ["same place"]),
        ("batch@input,standardize@input", ["same place"]),
        (
            "batch@post-activation+encoder:post-activation/raw-skip",
            ["contradict", "normalized and the raw"],
        ),
    ],
)
def test_mistakes_are_said(text: str, words: list[str]) -> None:
    with pytest.raises(PlanError) as caught:
        NormPlan.parse(text)
    for word in words:
        assert word in str(caught.value)


@given(st.text(alphabet="batchnone@:+,/()=.-0189 skipropu", max_size=40) | st.text(max_size=20))
def test_any_text_is_a_plan_or_a_plan_error(text: str) -> None:
    try:
        plan = NormPlan.parse(text)
    except PlanError:
        return
    assert NormPlan.parse(str(plan)) == plan


@given(clauses())
def test_nothing_contradicts_itself_in_the_error_of_a_conflict(made: list[Clause]) -> None:
    try:
        NormPlan.of(made)
    except PlanError as error:
        assert "same place" in str(error) or "contradict" in str(error)


def test_free_arguments_match_anything() -> None:
    wanted = NormPlan.parse("batch@pre-activation")
    assert wanted.allows(NormPlan.parse("batch(momentum=0.9)@pre-activation"))
    assert not NormPlan.parse("batch(momentum=0.9)@pre-activation").allows(wanted)
    assert not wanted.allows(NormPlan.parse("rms@pre-activation"))
    assert not wanted.allows(NormPlan.parse("batch@pre-activation+skip"))
    assert not wanted.allows(NormPlan.parse("batch@pre-activation,rms@skip"))
    assert NormPlan().allows(NormPlan.parse("none"))


def test_kind_at_the_input() -> None:
    assert NormPlan.parse("rms@skip,batch@input").input_kind == "batch"
    assert NormPlan.parse("batch@skip").input_kind is None


def test_inputs_are_standardized_unless_the_plan_says_otherwise() -> None:
    assert str(with_standardized_input(NormPlan())) == "standardize@input"
    plan = NormPlan.parse("batch@skip")
    assert str(with_standardized_input(plan)) == "standardize@input,batch@skip"
    named = NormPlan.parse("batch@input+skip")
    assert with_standardized_input(named) is named


def test_skips_can_be_normalized_whatever_the_plan_says() -> None:
    plan = NormPlan.parse("batch@encoder:post-activation/raw-skip,rms@after-merge")
    assert str(plan.without_raw_skips()) == "batch@encoder:post-activation,rms@after-merge"


def test_residue_is_no_part_of_a_plan() -> None:
    plan = NormPlan.parse("batch@skip")
    assert plan == NormPlan(plan.clauses, residue=("anything",))  # type: ignore[arg-type]
