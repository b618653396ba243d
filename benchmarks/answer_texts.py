"""What docs/the-question.md says whatever was measured: its head, its legends, its limits."""

from answer_design import BATCH

HEAD = """<!-- written by benchmarks/answer.py -->

# The question, measured

*How do I include batch normalization in a non-sequential Keras model, and is it in the right
place?* By a call, whose result the next layers read:
`x = BatchNormalization()(Conv2D(16, 3, activation="relu")(x))`. How the asker's network was
wired, and what `normwise check` finds in it, stands
[point by point on a page of its own](question.md).

{claims}

That `axis=3` is the default `axis=-1` needs no measuring. {state}"""

SHOWN = """Here is what was said to that question, claim by claim, beside what trainings on real
data show: the same network under equal conditions, paired seed by seed, as `normwise compare`
makes them ([what the numbers mean](compare.md))."""

PLANNED = """What was said to that question is to be measured claim by claim, by trainings on real
data: the same network under equal conditions, paired seed by seed, as `normwise compare` makes
them ([what the numbers mean](compare.md)). Here is what is asked, and how."""

UNSAID = "; what is missing is marked, and nothing is said of it"

COUNTED = """Of the U-Net. Norms, trained parameters and kept statistics: how many more than the
network without normalization has."""

TIMED = """Times and memory are ratios to it, the median over seeds (and over sets, where none is
named): of a training step with its loading, of a prediction, of the process's peak. Times are of
one processor each: every training was held to its own, as many at once as there were, with nothing
else beside them; small differences between ratios mean nothing. Of the question's network, at
512x512: [point 9 of its page](question.md)."""

UNTIMED = """Memory is a ratio to it, the median over seeds and sets, of the process's peak. Times
were not kept, as other work ran beside these trainings: what a norm costs in time was measured
apart and stands below."""

IN_TIME = """In time, of the network of the question, by `make norm-times`:"""

FOLDED = f"""In inference batch norm before or after a convolution can be folded away
(`normwise fold`), group and instance norm never; [more on speed](speed.md). `{BATCH}` and the like:
[how plans are written](plans.md)."""

BEHAVIOUR = """Of the trained U-Nets, the median over sets and seeds, all in standard deviations of
the output: by how much an output differs between training mode and inference, between two tiles
that overlap (0: tiles with a halo are exact), and in training mode by which other patches are in
the batch. `normwise check MODEL --data FOLDER` measures the same on your own model."""

LEGEND = """What is said is said of the first of the two, with the mean difference in the metric of
the set. **Better** and **worse**: beyond chance, after correction for all comparisons of a claim.
Open: no difference that so many seeds can show. In the tables of the claims each interval is for
its comparison alone and p is adjusted for all of the claim, so that an interval can leave out 0
where nothing is shown; first and second are means over the seeds in which both gave a number. Pairs
for the first: in how many pairs of trainings of one seed, on all sets, it was ahead; a count, not a
test: pairs of a set share its test images. “1 and 0 of 4 gave no number”: a training of
the first of the two, none of the second."""

FAMILY = 8
"""Comparisons of most claims, on all sets."""

WEAK = (
    "Each set has one choice of test images, and some have few (4 of isl_fluor, 2 of s2_bands): "
    "what other images would say isn't in the intervals. The intervals hold the chance of first "
    "weights, of patches and, but for s2_bands, of which training images validate, which the seed "
    "draws.",
    "Short trainings of small networks: faster learning and better learning can't be told apart. "
    "What helps in the first hundreds of steps may not matter in the end.",
    "One learning rate for all plans. A network without normalization may want another than one "
    "with.",
    "The comparisons of one claim on all sets are corrected together after Holm, those of "
    "different claims are not: of twenty claims where nothing differs, one would be said to show a "
    "difference.",
    "Images of uneven exposure (dsb2018_subset) are fed as they are, without the scaling image by "
    "image that `normwise configure` would choose there.",
    "Batches of 1 and 2 are trained at the learning rate of batches of 8.",
    "Group and instance norm take their statistics over a patch of 64x64 in training and over the "
    "whole image when measured; a part of their difference may be that.",
    "The question's network “as asked” is not quite so here: it reads a standardized input, where "
    "the question's own was not scaled, and patches of 128x128, where its images were 512x512.",
    "On s2_bands the U-Net learns what a linear function of the standardized input leaves of the "
    "target, whatever the plan: all plans begin near the answer there, and differ less.",
)

MADE = """By `NORMWISE_DATA=FOLDER make answer`, with these data sets in FOLDER; every training
stands in benchmarks/answer.json, and the same command goes on with what is missing. AdamW at the
recipe's defaults, a warm-up and a cosine; the weights after the last epoch, measured on the test
images. Patches are mirrored and turned by quarters. Batch norms have momentum 0.967 in place of
Keras' 0.99, with which 5 % of the initial statistics would be left after 300 steps
([cold-statistics](rules/cold-statistics.md)). The input is standardized unless a plan names another
normalization there. Equal are the steps, not the seconds."""
