"""What is said of differences holds: on many simulated comparisons whose truth is known."""

import math
from itertools import combinations

import numpy as np
import pytest
from scipy import stats

from normwise.comparison.effects import hedges_correction
from normwise.comparison.multiplicity import holm
from normwise.comparison.pairing import all_pairs
from normwise.comparison.pareto import front
from normwise.comparison.power import detectable, pairs_needed, power, upper_deviation
from normwise.comparison.statistics import p_values, paired, t_interval
from normwise.comparison.verdicts import Verdict

SIMULATIONS = 20_000
LEVEL = 0.05


def comparisons(plans, seeds, worse=0.0, seed=0):
    """Metrics of plans that share what their seed decides; the last plan is worse by an amount.

    Shape (simulations, plans, seeds). The seed moves all plans by 1, each trial by 0.3 more.
    """
    rng = np.random.default_rng(seed)
    shared = rng.normal(size=(SIMULATIONS, 1, seeds))
    found = shared + 0.3 * rng.normal(size=(SIMULATIONS, plans, seeds))
    found[:, -1] -= worse
    return found


def pairs_of(metrics):
    """Differences of all pairs of plans, shape (simulations, pairs, seeds)."""
    pairs = combinations(range(metrics.shape[1]), 2)
    return np.stack([metrics[:, a] - metrics[:, b] for a, b in pairs], axis=1)


def margin(rate):
    """Three standard errors of a simulated rate."""
    return 3 * math.sqrt(rate * (1 - rate) / SIMULATIONS)


@pytest.mark.parametrize("seeds", [3, 5])
def test_equal_plans_are_told_apart_no_more_often_than_the_level(seeds):
    p = p_values(pairs_of(comparisons(4, seeds)))
    any_false = (holm(p) <= LEVEL).any(-1).mean()
    assert any_false <= LEVEL + margin(LEVEL)
    uncorrected = (p <= LEVEL).any(-1).mean()
    assert uncorrected > 3 * LEVEL, "the correction is what holds it"
    single = (p[:, 0] <= LEVEL).mean()
    assert single == pytest.approx(LEVEL, abs=margin(LEVEL))


def test_whoever_looks_again_with_every_new_seed_finds_differences_that_are_not_there():
    """The numbers that the page of a comparison and docs/compare.md name."""
    differences = pairs_of(comparisons(2, 8))[:, 0]
    seen = np.stack([p_values(differences[:, :n]) <= LEVEL for n in range(3, 9)])
    by_then = np.logical_or.accumulate(seen).mean(-1)
    assert by_then[0] == pytest.approx(LEVEL, abs=margin(LEVEL))
    assert by_then[2] == pytest.approx(0.10, abs=0.01), "at 3, 4 and 5 seeds"
    assert by_then[-1] == pytest.approx(0.15, abs=0.01), "up to 8"
    assert seen[-1].mean() == pytest.approx(LEVEL, abs=margin(LEVEL)), "fresh ones, looked at once"


def test_a_percentile_bootstrap_of_three_seeds_would_err_in_a_quarter_of_all_cases():
    differences = pairs_of(comparisons(2, 3))[:, 0]
    # Of all 27 resamples 1 is the least value three times, which is more than 2.5 %.
    missed = (differences.min(-1) > 0) | (differences.max(-1) < 0)
    assert missed.mean() == pytest.approx(0.25, abs=margin(0.25))
    found = stats.bootstrap(
        (differences[0],), np.mean, method="percentile", rng=np.random.default_rng(0)
    ).confidence_interval
    assert (found.low, found.high) == pytest.approx((differences[0].min(), differences[0].max()))


def test_the_interval_holds_the_truth_as_often_as_it_says():
    differences = pairs_of(comparisons(2, 3, worse=0.4))[:2000, 0]
    inside = [low <= 0.4 <= high for low, high in map(t_interval, differences)]
    assert np.mean(inside) == pytest.approx(0.95, abs=0.015)


@pytest.mark.parametrize("seeds", [3, 6])
def test_a_worse_plan_is_found_as_often_as_its_size_lets_expect(seeds):
    worse = 0.6
    metrics = comparisons(2, seeds, worse)
    found = (p_values(pairs_of(metrics)[:, 0]) <= LEVEL).mean()
    expected = power(worse / (0.3 * math.sqrt(2)), seeds)
    assert found == pytest.approx(expected, abs=margin(expected))
    unpaired = (stats.ttest_ind(metrics[:, 0], metrics[:, 1], axis=-1).pvalue <= LEVEL).mean()
    assert unpaired < found - 0.1, "what the pairs share must not hide the difference"


