"""The question that normwise comes from, answered from the network that it was asked with."""

from __future__ import annotations

from collections.abc import Iterator
from math import prod

from normwise.graph.catalogue import Role, role_of
from normwise.graph.layer_shapes import pair
from normwise.graph.text import shape_text
from normwise.norms.inference import infer_plan
from normwise.rules import BY_NAME
from normwise.workflows.question_facts import BATCH, PLANS, Question
from normwise.workflows.question_times import Times


def answer() -> str:
    """The answer as Markdown, point by point; every number is read from the network's graph."""
    question = Question.read()
    points = (
        _including, _axis, _order, _skips, _decoder, _pooling, _where, _input, _costs, _doing,
    )  # fmt: skip
    lines = list(_asked(question))
    for number, point in enumerate(points, 1):
        title, *paragraphs = point(question)
        lines += [f"## {number}. {title}", *paragraphs]
    return "\n\n".join(lines) + "\n"


def _asked(question: Question) -> Iterator[str]:
    graph, norms = question.graph, question.context.norms
    linear = question.context.linears
    yield "# The question, point by point"
    yield (
        "*How do I include batch normalization in a non-sequential Keras model, and is it in the "
        f"right place?* It was asked with a network of {len(linear)} convolutions, the last "
        f"{sum(_is_transposed(question, i) for i in linear)} of them transposed, "
        f"{question.parameters:,} parameters and {len(norms)} batch normalizations, for images of "
        f"{shape_text(graph.nodes[0].shape)}. As a plan that is `{infer_plan(graph)}`. The numbers "
        "here are read from its graph, and the faults are what `normwise check` finds in it."
    )


def _is_transposed(question: Question, index: int) -> bool:
    return "Transpose" in question.context.nodes[index].class_name


def _including(question: Question) -> Iterator[str]:
    graph = question.graph
    yield "How it gets into a functional model"
    yield (
        "By a call like any other: `y = BatchNormalization()(x)`. What counts is which tensor the "
        "next layers read, `x` or `y`; nothing follows from the order of the lines. Here:"
    )
    rows = ["| normalization | reads | is read by | and its input also by |", "|---|---|---|---|"]
    for norm in question.context.norms:
        source = graph.producers[norm][0]
        others = [i for i in graph.consumers[source] if i != norm]
        rows.append(
            f"| {graph.nodes[norm].name} | {graph.nodes[source].name} "
            f"| {question.names(graph.consumers[norm])} | {question.names(others) or '-'} |"
        )
    yield "\n".join(rows)
    yield (
        "The way down is right: each next convolution reads the normalized tensor. The last column "
        "is where it is not (point 4)."
    )


def _axis(question: Question) -> Iterator[str]:
    context = question.context
    norm = context.norms[0]
    shape = context.shape_read(norm) or ()
    yield "Is `axis=3` right?"
    wrong = len(question.of_rule("wrong-axis"))
    yield (
        f"Yes. {context.name(context.producers[norm][0])} makes {shape_text(shape)}, so the "
        f"channels are axis {len(shape) - 1}, the last one, and `axis={len(shape) - 1}` is the "
        f"default `axis=-1`. `wrong-axis` reports {wrong or 'none'} of the {len(context.norms)}."
    )


def _order(question: Question) -> Iterator[str]:
    context = question.context
    bent = [i for i in context.norms if context.activations[context.producers[i][0]]]
    yield "Before or after the activation?"
    yield (
        f"Both are possible, and which is better is contested. Here {len(bent)} of "
        f"{len(context.norms)} stand after it. What is known:"
    )
    yield "\n".join(f"- {text}" for text in BY_NAME["mixed-order"].page.evidence)
    dead = len(question.of_rule("redundant-bias"))
    yield (
        "What follows from the order: after the activation the convolution needs its bias "
        f"(`redundant-bias` reports {dead or 'none'} here), and in inference the normalization can "
        "become part of the layers after it only; before the activation the bias is dead weight, "
        "and it becomes part of the convolution before it. Only a comparison on your own data says "
        "which trains better: `normwise compare`."
    )


def _skips(question: Question) -> Iterator[str]:
    found = question.of_rule("unnormalized-skip")
    yield "The skips go around it"
    yield (f"{len(found)} findings that nobody had named. {BY_NAME['unnormalized-skip'].page.why}")
    yield "\n".join(f"- {finding.message} {finding.fix}" for finding in found)


