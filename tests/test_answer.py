"""The page of `make answer`: what it says of what was measured, and of what wasn't."""

import json
import re
import shutil
import sys
from collections import Counter
from dataclasses import replace
from importlib import import_module
from itertools import product
from pathlib import Path

import numpy as np
import pytest

from normwise.comparison.outcome import Cost, Images, Outcome
from normwise.comparison.processes import Ended
from normwise.errors import RunError
from normwise.norms.plan import NormPlan
from normwise.report.page.numbers import MINUS, MISSING
from normwise.rules.training import cold_statistics
from normwise.training.recipe_changes import with_settings

ROOT = Path(__file__).parents[1]
SEEDS = 3


def scripts(*names):
    """Scripts, which are no package."""
    sys.path.insert(0, str(ROOT / "benchmarks"))
    try:
        return tuple(import_module(name) for name in names)
    finally:
        sys.path.remove(str(ROOT / "benchmarks"))


@pytest.fixture(scope="module")
def made():
    return scripts("answer", "answer_design", "answer_page")


@pytest.fixture(scope="module")
def written_costs():
    return scripts("answer_costs")[0]


def row(made, data_set, part, variant, seed, value, **more):
    answer, _, _ = made
    named = answer.Asked(data_set, part, answer.Trial(variant, seed)).row
    metric = "rmse" if data_set.name == "s2_bands" else "iou"
    costs = {"seconds_per_step": 0.1, "seconds_per_megapixel": 1.0, "peak_memory": 1e9}
    probes = {"disparity": 0.25, "tile_mismatch": 0.0, "batch_dependence": None}
    norms = 4 * (variant.plan != "none")
    counts = {"norms": norms, "parameters": 1000 + 10 * norms, "statistics": 16 * norms}
    counts["probes"] = probes
    where = {"versions": {"keras": "3.15"}, "commit": "abc1234", "machine": "x86_64", "wall": 3.0}
    where |= {"processors": 2, "at_once": 2, "threads": 1, "images": [8, 2, "alike"]}
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
            value = 0.5 + 0.1 * (variant.plan == design.AFTER) + 1e-5 * rng.normal()
            found.append(row(made, data_set, part, variant, seed, value))
    return found


def page(made, rows, seeds=SEEDS):
    _, design, written = made
    return written.page(rows, design.PARTS, seeds)


def section(text, title):
    return re.split(rf"^## .*{re.escape(title)}.*$", text, maxsplit=1, flags=re.M)[1].partition(
        "\n## "
    )[0]


def test_every_claim_compares_what_is_trained(made):
    _, design, _ = made
    trained = {(part.name, variant.name) for part in design.PARTS for variant in part.variants}
    assert {(cell.part, cell.variant) for cell in design.cells()} <= trained
    for claim in design.CLAIMS:
        assert claim.rules or claim.evidence
        assert len({contrast.name for contrast in claim.contrasts}) == len(claim.contrasts)


def test_statistics_of_every_batch_norm_are_warm_at_the_end(made):
    _, design, written = made
    found = 0
    for part in design.PARTS:
        steps = part.epochs * part.steps
        for variant in part.variants:
            for clause in NormPlan.parse(variant.plan).clauses:
                if clause.spec.kind == "batch":
                    found += 1
                    momentum = dict(clause.spec.args).get("momentum", 0.99)
                    assert momentum**steps <= cold_statistics.WARNING, variant.name
        assert f"after {steps} steps" in written.MADE
        assert round(0.99**steps, 2) == 0.05
    assert found == 12
    assert "momentum 0.967" in written.MADE
    assert design.BN == "batch(momentum=0.967)"


