"""The page of `make answer`: what it says of what was measured, and of what wasn't."""

import json
import re
import sys
from dataclasses import replace
from itertools import product
from pathlib import Path

import numpy as np
import pytest

from normwise.comparison.outcome import Cost, Images, Outcome
from normwise.report.page.numbers import MISSING

ROOT = Path(__file__).parents[1]
SEEDS = 3


@pytest.fixture(scope="module")
def made():
    """The scripts, which are no package."""
    sys.path.insert(0, str(ROOT / "benchmarks"))
    try:
        import answer
        import answer_design
        import answer_page
    finally:
        sys.path.remove(str(ROOT / "benchmarks"))
    return answer, answer_design, answer_page


def row(made, data_set, part, variant, seed, value, **more):
    answer, _, _ = made
    named = answer.Asked(data_set, part, answer.Trial(variant, seed)).row
    metric = "rmse" if data_set.name == "s2_bands" else "iou"
    costs = {"seconds_per_step": 0.1, "seconds_per_megapixel": 1.0, "peak_memory": 1e9}
    probes = {"disparity": 0.25, "tile_mismatch": 0.0, "batch_dependence": None}
    counts = {"probes": probes, "norms": 4, "parameters": 1000, "statistics": 64}
    where = {"versions": {"keras": "3.15"}, "processors": 2, "machine": "x86_64", "wall": 3.0}
    gave = {"metric": metric, "value": value, "diverged": "", **costs, **counts, **where}
    return named | gave | more


@pytest.fixture(scope="module")
def rows(made):
    """Every training with a number of its own: after the activation is better by 0.1."""
    _, design, _ = made
    rng = np.random.default_rng(0)
    found = []
    for data_set, part in product(design.SETS, design.PARTS):
        for seed, variant in product(range(SEEDS), part.variants):
            value = 0.5 + 0.1 * (variant.plan == design.AFTER) + 1e-4 * rng.normal()
            found.append(row(made, data_set, part, variant, seed, value))
    return found


def page(made, rows, seeds=SEEDS):
    _, design, written = made
    return written.page(rows, design.PARTS, seeds)


def section(text, title):
    return text.partition(title)[2].partition("\n## ")[0]


def test_every_claim_compares_what_is_trained(made):
    _, design, _ = made
    trained = {(part.name, variant.name) for part in design.PARTS for variant in part.variants}
    assert {(cell.part, cell.variant) for cell in design.cells()} <= trained
    for claim in design.CLAIMS:
        assert claim.rules or claim.evidence
        assert len({contrast.name for contrast in claim.contrasts}) == len(claim.contrasts)


def test_no_result_is_told_by_two_claims(made):
    """It would be corrected in two families, open in one and beyond chance in the other."""
    _, design, _ = made
    compared = [
        frozenset((cell.part, cell.variant) for cell in (contrast.one, contrast.other))
        for claim in design.CLAIMS
        for contrast in claim.contrasts
    ]
    assert len(set(compared)) == len(compared)
    small = next(claim for claim in design.CLAIMS if "claim 5" in claim.note)
    assert "small batches" in small.title
    assert design.CLAIMS[4].title == "Group or instance norm instead?"


def test_an_empty_page_says_that_nothing_was_run(made):
    text = page(made, [])
    assert "**0 of 192 trainings are there**" in text
    for claim in made[1].CLAIMS:
        own = section(text, claim.title)
        assert "not yet run." in own
        assert not re.search(r"\b(better|worse|identical)\b", own.partition("What else")[0]
                             .partition("| set |")[2])  # fmt: skip
    assert "Nothing was compared with two seeds yet" in text
    assert "nan" not in text
    assert "None" not in text