def test_among_several_plans_the_worse_one_is_found_and_no_other():
    adjusted = holm(p_values(pairs_of(comparisons(3, 6, worse=2.0))))
    shown = adjusted <= LEVEL
    assert shown[:, 1:].all(-1).mean() > 0.95
    assert shown[:, 0].mean() <= LEVEL + margin(LEVEL)


def test_folds_that_overlap_are_corrected_for():
    """Differences that go together as those of 5 folds do, correlation 1 / 5, and no true one."""
    rng, folds, correlation = np.random.default_rng(1), 5, 0.2
    together = rng.normal(size=(SIMULATIONS, 1)) * math.sqrt(correlation)
    own = rng.normal(size=(SIMULATIONS, 2 * folds)) * math.sqrt(1 - correlation)
    corrected = (p_values(together + own, overlap=1 / (folds - 1)) <= LEVEL).mean()
    assert corrected <= LEVEL + margin(LEVEL)
    assert (p_values(together + own) <= LEVEL).mean() > 3 * LEVEL


def test_against_scipy():
    rng = np.random.default_rng(2)
    one, other = rng.normal(size=(2, 9))
    found = paired(one.tolist(), other.tolist())
    wanted = stats.ttest_rel(one, other)
    assert found.p == pytest.approx(wanted.pvalue, rel=1e-12)
    low, high = wanted.confidence_interval(0.95)
    assert found.interval == pytest.approx((low, high), rel=1e-12)
    assert found.effect == pytest.approx(found.mean / found.deviation * hedges_correction(8))
    assert found.bootstrap is not None
    assert found.bootstrap == pytest.approx(found.interval, abs=0.3)
    assert paired(one[:7].tolist(), other[:7].tolist()).bootstrap is None
    assert paired(one.tolist(), other.tolist(), overlap=0.25).bootstrap is None


def test_small_samples_make_effects_too_large_by_what_the_correction_takes_away():
    assert hedges_correction(2) == pytest.approx(0.5642, abs=1e-4)
    assert hedges_correction(100) == pytest.approx(1 - 3 / 399, abs=1e-4)
    assert math.isnan(hedges_correction(1))
    effects = pairs_of(comparisons(2, 4, worse=0.5))[:, 0]
    raw = effects.mean(-1) / effects.std(-1, ddof=1)
    truth = 0.5 / (0.3 * math.sqrt(2))
    assert (raw * hedges_correction(3)).mean() == pytest.approx(truth, rel=0.05)
    assert raw.mean() > 1.2 * truth


def test_holm_against_values_by_hand():
    found = holm(np.array([0.01, 0.04, 0.03, 0.005]))
    np.testing.assert_allclose(found, [0.03, 0.06, 0.06, 0.02], rtol=1e-12)
    with_nan = holm(np.array([0.01, np.nan, 0.5]))
    np.testing.assert_allclose(with_nan, [0.03, np.nan, 1.0], rtol=1e-12)


def test_power_and_what_follows_from_it():
    assert power(0.0, 5) == pytest.approx(LEVEL)
    # G*Power 3.1, matched pairs, two-sided: d_z = 0.5 and alpha = 0.05 need 34 pairs for 80 %.
    assert pairs_needed(0.5) == 34
    assert pairs_needed(1e-4) is None
    assert pairs_needed(0.0) is None
    assert pairs_needed(0.3, overlap=0.25) is None, "the same images again don't help for ever"
    smallest = detectable(34)
    assert smallest == pytest.approx(0.5, abs=0.01)
    assert power(smallest, 34) == pytest.approx(0.8, abs=1e-6)
    assert power(1e4, 3) == 1.0
    assert math.isnan(detectable(1))
    assert upper_deviation(1.0, 3) == pytest.approx(2.117, abs=1e-3)


def test_what_can_not_be_judged_is_not():
    assert math.isnan(paired([1.0], [0.5]).p)
    same = paired([1.0, 2.0, 3.0], [0.5, 1.5, 2.5])
    assert math.isnan(same.p)
    assert math.isnan(same.interval[0])
    assert paired([1.0, 2.0], [1.0, 2.0]).p == 1.0
    left = paired([1.0, math.nan, 3.0], [0.5, 1.0, 2.0])
    assert left.differences == (0.5, 1.0)
    with pytest.raises(ValueError, match="received 2 of the first plan and 1"):
        paired([1.0, 2.0], [1.0])