def test_the_network_of_the_question_is_compared_with_more_plans(made):
    _, design, _ = made
    compared = {
        frozenset((cell.part, cell.variant) for cell in (contrast.one, contrast.other))
        for claim in design.CLAIMS
        for contrast in claim.contrasts
    }
    asked = ("question", f"{design.RAW} · network.decoder_activation=null")
    after = ("question", f"{design.NORMALIZED} · network.decoder_activation=null")
    assert {asked, ("question-plans", "none")} in compared
    assert {after, ("question-plans", design.PRE_ENCODER)} in compared


@pytest.mark.parametrize(
    ("setting", "same"),
    [
        ("training.weight_decay=0.5", False),
        ("data.path=elsewhere", True),
        ("training.seed=7", True),
    ],
)
def test_a_key_changes_with_every_setting_told_or_not(made, monkeypatch, setting, same):
    _, design, _ = made
    part, data_set = design.PARTS[0], design.SETS[0]
    key = part.key(data_set, part.variants[0])
    real = design.Part.experiment

    def changed(self, *asked):
        experiment = real(self, *asked)
        return replace(experiment, base=with_settings(experiment.base, [setting]))

    monkeypatch.setattr(design.Part, "experiment", changed)
    assert (part.key(data_set, part.variants[0]) == key) is same


def test_no_two_trainings_share_a_folder(made):
    answer, design, _ = made
    folders = Counter(asked.folder(Path()) for asked in answer.trials(design.PARTS, SEEDS))
    assert len(folders) == folders.total() == 216


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


def test_small_batches_and_large_ones_are_compared_in_one_direction(made):
    _, design, _ = made
    kinds = [
        (contrast.one.variant.partition(" ")[0], contrast.other.variant.partition(" ")[0])
        for claim in design.CLAIMS[4:6]
        for contrast in claim.contrasts
    ]
    assert kinds.count((design.GROUP, design.BATCH)) == 3
    assert len(kinds) == 4


def test_a_page_without_results_has_the_claims_and_the_design_alone(made):
    text = page(made, [])
    assert "**0 of 216 trainings are there**." in text
    own = section(text, "What is asked")
    for number, claim in enumerate(made[1].CLAIMS, 1):
        assert f"{number}. **{claim.title}** {claim.said}" in own
        assert all(contrast.with_network in own for contrast in claim.contrasts)
    told = section(text, "How it is measured")
    for one in (*made[1].SETS, *made[1].PARTS):
        assert f"- **{one.name}**: {one.what}" in told
    assert "make answer" in told
    assert "not yet run" not in text
    assert "|---|" not in text
    assert "nan" not in text
    assert "None" not in text


def test_what_was_measured_is_judged_by_the_package(made, rows):
    text = page(made, rows)
    assert "All 216 trainings are there." in text
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
    assert "Of 68 comparisons with two seeds or more (of 68 in all), " in short
    told = "after the activation against before the activation: better"
    assert f"- {told} on isl_fluor, dsb2018_subset, hls_water\n" in short
    assert "| after the activation against before the activation | **better** (+0.1) |" in short
    assert "2 trainings at once, threads of each: 1" in text
    assert "commit abc1234" in text
    assert "## 11. What else it does" in text
    assert "section 11" in made[1].CLAIMS[4].note


def test_pairs_are_counted_for_the_first_over_all_sets(made, rows):
    """Better in each pair of three sets, worse in each of the fourth; pairs that tie are apart."""
    _, _, written = made
    name = "after the activation against before the activation"
    short = section(page(made, rows), "In short")
    assert next(x for x in short.splitlines() if x.startswith(f"| {name} |")).endswith(
        "| 9 of 12 |"
    )
    same = [
        r | {"value": 0.5} if r["set"] == "s2_bands" and r["part"] == "where" else r for r in rows
    ]
    short = section(page(made, same), "In short")
    assert next(x for x in short.splitlines() if x.startswith(f"| {name} |")).endswith("| 9 of 9 |")
    assert written.ahead([]) == MISSING


