"""Pictures of networks: where boxes stand, what colour says, and how the file is written."""

import re
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import cache
from itertools import combinations, pairwise
from math import isclose
from pathlib import Path
from types import MappingProxyType
from xml.etree import ElementTree

import keras
import numpy as np
import pytest
from matplotlib import rc_context

from normwise.errors import OutputExistsError, PictureFormatError
from normwise.graph.graph import Graph, Node, Tensor, TensorSpec
from normwise.keras_format import read_graph
from normwise.networks import build
from normwise.report.network import drawing as network
from normwise.report.network.colours import KIND_COLOURS, RAW_SKIP, colour_of, contrast, text_on
from normwise.report.network.drawing import MAX_INCHES, draw_network
from normwise.report.network.inline import inline_svg
from normwise.report.network.layout import drawing_of
from normwise.report.network.page import page_of
from normwise.report.network.shapes import Box, Drawing

ASKED = "batch@encoder:post-activation/raw-skip"


def _dense() -> keras.Model:
    layers = keras.layers
    stack = [layers.Dense(8), layers.BatchNormalization(), layers.ReLU(), layers.Dense(3)]
    return keras.Sequential([keras.Input((20,)), *stack], name="stack")


def _nested() -> keras.Model:
    """A small U-Net++: its last join reads three tensors."""
    layers = keras.layers
    image = keras.Input((16, 16, 3))

    def block(tensor: object, filters: int) -> object:
        tensor = layers.Conv2D(filters, 3, padding="same", use_bias=False)(tensor)
        return layers.ReLU()(layers.BatchNormalization()(tensor))

    top = block(image, 4)
    middle = block(layers.MaxPooling2D()(top), 8)
    low = block(layers.MaxPooling2D()(middle), 8)
    between = block(layers.Concatenate()([top, layers.UpSampling2D()(middle)]), 4)
    right = block(layers.Concatenate()([middle, layers.UpSampling2D()(low)]), 8)
    last = layers.Concatenate(name="last")([top, between, layers.UpSampling2D()(right)])
    return keras.Model(image, layers.Conv2D(1, 1)(last), name="nested")


def _gated() -> keras.Model:
    """A classification network with a squeeze-and-excite branch and a residual connection."""
    layers = keras.layers
    image = keras.Input((16, 16, 3))
    wide = layers.Conv2D(8, 3, strides=2, padding="same")(image)
    gate = layers.Dense(8, activation="sigmoid")(layers.GlobalAveragePooling2D(keepdims=True)(wide))
    gated = layers.Multiply()([wide, gate])
    side = layers.Conv2D(8, 1)(gated)
    deep = layers.Conv2D(8, 3, padding="same")(
        layers.LayerNormalization()(layers.Conv2D(8, 3, padding="same")(gated))
    )
    joined = layers.Add()([deep, side])
    return keras.Model(image, layers.Dense(2)(layers.GlobalAveragePooling2D()(joined)))


NETWORKS: dict[str, Callable[[], keras.Model]] = {
    "question": lambda: build("question", (512, 512, 9), 1, norm=ASKED),
    "mended": lambda: build(
        "question",
        (512, 512, 9),
        1,
        norm="batch@encoder:post-activation",
        decoder_activation="relu",
    ),
    "unet": lambda: build("unet", (64, 64, 9), 1, norm="standardize@input,batch@pre-activation"),
    "raw": lambda: build("unet", (64, 64, 9), 1, norm="batch@before-downsampling/raw-skip"),
    "groups": lambda: build(
        "unet",
        (None, None, 9),
        1,
        norm="group(groups=8)@pre-activation,instance@skip",
        depth=2,
        upsampling="nearest",
    ),
    "bare": lambda: build("unet", (64, 64, 9), 1, norm="none", depth=2),
    "dense": _dense,
    "nested": _nested,
    "gated": _gated,
    "mobilenet": lambda: keras.applications.MobileNetV2((96, 96, 3), weights=None, alpha=0.35),
}


@cache
def graph_of(name: str) -> Graph:
    return read_graph(NETWORKS[name]())


@cache
def drawn(name: str) -> Drawing:
    return drawing_of(graph_of(name))


