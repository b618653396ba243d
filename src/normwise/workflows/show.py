"""Describes a network as a table: each layer, where normalization stands, what skips carry."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from fractions import Fraction
from math import prod
from pathlib import Path
from typing import Any

from normwise.errors import NetworkError
from normwise.graph.catalogue import BATCH_NORMS, Role, activation_of, role_of
from normwise.graph.channels import channels_of, spatial_shape
from normwise.graph.graph import Shape
from normwise.graph.parameters import parameters_of, total_parameters
from normwise.graph.regions import Layout, layout_of
from normwise.graph.resolution import Scale
from normwise.norms.inference import places_of, plan_in
from normwise.norms.kinds import spec_of
from normwise.norms.plan import NormPlan
from normwise.norms.positions import Placement
from normwise.workflows.models import graph_of
from normwise.workflows.tiling import tiling_of


@dataclass(frozen=True)
class LayerRow:
    """One call of the network.

    Attributes:
        name: Its name, with the path of the nested model it is in.
        kind: Class, with a fused activation.
        shape: Output shape, None where unknown.
        parameters: Number of parameters, None where unknown; 0 for a further call of a layer.
        region: encoder, bottleneck, decoder or head.
        normalization: For a normalization: kind and position.
        skip: For a merge: what each skip carries.
        batch: For a batch normalization: N, the batch size.
        elements: For a batch normalization: N*H*W, the number of values behind each statistic;
            None where the image size is free and none was given.
        elements_text: The same as text, with H and W where the size is free.
    """

    name: str
    kind: str
    shape: Shape | None
    parameters: int | None
    region: str
    normalization: str
    skip: str
    batch: int | None = None
    elements: int | None = None
    elements_text: str = ""


@dataclass(frozen=True)
class NetworkTable:
    """A network as rows, with what holds for the whole."""

    name: str
    source: str
    plan: NormPlan
    parameters: int | None
    stride: tuple[int, ...]
    rows: tuple[LayerRow, ...]

    def to_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {
            "name": self.name,
            "source": self.source,
            "plan": str(self.plan),
            "residue": [asdict(residue) for residue in self.plan.residue],
            "parameters": self.parameters,
            "stride": list(self.stride),
            "layers": [asdict(row) for row in self.rows],
        }


def show(model: Any, batch_size: int = 8, size: int | Sequence[int] | None = None) -> NetworkTable:
    """Describes a network layer by layer, without loading a backend for files.

    Args:
        model: A live model, file, run folder or `"package.module:callable"`.
        batch_size: N, for the number of values behind each batch statistic.
        size: Pixels of the input along each axis, for networks of free size: one number or one for
            each axis.

    Returns:
        The table.

    Raises:
        ModelReadError: The model can't be read.
        NetworkError: It takes no images of that size.
    """
    graph = graph_of(model)
    layout = layout_of(graph)
    placement = Placement(layout)
    sizes = None if size is None else _sizes(layout, size)
    total = total_parameters(graph)
    rows = tuple(_row(placement, i, batch_size, sizes) for i in range(len(layout.graph.nodes)))
    return NetworkTable(
        graph.name,
        graph.source,
        plan_in(placement),
        total.total if total else None,
        layout.stride,
        rows,
    )


def tiles(model: Any) -> str:
    """Stride and halo of a network, and the share of the work that tiles waste on it.

    Args:
        model: As for `show`.

    Raises:
        ModelReadError: The model can't be read.
        NetworkError: It takes nothing that has an extent over space.
    """
    return f"Tiles: {tiling_of(model)}"


def tiling(model: Any) -> dict[str, Any]:
    """The same, for JSON: `table` has sizes of tiles in pixels and the share that is wasted.

    A network that takes tiles of one size alone was `built_for` it, and is `held` at it by layers.

    Args:
        model: As for `show`.

    Raises:
        ModelReadError: The model can't be read.
        NetworkError: It takes nothing that has an extent over space.
    """
    found = tiling_of(model)
    return {
        "stride": list(found.stride),
        "halo": [list(sides) for sides in found.halo],
        "exact": found.exact,
        "reasons": [asdict(reason) for reason in found.reasons],
        "built_for": list(found.built_for),
        "held": [asdict(reason) for reason in found.held],
        "table": [{"tile": tile, "wasted": share} for tile, share in found.table],
    }


def draw(model: Any, out: str | Path, *, overwrite: bool = False) -> Path:
    """Draws a network with its normalization in colour as SVG or PNG, by the suffix of `out`.

    Raises:
        ModelReadError: The model can't be read.
        OutputExistsError: The file exists and `overwrite` is False.
    """
    from normwise.report.network.drawing import draw_network  # noqa: PLC0415 - loads matplotlib

    path = Path(out)
    draw_network(graph_of(model), path, overwrite=overwrite)
    return path


def _sizes(layout: Layout, size: int | Sequence[int]) -> tuple[int, ...]:
    """A size in pixels along each axis, which the network has to take.

    Raises:
        NetworkError: It doesn't.
    """
    graph, axes = layout.graph, len(layout.stride)
    sizes = (size,) * max(1, axes) if isinstance(size, int) else tuple(size)
    got = f"size is {_sides(sizes)}; "
    if len(sizes) != axes:
        counted = "1 axis" if axes == 1 else f"{axes or 'no'} axes"
        advice = ": give a number for each, or one for all." if axes else "."
        raise NetworkError(f"{got}{graph.name!r} has {counted} over space{advice}")
    if min(sizes, default=1) < 1:
        raise NetworkError(f"{got}expected numbers above 0.")
    known = [spatial_shape(graph, tensor.node) for tensor in graph.input_tensors]
    taken = [shape for shape in known if shape and len(shape) == axes]
    if taken and not any(_takes(shape, sizes) for shape in taken):
        shapes = " or ".join(dict.fromkeys(map(_sides, taken)))
        raise NetworkError(f"{got}{graph.name!r} takes images of {shapes} only.")
    return sizes


def _takes(shape: Shape, sizes: Sequence[int]) -> bool:
    """Whether an input of a shape, without batch and channels, takes images of a size."""
    return all(fixed in (None, given) for fixed, given in zip(shape, sizes, strict=True))


def _sides(sizes: Sequence[int | None]) -> str:
    return " x ".join("free" if side is None else str(side) for side in sizes)


def _row(
    placement: Placement, index: int, batch_size: int, size: tuple[int, ...] | None
) -> LayerRow:
    layout = placement.layout
    graph, node = layout.graph, layout.graph.nodes[index]
    found = parameters_of(graph, node) if node.call == 0 else None
    elements = _elements(layout, index, batch_size, size) if _has_batch_statistics(node) else None
    return LayerRow(
        node.name,
        _kind(node),
        node.shape,
        0 if node.call else (found.total if found else None),
        layout.regions[index],
        _normalization(placement, index),
        _skips(placement, index),
        batch_size if elements else None,
        elements[0] if elements else None,
        elements[1] if elements else "",
    )


def _kind(node: Any) -> str:
    activation = activation_of(node)
    if role_of(node) is Role.LINEAR and activation:
        return f"{node.class_name} + {activation}"
    return f"Activation {activation}" if node.class_name == "Activation" else node.class_name


def _has_batch_statistics(node: Any) -> bool:
    return node.class_name in BATCH_NORMS


def _normalization(placement: Placement, index: int) -> str:
    if index not in placement.norms_set:
        return ""
    spec = spec_of(placement.graph.nodes[index])
    places = places_of(placement, index)
    kind = spec or placement.graph.nodes[index].class_name
    return f"{kind} @ {' = '.join(places) or 'no plan position'}"


def _skips(placement: Placement, index: int) -> str:
    merge = placement.layout.merge_at.get(index)
    if merge is None:
        return ""
    said = [_carried(placement, tap, first, index) for tap, first in merge.skips]
    return "; ".join(said) or f"{merge.how}, no skip"


def _carried(placement: Placement, tap: int, first: int, merge: int) -> str:
    """What one skip carries, and whether it is normalized on its way to the merge."""
    graph = placement.graph
    source = placement.skeleton(tap)
    seen = {reader.node: reader.norms for reader in placement.readers(source)}
    through = next((norms for norms in seen.values() if first in norms), ())
    norms = seen.get(merge, seen.get(first, through))
    channels = channels_of(graph, source)
    size = f", {channels} channels" if channels else ""
    if not norms and _already_normal(placement, source):
        return f"{graph.nodes[source].name}{size}: normalized pre-activation"
    if not norms:
        return f"{graph.nodes[source].name}{size}: UN-NORMALIZED"
    return f"{graph.nodes[source].name}{size}: normalized by {graph.nodes[norms[-1]].name}"


def _already_normal(placement: Placement, source: int) -> bool:
    sites = placement.sites_by_node.get(source, ())
    return any(site.activation == source and site.between for site in sites)


def _elements(
    layout: Layout, index: int, batch_size: int, size: tuple[int, ...] | None
) -> tuple[int | None, str]:
    """N*H*W, as a number where it is known and as text."""
    shape, scale = spatial_shape(layout.graph, index), layout.scales[index]
    if not scale and not shape:
        return batch_size, str(batch_size)
    known = shape if shape and None not in shape else _scaled(scale, size)
    if known is not None:
        number = batch_size * prod(d for d in known if d is not None)
        return number, f"{number:,}"
    if not scale or len(scale) > 3:
        return None, "?"
    axes = ("H", "W") if len(scale) == 2 else ("D", "H", "W")[-len(scale) :]
    sides = [_axis(a, s) for a, s in zip(axes, scale, strict=True)]
    return None, "·".join([str(batch_size), *sides])


def _scaled(scale: Scale | None, size: tuple[int, ...] | None) -> tuple[int, ...] | None:
    if size is None or not scale or len(size) != len(scale):
        return None
    return tuple(int(n * s) for n, s in zip(size, scale, strict=True))


def _axis(name: str, scale: Fraction) -> str:
    if scale == 1:
        return name
    return f"{name}/{scale.denominator}" if scale.numerator == 1 else f"{name}·{scale}"