def test_one_difference_beyond_chance_shows(made, rows):
    _, design, _ = made
    both = (design.AFTER, design.BATCH)
    few = [r for r in rows if (r["set"], r["part"]) == ("isl_fluor", "where")]
    short = section(page(made, [r for r in few if r["variant"] in both]), "In short")
    assert "(of 68 in all), 1 shows a difference beyond chance:" in short


def test_rows_of_the_questions_network_say_so(made, rows):
    short = section(page(made, rows), "In short")
    assert "| question's network, normalized skips against as asked |" in short
    assert "| as asked against the question's network without a norm |" in short


@pytest.mark.parametrize(("seeds", "least"), [(3, 7.3), (4, 3.4)])
def test_how_large_a_difference_must_be_is_told_for_the_number_of_seeds(made, seeds, least):
    _, design, written = made
    said = written.few(seeds)
    assert f"with {seeds} seeds and 8 comparisons" in said
    assert f"more than {least} times" in said
    assert "times" not in written.few(1)
    families = [len(claim.contrasts) * len(design.SETS) for claim in design.CLAIMS]
    assert Counter(families).most_common(1)[0][0] == 8


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
    assert "**18 of 216 trainings are there**" in text
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
    said = "one pair of numbers, which tells nothing of chance (0 and 1 of 2 gave no number)"
    assert said in own
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


def test_trainings_that_gave_no_number_are_told_wherever_a_verdict_is(made, rows):
    """The sets agree but for one, which lost a seed of the first."""
    _, design, _ = made
    few = lost(rows, ("isl_fluor", "where", design.AFTER, 0))
    text, note = page(made, few), "1 and 0 of 3 gave no number"
    short = section(text, "In short")
    told = "- after the activation against before the activation: better"
    assert f"{told} ({note}) on isl_fluor\n" in short
    assert f"{told} on dsb2018_subset, hls_water\n" in short
    assert f"| **better** (+0.1; {note}) |" in short
    own = section(text, "After the activation, or before it?")
    assert f"better ({note}) on isl_fluor; better on dsb2018_subset, hls_water" in own
    fewer = lost(few, ("isl_fluor", "where", design.BATCH, 1))
    short = section(page(made, fewer), "In short")
    assert "one pair of numbers (+0.1; 1 and 1 of 3 gave no number)" in short


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


def test_trainings_with_other_images_are_no_pair(made, rows):
    """A data folder that has changed between two runs: one seed's second has other images."""
    _, design, _ = made
    named = ("isl_fluor", "where", design.BATCH, 1)
    other = lost(rows, named, value=9.0, images=[9, 2, "other"])
    without = [r for r in rows if (r["set"], r["part"], r["variant"], r["seed"]) != named]
    text, pairs = told(made, other)
    assert text == told(made, without)[0]
    assert next(iter(pairs.values())).trials == SEEDS - 1
    said = "Of the pairs on isl_fluor, 4 had other training images on either side: left out."
    assert said in page(made, other)
    assert "left out" not in page(made, rows)


def test_means_have_the_same_minus_as_differences(made):
    _, _, written = made
    assert written.spread([-0.5, -0.7]) == f"{MINUS}0.6 ± 0.14"
    assert written.spread([-0.5]) == f"{MINUS}0.5"
    assert written.spread([]) == MISSING


def test_seeds_beyond_those_that_are_wanted_are_not_shown(made, rows):
    _, design, written = made
    found = written.Results.of(rows, design.PARTS, SEEDS - 1)
    assert {r["seed"] for r in found.rows} == set(range(SEEDS - 1))
    assert found.outdated == 0
    assert written.state(found) == "All 144 trainings are there."


def test_what_has_no_number_need_not_have_diverged(made, rows):
    _, design, written = made
    for seed in range(SEEDS):
        rows = lost(rows, ("isl_fluor", "where", design.AFTER, seed))
    rows = lost(rows, ("hls_water", "where", design.AFTER, 0), diverged="no number")
    text, pairs = told(made, rows)
    assert "no seed gave two numbers (3 and 0 of 3 gave no number) on isl_fluor;" in text
    brief = written.brief(pairs[design.CLAIMS[0].contrasts[0], "isl_fluor"])
    assert brief == "no number (3 and 0 of 3 gave no number)"
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