def svg_of(name: str, folder: Path) -> str:
    path = folder / f"{name}.svg"
    draw_network(graph_of(name), path, overwrite=True)
    return path.read_text(encoding="utf-8")


def styles(svg: str, prefix: str) -> dict[str, str]:
    """The style of the first shape in every group whose id begins with the prefix."""
    found = {}
    for group in ElementTree.fromstring(svg).iter("{http://www.w3.org/2000/svg}g"):
        if (name := group.get("id", "")).startswith(prefix):
            path = next(group.iter("{http://www.w3.org/2000/svg}path"))
            found[name.removeprefix(prefix)] = path.get("style", "")
    return found


def overlaps(boxes: Sequence[Box]) -> list[tuple[str, str]]:
    return [
        (a.name, b.name)
        for a, b in combinations(boxes, 2)
        if a.left < b.right and b.left < a.right and a.top < b.bottom and b.top < a.bottom
    ]


class TestPlaces:
    @pytest.mark.parametrize("name", NETWORKS)
    def test_no_two_boxes_overlap(self, name: str) -> None:
        boxes = drawn(name).boxes
        assert overlaps(boxes) == []
        moved = replace(boxes[1], left=boxes[0].left, top=boxes[0].top)
        assert overlaps([boxes[0], moved])

    @pytest.mark.parametrize("name", NETWORKS)
    def test_every_box_is_inside_its_row(self, name: str) -> None:
        drawing = drawn(name)
        for box in drawing.boxes:
            row = drawing.rows[box.row]
            assert row.top < box.top and box.bottom < row.bottom
            assert box.left >= 0 and box.right <= drawing.width

    @pytest.mark.parametrize("name", ["question", "mended", "unet", "raw", "groups", "nested"])
    def test_the_encoder_goes_down_and_the_decoder_up(self, name: str) -> None:
        drawing = drawn(name)
        down = [b.row for b in drawing.boxes if b.node in drawing.layout.trunk]
        lowest = [b for b in drawing.boxes if b.region == "bottleneck"]
        assert down == sorted(down) and len(set(down)) > 1
        assert {b.row for b in lowest} == {len(drawing.rows) - 1}
        # The last box of a level is where the way up leaves it: a U-Net++ has several ways.
        ends = [max(b.right for b in drawing.boxes if b.row == row) for row in set(down)]
        assert ends == sorted(ends, reverse=True) and len(set(ends)) > 1

    @pytest.mark.parametrize("name", ["question", "unet", "groups", "nested", "dense"])
    def test_a_box_stands_right_of_what_it_reads(self, name: str) -> None:
        drawing = drawn(name)
        assert not drawing.folded
        for wire in drawing.wires:
            assert drawing.boxes[wire.source].right < drawing.boxes[wire.target].left

    def test_a_long_network_without_decoder_is_folded(self) -> None:
        drawing = drawn("mobilenet")
        assert drawing.folded
        for row in range(len(drawing.rows)):
            assert min(b.left for b in drawing.boxes if b.row == row) == 0.0

    @pytest.mark.parametrize("name", NETWORKS)
    def test_wires_begin_and_end_at_their_boxes(self, name: str) -> None:
        drawing = drawn(name)
        for wire in drawing.wires:
            for (x, y), box in (
                (wire.points[0], drawing.boxes[wire.source]),
                (wire.points[-1], drawing.boxes[wire.target]),
            ):
                assert box.left - 1e-9 <= x <= box.right + 1e-9
                assert box.top - 1e-9 <= y <= box.bottom + 1e-9
            assert all(
                isclose(a[0], b[0], abs_tol=1e-9) or isclose(a[1], b[1], abs_tol=1e-9)
                for a, b in pairwise(wire.points)
            )

    def test_rows_tell_resolution_and_size(self) -> None:
        labels = [(row.label.resolution, row.label.size) for row in drawn("question").rows[:3]]
        size = "{0} \u00d7 {0}".format
        assert labels == [("1", size(512)), ("1/2", size(256)), ("1/4", size(128))]
        assert {row.label.size for row in drawn("groups").rows} == {""}
        assert [row.label.resolution for row in drawn("dense").rows] == ["vector"]

    def test_a_squeeze_and_excite_branch_stays_in_its_row(self) -> None:
        drawing = drawn("gated")
        gates = {drawing.boxes[i].row for i in drawing.layout.gates}
        assert gates == {1}
        assert [row.label.resolution for row in drawing.rows] == ["1", "1/2", "vector"]

    def test_a_branch_beside_the_main_way_has_its_own_lane(self) -> None:
        assert {box.lane for box in drawn("gated").boxes} == {0, 1}
        assert {box.lane for box in drawn("question").boxes} == {0}

    def test_a_join_of_many_is_wider(self) -> None:
        boxes = {box.name: box for box in drawn("nested").boxes}
        others = [b.width for b in boxes.values() if b.part.name == "merge" and b.name != "last"]
        assert boxes["last"].part.inputs == 3
        assert boxes["last"].width > max(others)