def test_what_was_measured_is_judged_by_the_package(made, rows):
    text = page(made, rows)
    assert "All 192 trainings are there." in text
    own = section(text, "After the activation, or before it?")
    assert "better on isl_fluor, dsb2018_subset, hls_water; worse on s2_bands." in own
    line = next(x for x in own.splitlines() if x.startswith("| isl_fluor (iou, higher is better)"))
    assert "| +0.1 |" in line
    assert "better by 0.1, beyond chance (adjusted p" in line
    line = next(x for x in own.splitlines() if x.startswith("| s2_bands (rmse, lower is better)"))
    assert "worse by 0.1, beyond chance" in line
    skips = section(text, "Do the skips have to be normalized?")
    assert "no difference that 3 seeds can show" in skips
    short = section(text, "In short")
    assert "Of 60 comparisons with two seeds or more (of 60 in all), " in short
    told = "after the activation against before the activation: better"
    assert f"- {told} on isl_fluor, dsb2018_subset, hls_water\n" in short
    assert "| after the activation against before the activation | **better** (+0.1) |" in short


def test_p_is_corrected_for_all_comparisons_of_a_claim_even_those_not_yet_made(made, rows):
    _, design, written = made
    claim = design.CLAIMS[0]
    alone = [r for r in rows if r["set"] == "isl_fluor"]
    found = written.judged(written.Results.of(alone, design.PARTS, SEEDS), claim)
    pair = found[claim.contrasts[0], "isl_fluor"]
    assert pair.comparisons == len(design.SETS)
    assert pair.adjusted == pytest.approx(len(design.SETS) * pair.paired.p)


def test_one_set_with_one_seed_claims_nothing(made, rows):
    few = [r for r in rows if r["set"] == "isl_fluor" and r["seed"] == 0]
    text = page(made, few)
    assert "**16 of 192 trainings are there**" in text
    own = section(text, "After the activation, or before it?")
    assert "one seed, which tells nothing of chance on isl_fluor; not yet run on dsb2018" in own
    assert "one pair of trials can't tell a difference from chance" in own
    assert "beyond chance (" not in text
    assert "one seed (+0.1)" in section(text, "In short")


def test_trainings_are_paired_by_seed_and_what_diverged_is_told(made, rows):
    _, design, _ = made
    before = design.BATCH
    changed = [
        r | {"value": None, "diverged": "The loss is no number."}
        if (r["set"], r["variant"], r["seed"], r["part"]) == ("isl_fluor", before, 1, "where")
        else r
        for r in rows
        if (r["set"], r["variant"], r["seed"]) != ("isl_fluor", design.AFTER, 0)
    ]
    own = section(page(made, changed), "After the activation, or before it?")
    line = next(x for x in own.splitlines() if x.startswith("| isl_fluor"))
    assert "one pair of trials" in line
    assert "before the activation gave no number in 1 of 2 trials" in line
    assert "Of the trainings on isl_fluor, 1 diverged:" in page(made, changed)


def lost(rows, named, **more):
    """The results with no number for one training: set, part, plan and seed."""
    return [
        r | {"value": None} | more if (r["set"], r["part"], r["variant"], r["seed"]) == named else r
        for r in rows
    ]


def told(made, rows, place=0, seeds=SEEDS):
    """What is said of one claim, as its section and as pairs; the rest of the page is left out."""
    _, design, written = made
    results, claim = written.Results.of(rows, design.PARTS, seeds), design.CLAIMS[place]
    pairs = written.judged(results, claim)
    return "\n".join(written.section(results, claim, place + 1, pairs)), pairs


def line_of(text):
    return next(x for x in text.splitlines() if x.startswith("| isl_fluor")).split(" | ")


def test_trials_of_a_pair_that_failed_are_counted_among_all_of_it(made, rows):
    _, design, _ = made
    one = ("isl_fluor", "where", design.AFTER, 0)
    other = ("isl_fluor", "where", design.BATCH, 1)
    text, _ = told(made, lost(lost(rows, one), other))
    for name in ("after the activation", "before the activation"):
        assert f"{name} gave no number in 1 of 3 trials" in line_of(text)[-1]


def test_means_of_a_line_are_those_whose_difference_stands_beside_them(made, rows):
    """One plan has a seed more, and it is a bad one."""
    _, design, _ = made
    worse = row(made, design.SETS[0], design.PARTS[0], design.PARTS[0].variants[1], SEEDS, 0.1)
    assert worse["variant"] == design.BATCH

    def means(rows):
        cells = line_of(told(made, rows, seeds=SEEDS + 1)[0])
        return [float(cell.partition(" ")[0]) for cell in cells[2:5]]

    assert means([*rows, worse]) == means(rows)
    first, second, difference = means(lost([*rows, worse], ("isl_fluor", "where", design.AFTER, 1)))
    assert first - second == pytest.approx(difference, abs=2e-4)