def test_a_training_that_diverged_has_no_norms_to_count(made, written_costs, rows):
    answer, design, written = made
    outcome = Outcome({}, {}, "iou", "test", Images(4, 2, "key"), diverged="no number")
    assert answer.told(outcome, busy=False)["norms"] is None
    assert answer.told(replace(outcome, diverged=""), busy=False)["norms"] == 0
    none = {"norms": None, "parameters": None, "statistics": None, "diverged": "no number"}
    changed = lost(rows, ("isl_fluor", "where", design.BATCH, 1), **none)
    costs = "\n".join(written_costs.costs(written.Results.of(changed, design.PARTS, SEEDS), 9))
    assert f"| `{design.BATCH}` | +4 | +40 | +64 |" in costs


def test_results_of_another_design_are_not_shown(made, rows):
    _, design, written = made
    old = [r | {"key": "0" * 12} if r["part"] == "question" else r for r in rows]
    text = page(made, old)
    assert "48 results were made under another design" in text
    assert "not yet run." in section(text, "Do the skips have to be normalized?")
    other = written.page(rows, [design.replace(p, steps=7) for p in design.PARTS], SEEDS)
    assert "**0 of 216 trainings are there**" in other
    assert "216 results were made under another design" in other


def test_costs_are_beside_those_of_trainings_with_one_seed(made, rows):
    _, design, _ = made
    slow = [r | {"seconds_per_step": 0.15} if r["variant"] == design.GROUP else r for r in rows]
    own = section(page(made, slow), "What it costs")
    line = next(x for x in own.splitlines() if x.startswith(f"| `{design.GROUP}`"))
    assert "| 1.50 | 1.50 | 1.50 | 1.50 | 1.00 | 1.00 |" in line
    assert f"| `{design.BATCH}` | +4 | +40 | +64 | 1.00 |" in own
    assert "| `none` | 0 | 0 | 0 | 1.00 |" in own
    beside = section(page(made, slow), "What else it does")
    assert f"| `{design.BATCH}` | 0.25 | 0 | {MISSING} |" in beside
    assert design.PRE_ENCODER not in beside


def test_times_that_were_not_kept_are_told_from_elsewhere(made, rows):
    untimed = [r | {"seconds_per_step": None, "seconds_per_megapixel": None} for r in rows]
    apart = "| plan | a training step | a prediction |"
    assert apart in section(page(made, untimed), "What it costs")
    assert apart not in section(page(made, rows), "What it costs")