class TestSkips:
    def kinds(self, name: str) -> list[str | None]:
        return [wire.skip.kind for wire in drawn(name).wires if wire.skip]

    def test_the_question_taps_before_its_norms(self) -> None:
        drawing = drawn("question")
        taps = [drawing.boxes[w.source].name for w in drawing.wires if w.skip]
        assert sorted(taps) == ["conv1", "conv2"]
        assert self.kinds("question") == [None, None]

    def test_normalized_skips_have_their_kind(self) -> None:
        assert self.kinds("mended") == ["batch", "batch"]
        assert self.kinds("unet") == ["batch"] * 4
        assert self.kinds("raw") == [*self.kinds("bare"), None, None] == [None] * 4
        assert sorted(self.kinds("groups"), key=str) == ["group"] * 2 + ["instance"] * 2

    def test_a_network_without_decoder_has_none(self) -> None:
        assert self.kinds("mobilenet") == self.kinds("gated") == self.kinds("dense") == []

    def test_skips_between_encoder_and_decoder(self) -> None:
        drawing = drawn("nested")
        last = next(b.node for b in drawing.boxes if b.name == "last")
        into = [wire for wire in drawing.wires if wire.target == last]
        assert [wire.skip is not None for wire in into] == [True, True, False]
        assert self.kinds("nested") == ["batch"] * 4

    def test_a_gate_on_a_skip_has_no_un_normalized_part(self) -> None:
        graph = read_graph(build("attention", (None, None, 3), filters=4, depth=1))
        skips = [wire.skip for wire in drawing_of(graph).wires if wire.skip]
        assert [skip.kind for skip in skips] == ["batch"] * len(skips) and len(skips) >= 3
        raw = read_graph(build("attention", (None, None, 3), norm="none", filters=4, depth=1))
        assert {wire.skip.kind for wire in drawing_of(raw).wires if wire.skip} == {None}

    def test_skips_go_over_what_is_between(self) -> None:
        drawing = drawn("unet")
        for wire in drawing.wires:
            if wire.skip:
                level = min(y for _, y in wire.points)
                row = drawing.boxes[wire.source].row
                assert level < min(b.top for b in drawing.boxes if b.row == row)


class TestColours:
    @pytest.mark.parametrize("name", ["question", "unet", "groups"])
    def test_every_norm_has_the_colour_of_its_kind(self, name: str, tmp_path: Path) -> None:
        shown = styles(svg_of(name, tmp_path), "norm:")
        norms = {b.name: b.part.kind for b in drawn(name).boxes if b.part.name == "norm"}
        assert shown.keys() == norms.keys()
        for norm, style in shown.items():
            assert f"fill: {colour_of(norms[norm])}" in style
        rest = styles(svg_of(name, tmp_path), "linear:")
        assert rest and not any(
            c in style for c in KIND_COLOURS.values() for style in rest.values()
        )

    def test_raw_skips_are_dashed_and_others_are_not(self, tmp_path: Path) -> None:
        raw = styles(svg_of("question", tmp_path), "skip:")
        good = styles(svg_of("mended", tmp_path), "skip:")
        assert raw.keys() == {"conv1>concat1", "conv2>concat2"}
        assert len(good) == 2
        assert all("stroke-dasharray" in s and RAW_SKIP in s for s in raw.values())
        assert not any("stroke-dasharray" in s or RAW_SKIP in s for s in good.values())
        assert all(KIND_COLOURS["batch"] in s for s in good.values())

    def test_words_on_norms_can_be_read(self) -> None:
        for colour in KIND_COLOURS.values():
            assert contrast(text_on(colour), colour) >= 4.5
        assert contrast("#ffffff", KIND_COLOURS["rms"]) < 4.5

    def test_kinds_can_be_told_apart_by_colour_blind_people(self) -> None:
        colours = [*KIND_COLOURS.values(), RAW_SKIP]
        assert min(_seen_apart(a, b) for a, b in combinations(colours, 2)) > 0.1
        assert _seen_apart("#a05000", "#7a6a00") < 0.1

    def test_an_instance_norm_that_keras_saved_as_groups(self) -> None:
        kinds = [b.part.kind for b in drawn("groups").boxes if b.part.name == "norm"]
        assert kinds.count("instance") == 2 and kinds.count("group") == 10