def test_seeds_beyond_those_that_are_wanted_are_not_shown(made, rows):
    _, design, written = made
    found = written.Results.of(rows, design.PARTS, SEEDS - 1)
    assert {r["seed"] for r in found.rows} == set(range(SEEDS - 1))
    assert found.outdated == 0
    assert written.state(found) == "All 128 trainings are there."


def test_what_has_no_number_need_not_have_diverged(made, rows):
    _, design, written = made
    for seed in range(SEEDS):
        rows = lost(rows, ("isl_fluor", "where", design.AFTER, seed))
    rows = lost(rows, ("hls_water", "where", design.AFTER, 0), diverged="no number")
    text, pairs = told(made, rows)
    assert "no seed gave two numbers on isl_fluor;" in text
    assert written.brief(pairs[design.CLAIMS[0].contrasts[0], "isl_fluor"]) == "no number"
    weak = "\n".join(written.weak(written.Results.of(rows, design.PARTS, SEEDS)))
    assert "Of the trainings on isl_fluor, 3 gave no iou:" in weak
    assert "Of the trainings on hls_water, 1 diverged:" in weak


def test_what_can_not_be_judged_is_no_verdict(made, rows):
    _, design, written = made
    values = {design.AFTER: 0.75, design.BATCH: 0.5, design.GROUP: 0.5, design.INSTANCE: 0.5}
    equal = [r | {"value": values.get(r["variant"], r["value"])} for r in rows]
    text, pairs = told(made, equal)
    assert "the same difference in 3 seeds (no spread to judge it by)." in text
    assert {written.brief(pair) for pair in pairs.values()} == {"the same each time (+0.25)"}
    text, pairs = told(made, equal, place=4)
    assert "Instance norm against batch norm: identical." in text
    assert {written.brief(pair) for pair in pairs.values()} == {"identical"}


def test_a_training_that_diverged_has_no_norms_to_count(made, rows):
    answer, design, written = made
    outcome = Outcome({}, {}, "iou", "test", Images(4, 2, "key"), diverged="no number")
    assert answer.told(outcome, busy=False)["norms"] is None
    assert answer.told(replace(outcome, diverged=""), busy=False)["norms"] == 0
    none = {"norms": None, "parameters": None, "statistics": None, "diverged": "no number"}
    changed = lost(rows, ("isl_fluor", "where", design.BATCH, 1), **none)
    costs = "\n".join(written.costs(written.Results.of(changed, design.PARTS, SEEDS), 9))
    assert f"| `{design.BATCH}` | 4 | 1,000 | 64 |" in costs


def test_results_of_another_design_are_not_shown(made, rows):
    _, design, written = made
    old = [r | {"key": "0" * 12} if r["part"] == "question" else r for r in rows]
    text = page(made, old)
    assert "48 results were made under another design" in text
    assert "not yet run." in section(text, "Do the skips have to be normalized?")
    other = written.page(rows, [design.replace(p, steps=7) for p in design.PARTS], SEEDS)
    assert "**0 of 192 trainings are there**" in other


def test_costs_are_ratios_of_trainings_with_one_seed(made, rows):
    _, design, _ = made
    slow = [r | {"seconds_per_step": 0.15} if r["variant"] == design.GROUP else r for r in rows]
    own = section(page(made, slow), "What it costs")
    line = next(x for x in own.splitlines() if x.startswith(f"| `{design.GROUP}`"))
    assert "| 1.50 | 1.50 | 1.50 | 1.50 | 1.00 | 1.00 |" in line
    assert f"| `{design.BATCH}` | 4 | 1,000 | 64 | 1.00 |" in own
    beside = section(page(made, slow), "What it does beside")
    assert f"| `{design.BATCH}` | 0.25 | 0 | {MISSING} |" in beside