def _decoder(question: Question) -> Iterator[str]:
    (chain,) = question.of_rule("affine-chain")
    yield "The decoder is one affine map"
    yield f"{chain.message} {chain.why}"
    yield f"Mend that first: {chain.fix[0].lower()}{chain.fix[1:]}"
    hidden = chain.layers[:-1]
    new = [question.with_norm_behind(layer) for layer in hidden]
    faults = [finding for findings in new for finding in findings]
    rules = ", ".join(f"`{name}`" for name in dict.fromkeys(f.name for f in faults))
    yield (
        "A batch normalization in there adds no nonlinearity, and as it stands it would be a new "
        f"fault after {sum(map(bool, new))} of the {len(hidden)} hidden layers ({rules}): "
        f"{faults[0].message}"
    )


def _pooling(question: Question) -> Iterator[str]:
    nodes = question.graph.nodes
    pools = [node for node in nodes if role_of(node) in (Role.POOL, Role.GLOBAL_POOL)]
    down = [
        i
        for i in question.context.linears
        if max(pair(nodes[i].config.get("strides", 1), 2)) > 1 and not _is_transposed(question, i)
    ]
    yield "Before max-pooling, where there is none"
    yield (
        f"The network has {len(pools) or 'no'} pooling layers; {len(down)} convolutions with "
        "strides make the tensor smaller. So the advice for U-Nets, to normalize right before each "
        "max-pooling, has to mean: the last tensor of each resolution, the one that both the next "
        f"down-sampling step and a skip may read. Here these are {question.before_downsampling()}: "
        "every activation of the encoder, which is why `batch@before-downsampling` and "
        "`batch@encoder:post-activation` are the same here, and the question's network differs "
        "from both by its raw skips alone."
    )


def _where(question: Question) -> Iterator[str]:
    context = question.context
    shapes = {i: context.shape_read(i) or () for i in context.norms}
    behind = {i: BATCH * prod(size or 1 for size in s[1:-1]) for i, s in shapes.items()}
    least = min(behind, key=lambda i: behind[i])
    yield "Where it pays"
    yield (
        "The answer was: at the layers right before each down-sampling, because skips use those "
        "tensors a second time, and elsewhere the gain is small. The first half is sound here once "
        "the skips read the normalized tensors; the second is a claim: published comparisons go "
        "both ways (point 3), and only your own data say it for your network."
    )
    for finding in question.of_rule("partial-coverage"):
        yield f"What is left out: {finding.message} That can be meant; it is a note, no fault."
    yield (
        f"The batches are large enough: at {BATCH} images the fewest values behind a statistic "
        f"are {behind[least]:,}, in {context.name(least)}. Where batches are small, batch "
        "normalization loses:"
    )
    yield f"- {BY_NAME['tiny-batch'].page.evidence[0]}"


def _input(question: Question) -> Iterator[str]:
    rule = BY_NAME["norm-on-input"]
    yield "Right after the input?"
    yield f"Possible. {rule.page.why} {rule.fix}"


def _costs(question: Question) -> Iterator[str]:
    yield "What it costs"
    rows = [
        "| plan | normalizations | learned | statistics | of all parameters | values an image |",
        "|---|---|---|---|---|---|",
    ]
    for cost in map(question.cost, PLANS):
        share = (cost.trained + cost.kept) / question.parameters
        rows.append(
            f"| `{cost.plan}` | {cost.norms} | {cost.trained:,} | {cost.kept:,} | {share:.2%} "
            f"| {cost.values:,} |"
        )
    yield "\n".join(rows)
    yield (
        "Parameters are no argument. Time is: in training each normalization goes over its values "
        "several times, which is memory traffic and no arithmetic, and depends on the machine."
    )
    times = Times.read()
    if times is not None:
        yield from times.told()
    stuck = sum(len(finding.layers) for finding in question.of_rule("unfoldable-norm"))
    norms = len(question.context.norms)
    yield (
        f"In inference {norms - stuck} of the {norms} can become part of the layers beside them "
        "(`normwise fold`), but for an addition where zeros are padded."
    )


def _doing(question: Question) -> Iterator[str]:
    mended = [finding for finding in question.findings if finding.mended_by == "unsafe"]
    yield "What to do"
    yield (
        f"`normwise check MODEL --fix unsafe -o OUT` mends {len(mended)} of the "
        f"{len(question.findings)} findings: the skips read the normalized tensors, and the "
        "decoder gets activations. Then train again. `normwise place MODEL --norm PLAN -o OUT "
        "--retrain` brings the network to any of the plans above; all but its own change the "
        "outputs, so train again after that, too."
    )
    yield (
        "That the faults are there doesn't say that mending pays. `normwise demo` trains the "
        "network as asked and mended; with its 600 steps on one small field, in one seed, mending "
        "did not pay: about the same correlation, larger errors. `make answer` measures it on four "
        "data sets (docs/the-question.md)."
    )