# Machado, Oliveira and Fernandes 2009, severity 1, on linear RGB.
_BLIND = {
    "protan": [
        [0.152286, 1.052583, -0.204868],
        [0.114503, 0.786281, 0.099216],
        [-0.003882, -0.048116, 1.051998],
    ],
    "deutan": [
        [0.367322, 0.860646, -0.227968],
        [0.280085, 0.672501, 0.047413],
        [-0.011820, 0.042940, 0.968881],
    ],
}


def _seen_apart(one: str, other: str) -> float:
    """Distance in OKLab for the eye that tells the two colours apart worst."""
    return min(
        float(np.linalg.norm(_oklab(one, eye) - _oklab(other, eye)))
        for eye in (np.eye(3), *map(np.array, _BLIND.values()))
    )


def _oklab(colour: str, eye: np.ndarray) -> np.ndarray:
    rgb = np.array([int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)])
    linear = np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)
    seen = np.clip(eye @ linear, 0, 1)
    cones = [
        [0.4122214708, 0.5363325363, 0.0514459929],
        [0.2119034982, 0.6806995451, 0.1073969566],
        [0.0883024619, 0.2817188376, 0.6299787005],
    ]
    lab = [
        [0.2104542553, 0.7936177850, -0.0040720468],
        [1.9779984951, -2.4285922050, 0.4505937099],
        [0.0259040371, 0.7827717662, -0.8086757660],
    ]
    return np.array(lab) @ np.cbrt(np.array(cones) @ seen)


class TestWords:
    def test_title_plan_and_parameters(self) -> None:
        page = page_of(graph_of("question"))
        assert page.title == "question"
        assert "batch@before-downsampling/raw-skip" in page.plan[0]
        assert "3,151,121 parameters" in page.plan[-1]
        assert page_of(graph_of("question"), "mine").title == "mine"

    def test_norms_outside_the_plan_are_counted(self) -> None:
        assert "(and 1 normalization outside any plan)" in page_of(graph_of("gated")).plan[0]
        assert "outside" not in page_of(graph_of("unet")).plan[0]

    def test_the_key_names_what_is_present(self) -> None:
        key = [entry.text for entry in page_of(graph_of("question")).key]
        assert key == ["batch (5)", "skip, un-normalized"]
        key = [entry.text for entry in page_of(graph_of("groups")).key]
        assert key[:2] == ["group (10)", "instance (2)"]
        assert "skip, un-normalized" not in key

    def test_the_key_and_the_plan_stay_on_the_page(self) -> None:
        page = page_of(_chain(1, "n" * 300))
        assert page.width < 10
        assert all(len(line) < 160 for line in page.plan)

    def test_layers_tell_name_channels_and_activation(self) -> None:
        parts = {box.name: box.part for box in drawn("question").boxes}
        assert (parts["conv1"].channels, parts["conv1"].fused) == ("16 ch", "relu")
        assert (parts["upconv1"].channels, parts["upconv1"].fused) == ("256 ch", None)
        assert parts["concat1"].words == "concat"
        assert parts["conv1_norm"].words == "batch"