def test_times_of_a_busy_machine_are_not_kept(made, rows):
    answer, design, _ = made
    cost = Cost(300, 30.0, 0.1, 2.0, 1000, 64, 10**9)
    outcome = Outcome({}, {}, "iou", "val", Images(4, 2, "key"), cost=cost)
    found = {busy: answer.told(outcome, busy) for busy in (False, True)}
    times = ("seconds", "seconds_per_step", "seconds_per_megapixel")
    assert [found[False][name] for name in times] == [30.0, 0.1, 2.0]
    assert [found[True][name] for name in times] == [None] * 3
    assert {k for k, v in found[False].items() if v != found[True][k]} == set(times)
    untimed = [r | {"seconds_per_step": None} if r["set"] == "isl_fluor" else r for r in rows]
    own = section(page(made, untimed), "What it costs")
    assert f"| `{design.BATCH}` | 4 | 1,000 | 64 | {MISSING} | 1.00 | 1.00 |" in own


def test_the_page_of_the_repository_is_that_of_its_data(made):
    answer, design, _ = made
    assert answer.PAGE.read_text(encoding="utf-8") == page(
        made, answer.load(answer.MEASURED), answer.SEEDS
    )
    for link in re.findall(r"\]\(([^)#]+)\)", answer.PAGE.read_text(encoding="utf-8")):
        assert (answer.PAGE.parent / link).exists(), link
    assert design.PARTS[0].command(design.SETS[0], 3).startswith("normwise compare isl_fluor ")


def test_trainings_are_kept_one_by_one_and_gone_on_with(made, tmp_path, monkeypatch, capsys):
    answer, design, _ = made
    for data_set in design.SETS[:2]:
        (tmp_path / data_set.name).mkdir()
    asked = []

    def measured(one, options):
        asked.append(one)
        if len(asked) == 4:
            raise KeyboardInterrupt
        return row(made, one.data_set, one.part, one.trial.variant, one.trial.seed, 0.5)

    monkeypatch.setattr(answer, "measured", measured)
    words = ["answer.py", "--data", str(tmp_path), "--only", "isl_fluor:question", "--seeds", "2"]
    words += ["--results", str(tmp_path / "r.json"), "--page", str(tmp_path / "page.md")]
    monkeypatch.setattr(sys, "argv", words)
    with pytest.raises(KeyboardInterrupt):
        answer.main()
    assert len(json.loads((tmp_path / "r.json").read_text())) == 3
    answer.main()
    assert "8 trainings, 3 of them done already" in capsys.readouterr().out
    assert [one.trial.seed for one in asked] == [0, 0, 0, 0, 0, 1, 1, 1, 1]
    assert {one.part.name for one in asked} == {"question"}
    assert "**8 of 128 trainings are there**" in (tmp_path / "page.md").read_text()
    monkeypatch.setattr(sys, "argv", [*words[:4], "isl"])
    with pytest.raises(SystemExit):
        answer.main()


def test_images_are_told_as_the_seed_divides_them(made):
    answer, design, written = made
    told = {}
    for data_set in design.SETS:
        found = re.search(r"of (\d+) images .*draws (\d+) to train and (\d+) to val", data_set.what)
        if found is None:
            assert "its last fifth validates" in data_set.what
            continue
        together, train, validate = map(int, found.groups())
        base = design.PARTS[0].experiment(data_set, Path("data"), SEEDS).base
        assert validate == round(base.data.validation * together)
        assert train + validate == together
        told[data_set.name] = train
    assert len(told) == 3
    for row in answer.load(answer.MEASURED):
        assert row["images"][0] == told.get(row["set"], row["images"][0])
    assert any("which the seed draws" in point for point in written.WEAK)


def test_a_recipe_is_that_of_the_command(made):
    _, design, _ = made
    part, data_set = design.PARTS[0], design.SETS[2]
    experiment = part.experiment(data_set, Path("data"), SEEDS)
    assert experiment.base.network.input_residual
    assert experiment.base.training.metric == "rmse"
    assert (experiment.base.training.epochs, experiment.base.training.steps) == (6, 50)
    for text in part.all_settings(data_set):
        assert f"--set {text}" in part.command(data_set, SEEDS)
    asked = design.PARTS[2].experiment(data_set, Path("data"), SEEDS)
    assert not asked.base.network.input_residual, "the question's network as it was asked"