def test_counts_are_beside_those_of_the_same_set(made, written_costs, rows):
    """Sets have other channels, so that their networks differ without any norm, too."""
    _, design, _ = made
    larger = [
        r | {"parameters": r["parameters"] + 5000, "statistics": r["statistics"] // 4 * 3}
        if r["set"] == "isl_fluor"
        else r | {"norms": 4}
        for r in rows
    ]
    own = section(page(made, larger), "What it costs")
    assert f"| `{design.BATCH}` | 0 to +4 | +40 | +48 to +64 |" in own
    assert written_costs.counted(-1200) == f"{MINUS}1,200"


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
    assert f"| `{design.BATCH}` | +4 | +40 | +64 | {MISSING} | 1.00 | 1.00 |" in own


def test_a_page_without_times_says_so_and_has_no_columns_of_them(made, rows):
    _, design, _ = made
    none = {"seconds_per_step": None, "seconds_per_megapixel": None}
    own = section(page(made, [r | none for r in rows]), "What it costs")
    assert "| plan | norms | parameters trained | statistics kept | memory |" in own
    assert f"| `{design.BATCH}` | +4 | +40 | +64 | 1.00 |" in own
    assert "Times\nwere not kept, as other work ran beside" in own
    assert "Times are of" not in own
    timed = section(page(made, rows), "What it costs")
    assert "Times are of\none processor each" in timed
    assert "not kept" not in timed


def test_the_page_of_the_repository_is_that_of_its_data(made):
    answer, design, _ = made
    assert answer.PAGE.read_text(encoding="utf-8") == page(
        made, answer.load(answer.MEASURED), answer.SEEDS
    )
    for link in re.findall(r"\]\(([^)#]+)\)", answer.PAGE.read_text(encoding="utf-8")):
        assert (answer.PAGE.parent / link).exists(), link
    assert design.PARTS[0].command(design.SETS[0], 3).startswith("normwise compare isl_fluor ")


@pytest.fixture
def processes(made, tmp_path, monkeypatch):
    """Stands for the processes of trainings, and tells what was begun: each is done at once."""
    answer, design, _ = made
    for data_set in design.SETS[:2]:
        (tmp_path / "data" / data_set.name).mkdir(parents=True)
    begun = []

    def each(orders, at_once, one_processor):
        assert at_once == 2
        assert one_processor
        for trial, recipe, folder in orders:
            begun.append((trial, recipe))
            folder.mkdir(parents=True)
            yield Ended(trial, folder, 1.5)

    def measured(one, ended, options):
        return row(made, one.data_set, one.part, one.trial.variant, one.trial.seed, 0.5)

    monkeypatch.setattr(answer, "each_in_process", each)
    monkeypatch.setattr(answer, "measured", measured)
    return begun


def call(made, tmp_path, monkeypatch, *words):
    answer, _, _ = made
    folders = {"data": "data", "results": "r.json", "page": "page.md", "runs": "runs"}
    own = [word for name, at in folders.items() for word in (f"--{name}", str(tmp_path / at))]
    monkeypatch.setattr(sys, "argv", ["answer.py", *own, "--jobs", "2", *words])
    answer.main()


PART = ("--only", "isl_fluor:question", "--seeds", "2")


def failing(answer, monkeypatch, number, error):
    """The training of this number fails when it is measured."""
    real, asked = answer.measured, []

    def measured(one, ended, options):
        asked.append(one)
        if len(asked) == number:
            raise error
        return real(one, ended, options)

    monkeypatch.setattr(answer, "measured", measured)


def test_trainings_are_kept_one_by_one_and_gone_on_with(
    made, processes, tmp_path, monkeypatch, capsys
):
    with monkeypatch.context() as patch:
        failing(made[0], patch, 4, KeyboardInterrupt())
        with pytest.raises(KeyboardInterrupt):
            call(made, tmp_path, patch, *PART)
    assert len(json.loads((tmp_path / "r.json").read_text())) == 3
    assert "**3 of 144 trainings are there**" in (tmp_path / "page.md").read_text()
    shutil.rmtree(tmp_path / "runs")
    call(made, tmp_path, monkeypatch, *PART)
    assert "8 trainings, 3 of them done already" in capsys.readouterr().out
    assert [trial.seed for trial, _ in processes] == [0, 0, 0, 0, 0, 1, 1, 1, 1]
    assert {recipe.network.name for _, recipe in processes} == {"question"}
    assert "**8 of 144 trainings are there**" in (tmp_path / "page.md").read_text()
    with pytest.raises(SystemExit):
        call(made, tmp_path, monkeypatch, "--only", "isl")


def test_trainings_on_several_backends_are_not_mixed(made, processes, tmp_path, monkeypatch):
    answer, design, _ = made
    part = next(part for part in design.PARTS if part.name == "question")
    versions = {"versions": {"keras": "3.15", "backend": "tensorflow"}}
    own = row(made, design.SETS[0], part, part.variants[0], 0, 0.5, **versions)
    answer.keep([own], tmp_path / "r.json")
    monkeypatch.setattr(answer, "chosen_backend", lambda: "jax")
    with pytest.raises(SystemExit, match=r"r\.json: holds trainings on tensorflow.* is jax"):
        call(made, tmp_path, monkeypatch, *PART)
    assert not processes
    call(made, tmp_path, monkeypatch, *PART, "--render")
    # Those of another design are not shown.
    answer.keep([own | {"key": "0" * 12}], tmp_path / "r.json")
    call(made, tmp_path, monkeypatch, *PART)
    assert len(processes) == 8


def test_a_training_that_fails_costs_no_other(made, processes, tmp_path, monkeypatch, capsys):
    with monkeypatch.context() as patch:
        failing(made[0], patch, 2, RunError("Its folder is damaged."))
        with pytest.raises(SystemExit, match="failed: 1 of the trainings"):
            call(made, tmp_path, patch, *PART)
    said = capsys.readouterr().out
    assert len(processes) == 8
    assert re.search(r"2 of 8: isl_fluor, question: .*: failed: Its folder is damaged\.", said)
    assert len(json.loads((tmp_path / "r.json").read_text())) == 7
    assert "**7 of 144 trainings are there**" in (tmp_path / "page.md").read_text()
    assert len(list((tmp_path / "runs").glob("*/*/seed*"))) == 1
    shutil.rmtree(tmp_path / "runs")
    call(made, tmp_path, monkeypatch, *PART)
    assert len(processes) == 9


def test_a_training_that_can_not_be_made_is_an_error(made, tmp_path):
    answer, _, _ = made
    with pytest.raises(RunError, match="killed"):
        answer.measured(None, Ended(None, tmp_path, 1.0, "It was killed."), None)
    with pytest.raises(RunError, match="holds no outcome"):
        answer.measured(None, Ended(None, tmp_path, 1.0), None)


def test_what_a_training_gave_is_kept_before_its_folder_goes(
    made, processes, tmp_path, monkeypatch
):
    def full(rows, path):
        raise OSError("No space left on device")

    monkeypatch.setattr(made[0], "keep", full)
    with pytest.raises(OSError, match="No space"):
        call(made, tmp_path, monkeypatch, *PART)
    assert len(list((tmp_path / "runs").glob("*/*/seed*"))) == 1


def test_sets_that_are_not_there_are_named(made, processes, tmp_path, monkeypatch, capsys):
    some = ("--only", "isl_fluor:question-plans", "--only", "s2_bands")
    call(made, tmp_path, monkeypatch, "--seeds", "1", *some)
    assert f"left out: s2_bands, as there is no folder {tmp_path}" in capsys.readouterr().out
    assert len(processes) == 2
    with pytest.raises(SystemExit, match="no data set to run on"):
        call(made, tmp_path, monkeypatch, "--only", "s2_bands")


def test_as_many_trainings_at_once_as_processors_and_memory_allow(made, monkeypatch):
    answer, _, _ = made
    monkeypatch.setattr(answer, "usable_processors", lambda: 8)
    for memory, expected in ((64 * 2**30, 8), (6.5 * 2**30, 3), (2**30, 1)):
        monkeypatch.setattr(answer, "available_memory", lambda memory=memory: int(memory))
        assert answer.jobs() == expected


def test_where_a_training_was_made_is_kept(made, monkeypatch):
    answer, _, _ = made
    found = answer.machine(2)
    assert (found["at_once"], found["threads"]) == (2, 1)
    assert re.fullmatch(r"[0-9a-f]{7,}|", found["commit"])
    monkeypatch.setenv("PATH", "")
    assert answer.commit() == ""


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
    assert (experiment.base.training.epochs, experiment.base.training.steps) == (3, 100)
    for text in part.all_settings(data_set):
        assert f"--set {text}" in part.command(data_set, SEEDS)
    asked = design.PARTS[2].experiment(data_set, Path("data"), SEEDS)
    assert not asked.base.network.input_residual, "the question's network as it was asked"