class TestFile:
    def test_an_unknown_suffix_is_refused(self, tmp_path: Path) -> None:
        for name in ("net.pdf", "net"):
            with pytest.raises(PictureFormatError, match=r"\.svg or \.png.*net\.svg"):
                draw_network(graph_of("dense"), tmp_path / name)
        assert list(tmp_path.iterdir()) == []

    def test_an_existing_file_is_kept(self, tmp_path: Path) -> None:
        path = tmp_path / "net.svg"
        path.write_text("mine")
        with pytest.raises(OutputExistsError):
            draw_network(graph_of("dense"), path)
        assert path.read_text() == "mine"
        draw_network(graph_of("dense"), path, overwrite=True)
        assert path.read_text() != "mine"

    def test_a_failure_leaves_nothing(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def fails(*_: object) -> None:
            raise RuntimeError("half way")

        monkeypatch.setattr(network, "draw_page", fails)
        with pytest.raises(RuntimeError):
            draw_network(graph_of("dense"), tmp_path / "net.png")
        assert list(tmp_path.iterdir()) == []

    def test_the_files_are_complete(self, tmp_path: Path) -> None:
        draw_network(graph_of("dense"), tmp_path / "net.PNG")
        data = (tmp_path / "net.PNG").read_bytes()
        assert data.startswith(b"\x89PNG") and b"IEND" in data[-12:]
        assert ElementTree.fromstring(svg_of("dense", tmp_path)).tag.endswith("svg")

    def test_the_same_network_is_the_same_svg(self, tmp_path: Path) -> None:
        first = svg_of("groups", tmp_path)
        with rc_context({"font.size": 30, "font.family": "serif", "lines.linewidth": 9}):
            assert svg_of("groups", tmp_path) == first
        assert "dc:date" not in first
        assert svg_of("bare", tmp_path) != first

    def test_in_a_page_it_has_the_same_boxes_and_words(self, tmp_path: Path) -> None:
        for name in ("groups", "raw", "bare"):
            root = ElementTree.fromstring(inline_svg(graph_of(name)))
            drawing = drawn(name)
            titles = [box.findtext("title") for box in root.iter("rect")]
            assert [title for title in titles if title] == [box.name for box in drawing.boxes]
            said = {text.text for text in root.iter("text")}
            assert {row.label.resolution for row in drawing.rows} <= said
            kinds = {colour_of(b.part.kind) for b in drawing.boxes if b.part.name == "norm"}
            assert kinds <= {box.get("fill") for box in root.iter("rect")}
            raw = [w for w in drawing.wires if w.skip and w.skip.kind is None]
            dashed = [line for line in root.iter("polyline") if line.get("stroke-dasharray")]
            assert len(dashed) == len(raw) + bool(raw), "and one in the key"

    def test_in_a_page_names_are_text(self) -> None:
        assert "<c>" not in inline_svg(_chain(2, "a$b_<c>&$"), "<c>")

    def test_no_picture_is_wider_than_the_limit(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("normwise.report.network.drawing.MAX_INCHES", MAX_INCHES / 10)
        draw_network(_chain(30), tmp_path / "long.svg")
        found = re.search(r'width="([\d.]+)pt"', (tmp_path / "long.svg").read_text())
        assert found and float(found[1]) <= MAX_INCHES / 10 * 72 + 0.01
        assert page_of(_chain(30)).width > MAX_INCHES / 10

    def test_names_with_signs_of_markup(self, tmp_path: Path) -> None:
        path = tmp_path / "net.svg"
        draw_network(_chain(2, "a$b_<c>&$"), path)
        assert set(styles(path.read_text(encoding="utf-8"), "linear:")) == {
            "a$b_<c>&$0",
            "a$b_<c>&$1",
        }


def test_it_needs_neither_keras_nor_pyplot() -> None:
    code = (
        "import sys; import normwise.report.network; "
        "print([m for m in ('keras', 'tensorflow', 'matplotlib') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def _chain(length: int, name: str = "conv") -> Graph:
    """Convolutions one after another."""
    spec = (TensorSpec((None, 8, 8, 4)),)
    config = MappingProxyType({"filters": 4, "kernel_size": 3, "padding": "same"})
    nodes = [Node("input", "input", "InputLayer", outputs=spec)]
    for index in range(length):
        args = (Tensor(index),)
        layer = f"{name}{index}"
        nodes.append(Node(layer, layer, "Conv2D", config=config, args=args, outputs=spec))
    return Graph("chain", "Functional", tuple(nodes), (Tensor(0),), (Tensor(length),))