def test_rounding_is_no_spread_to_judge_by():
    one, other = [0.7, 0.72, 0.8], [0.6, 0.62, 0.7]
    differences = np.subtract(one, other)
    assert np.ptp(differences) > 0, "so that a test by this spread would find p = 1e-31"
    assert p_values(differences) < 1e-20
    found = paired(one, other)
    assert len(set(found.differences)) == 1
    assert found.mean == pytest.approx(0.1, rel=1e-12)
    assert found.deviation == 0.0
    assert all(map(math.isnan, (found.p, found.effect, *found.interval)))
    (pair,) = all_pairs({"a": one, "b": other})
    assert pair.outcome is Verdict.UNJUDGED
    assert pair.verdict() == "the same difference in 3 seeds: no spread to judge it by"
    assert np.full(3, 0.1).std() > 0, "the mean of equal numbers is rounded"
    assert paired([0.1] * 3, [0.0] * 3).deviation == 0.0
    nothing = paired(one, np.nextafter(one, 1).tolist())
    assert (nothing.differences, nothing.p) == ((0.0,) * 3, 1.0)
    # What is more than rounding is judged, whatever the values are counted in.
    for scale in (1e-9, 1.0, 1e9):
        moved = paired(*(np.multiply(scale, v).tolist() for v in (one, [0.6, 0.62, 0.7 - 1e-9])))
        assert moved.deviation == pytest.approx(scale * 1e-9 / math.sqrt(3), rel=1e-4)
        assert moved.p < 1e-10


def test_identical_are_plans_that_lost_no_trial():
    (same,) = all_pairs({"a": [0.0, 0.0, 0.5], "b": [0.0, 0.0, 0.5]})
    assert same.outcome is Verdict.IDENTICAL
    (lost,) = all_pairs({"a": [0.0, 0.0, 0.5], "b": [0.0, 0.0, math.nan]})
    assert lost.outcome is Verdict.UNDECIDED
    assert lost.verdict().startswith("no difference that 2 seeds can show; b gave no number in 1")
    (one,) = all_pairs({"a": [0.0, 0.0, 0.0], "b": [0.0, math.nan, math.nan]})
    assert one.outcome is Verdict.UNJUDGED


def test_a_verdict_is_one_of_either_plan():
    (pair,) = all_pairs({"a": [0.70, 0.72, 0.71], "b": [0.60, 0.61, 0.62]}, level=0.2)
    assert (pair.of("a"), pair.of("b")) == (Verdict.BETTER, Verdict.WORSE)
    (same,) = all_pairs({"a": [0.5, 0.6], "b": [0.5, 0.6]})
    assert (same.of("a"), same.of("b")) == (Verdict.IDENTICAL,) * 2


def test_verdicts():
    results = {
        "a": [0.70, 0.72, 0.71],
        "b": [0.60, 0.61, 0.62],
        "c": [0.71, 0.70, 0.72],
        "d": [0.70, 0.72, 0.71],
        "e": [math.nan, 0.7, math.nan],
    }
    found = {(pair.one, pair.other): pair for pair in all_pairs(results, level=0.2)}
    assert found["a", "b"].outcome is Verdict.BETTER
    assert found["a", "b"].verdict().startswith("better by 0.1, beyond chance (adjusted p ")
    assert found["b", "c"].outcome is Verdict.WORSE
    undecided = found["c", "d"]
    assert undecided.outcome is Verdict.UNDECIDED
    assert undecided.verdict() == "no difference that 3 seeds can show"
    assert found["a", "c"].needed is None
    assert found["a", "d"].verdict() == "identical in 3 seeds"
    one_left = found["a", "e"].verdict()
    assert one_left.startswith("one pair of trials can't tell")
    assert "e gave no number in 2 of 3 trials, which are left out here" in one_left
    lower = all_pairs(results, lower_is_better=True, level=0.2)[0]
    assert lower.outcome is Verdict.WORSE


def test_the_number_of_seeds_that_would_settle_it():
    (pair,) = all_pairs({"a": [0.70, 0.76, 0.71], "b": [0.69, 0.70, 0.70]})
    few, many = pair.needed
    effect = pair.paired.mean / pair.paired.deviation
    assert power(effect, few) >= 0.8 > power(effect, few - 1)
    assert many > few > 3
    assert f"{few} to {many} fresh seeds would settle" in pair.verdict()
    assert pair.detectable > abs(pair.paired.mean)


def test_all_failed():
    pairs = all_pairs({"a": [math.nan] * 3, "b": [0.1, 0.2, 0.3]})
    assert pairs[0].outcome is Verdict.UNJUDGED
    assert pairs[0].verdict().startswith("nothing can be said")
    assert "a gave no number in 3 of 3" in pairs[0].verdict()
    assert all_pairs({"a": [1.0]}) == ()


def test_the_front():
    quality, cost = [0.7, 0.8, 0.75, 0.9, math.nan, 0.9], [1.0, 2.0, 2.0, 4.0, 0.1, 5.0]
    assert front(quality, cost) == (0, 1, 3)
    assert front([1.0, 1.0], [2.0, 2.0]) == (0, 1)
    assert front([], []) == ()
