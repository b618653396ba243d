"""Prediction of scenes beside MONAI's sliding window: `python scenes.py`; writes scenes.json.

    python scenes.py                 all of it (about 25 minutes on 2 cores)
    python scenes.py --only speed    one part: speed, memory or peak

One network with the same weights on both sides: the 32-filter U-Net of depth 4, float32. Speed is
of a 4096x4096x9 scene; the ways take turns in one process (A B C D, D C B A):

- `normwise`: `nw.predict` from a GeoTIFF to a GeoTIFF, tiles and halos as it chooses them;
- `openvino`: the same with `engine="openvino"`, conversion and comparison with Keras included;
- `predict_on_batch`: the very same tiles, halos included, cut before and in memory;
- `predict`: `model.predict` over the same tiles;
- `monai`: `sliding_window_inference`, roi 256, overlap 0.25, Gaussian weights, 4 windows at
  once, PyTorch channels_last, of a scene that is in memory; its result stays there.

Peak memory is of whole processes, on scenes of 4096 and 16384 pixels, with a 4-filter network: it
is the scene that memory grows with, and a narrow network shows that sooner. The machine's peak is
that of a large matrix product; beside it stands what the network's convolutions do a second.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from pairs import paired_ratio

from normwise.files import write_text
from normwise.memory import keep_freed_memory

HERE = Path(__file__).parent
MEASURED = HERE / "scenes.json"
CHANNELS, DEPTH = 9, 4
WIDE, NARROW = 32, 4
SIZE, LARGE = 4096, 16384
ROI, OVERLAP, WINDOWS = 256, 0.25, 4
TURNS = 3
STRIPE = 512
MATRIX = 4096

Array = np.ndarray[Any, Any]


def write_scene(path: Path, size: int) -> Path:
    """A GeoTIFF of smooth random values, written stripe by stripe."""
    import rasterio
    from rasterio.windows import Window

    profile = {
        "driver": "GTiff", "width": size, "height": size, "count": CHANNELS, "dtype": "float32",
        "tiled": True, "blockxsize": 512, "blockysize": 512, "BIGTIFF": "YES",
    }  # fmt: skip
    rng = np.random.default_rng(0)
    with rasterio.open(path, "w", **profile) as file:
        for row in range(0, size, STRIPE):
            values = rng.normal(size=(CHANNELS, STRIPE, size)).astype(np.float32)
            file.write(values, window=Window(0, row, size, STRIPE))
    return path


def read_scene(path: Path) -> Array:
    """A scene in memory, shape (1, channels, rows, columns)."""
    import rasterio

    with rasterio.open(path) as file:
        return file.read()[None]


def network(filters: int) -> Any:
    """The U-Net for scenes of any size, with statistics as if it had been trained."""
    import keras

    import normwise as nw

    keras.utils.set_random_seed(0)
    shape = (None, None, CHANNELS)
    model = nw.build("unet", shape, 1, filters=filters, depth=DEPTH, norm="batch@pre-activation")
    rng = np.random.default_rng(1)
    for layer in model.layers:
        if isinstance(layer, keras.layers.BatchNormalization):
            gamma, beta, mean, variance = (w.shape[0] for w in layer.weights)
            layer.set_weights([
                rng.uniform(0.5, 1.5, gamma), rng.normal(0, 0.1, beta),
                rng.normal(0, 0.1, mean), rng.uniform(0.5, 1.5, variance),
            ])  # fmt: skip
    return model


def in_torch(model: Any, filters: int) -> Any:
    """The same network with the same weights in PyTorch."""
    import keras
    import torch
    from torch import nn
    from torch_networks import UNet

    twin = UNet(filters)
    kinds = {
        nn.Conv2d: keras.layers.Conv2D,
        nn.ConvTranspose2d: keras.layers.Conv2DTranspose,
        nn.BatchNorm2d: keras.layers.BatchNormalization,
    }
    for kind, layer_kind in kinds.items():
        # A transposed convolution is a convolution to Keras, so types are compared exactly.
        layers = [layer for layer in model.layers if type(layer) is layer_kind]
        parts = [part for part in twin.in_order() if type(part) is kind]
        for part, layer in zip(parts, layers, strict=True):
            with torch.no_grad():
                _take(part, layer)
    return twin.to(memory_format=torch.channels_last).eval()


def _take(part: Any, layer: Any) -> None:
    import torch

    values = [torch.from_numpy(np.array(value)) for value in layer.get_weights()]
    if hasattr(part, "running_mean"):
        part.eps = layer.epsilon
        for mine, value in zip(
            (part.weight, part.bias, part.running_mean, part.running_var), values, strict=True
        ):
            mine.copy_(value)
        return
    # Keras: (rows, columns, in, out), transposed (rows, columns, out, in); PyTorch has them first.
    part.weight.copy_(values[0].permute(3, 2, 0, 1))
    if part.bias is not None:
        part.bias.copy_(values[1])


def by_monai(twin: Any, scene: Array) -> Array:
    """A scene as MONAI's users predict it; shape (1, 1, rows, columns)."""
    import torch
    from monai.inferers import sliding_window_inference

    with torch.inference_mode():
        x = torch.from_numpy(scene).contiguous(memory_format=torch.channels_last)
        found = sliding_window_inference(x, ROI, WINDOWS, twin, overlap=OVERLAP, mode="gaussian")
    return found.numpy()


def speed(folder: Path) -> dict[str, Any]:
    """Seconds of each way, and their ratios, turn by turn."""
    from importlib.util import find_spec

    import normwise as nw
    from normwise.inference.members import member_of
    from normwise.inference.tiled import tiles_of

    model, path = network(WIDE), write_scene(folder / "scene.tif", SIZE)
    scene = read_scene(path)
    own = np.moveaxis(scene[0], 0, -1)
    tile = _chosen_tile(model, folder, path)
    pieces = tiles_of([member_of(model)], own.shape[:-1], tile).pieces()
    cut = [own[piece.context][None] for piece in pieces]

    def whole(engine: str = "keras") -> Array:
        out = folder / "predicted.tif"
        nw.predict(model, path, out, overwrite=True, engine=engine, progress=False)
        return read_scene(out)

    def by_batches() -> None:
        for patch in cut:
            model.predict_on_batch(patch)

    def by_predict() -> None:
        model.predict(_generator(cut), steps=len(cut), verbose=0)

    ways: dict[str, Callable[[], Any]] = {
        "normwise": whole, "predict_on_batch": by_batches, "predict": by_predict,
    }  # fmt: skip
    if find_spec("openvino"):
        ways["openvino"] = lambda: whole("openvino")
    agreement = None
    if find_spec("monai") and find_spec("torch"):
        twin = in_torch(model, WIDE)
        ways["monai"] = lambda: by_monai(twin, scene)
        # Away from the borders of its windows MONAI's result is that of the whole image.
        patch = scene[..., :ROI, :ROI]
        theirs, ours = by_monai(twin, patch), model.predict_on_batch(np.moveaxis(patch, 1, -1))
        agreement = float(np.abs(theirs[0, 0] - ours[0, ..., 0]).max() / np.abs(ours).max())
    model.predict_on_batch(cut[0])
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    for turn in range(TURNS):
        for name in reversed(ways) if turn % 2 else ways:
            started = time.perf_counter()
            ways[name]()
            seconds[name].append(time.perf_counter() - started)
            print(f"{name}: {seconds[name][-1]:.1f} s", file=sys.stderr, flush=True)
    ours = [name for name in OURS if name in seconds]
    return {
        "tile": list(tile),
        "tiles": len(cut),
        "halo_share": 1 - SIZE**2 / sum(patch[0, ..., 0].size for patch in cut),
        "agreement": agreement,
        "ways": {
            name: {
                "seconds": statistics.median(values),
                "as_long": {one: paired_ratio(values, seconds[one]) for one in ours},
            }
            for name, values in seconds.items()
        },
    }


def _generator(cut: list[Array]) -> Iterator[tuple[Array]]:
    while True:
        for patch in cut:
            yield (patch,)


def _chosen_tile(model: Any, folder: Path, path: Path) -> tuple[int, ...]:
    """The tile that normwise chooses for a scene."""
    from normwise.rasters import open_raster
    from normwise.workflows.prediction_images import Image
    from normwise.workflows.predictor import Predictor, Settings

    with open_raster(path) as raster:
        return tuple(Predictor(model, Settings()).tiles(Image(raster, None)).tile)


def memory_of(way: str, size: int, folder: Path) -> float:
    """Peak MB of this process after predicting a scene; called in a process of its own."""
    import normwise as nw

    path = folder / f"{size}.tif"
    model = network(NARROW)
    if way == "normwise":
        nw.predict(model, path, folder / "out.tif", memory="1GB", overwrite=True)
    else:
        by_monai(in_torch(model, NARROW), read_scene(path))
    # ru_maxrss would count what the calling process held before this one began.
    (line,) = (row for row in Path("/proc/self/status").read_text().splitlines() if "VmHWM" in row)
    return int(line.split()[1]) / 1024


def memory(folder: Path) -> dict[str, Any]:
    """Peak MB of both ways on scenes of both sizes."""
    found: dict[str, Any] = {}
    for size in (SIZE, LARGE):
        path = write_scene(folder / f"{size}.tif", size)
        for way in ("normwise", "monai"):
            command = [sys.executable, __file__, "--memory", way, str(size), str(folder)]
            done = subprocess.run(command, capture_output=True, text=True, check=False)
            told = done.stdout.strip().splitlines()
            found.setdefault(way, {})[str(size)] = None if done.returncode else float(told[-1])
            print(f"{way} {size}: {told[-1:]} {done.stderr[-300:]}", file=sys.stderr, flush=True)
        path.unlink()
    return found


def peak(folder: Path) -> dict[str, float]:
    """Billions of multiplications and additions a second: of a product, and of the network."""
    import tensorflow as tf

    one = tf.random.normal((MATRIX, MATRIX))
    two = tf.random.normal((MATRIX, MATRIX))
    seconds = []
    for _ in range(7):
        started = time.perf_counter()
        tf.linalg.matmul(one, two).numpy()
        seconds.append(time.perf_counter() - started)
    model = network(WIDE)
    return {
        "matmul": 2 * MATRIX**3 / statistics.median(seconds) / 1e9,
        "network_per_pixel": 2 * multiplications(model, 256) / 256**2,
    }


def multiplications(model: Any, side: int) -> int:
    """Of all convolutions, for an image of that many rows and columns."""
    import keras

    total = 0
    fixed = keras.models.clone_model(model, input_tensors=keras.Input((side, side, CHANNELS)))
    for layer in fixed.layers:
        if isinstance(layer, keras.layers.Conv2D | keras.layers.Conv2DTranspose):
            transposed = isinstance(layer, keras.layers.Conv2DTranspose)
            # A transposed convolution uses its kernel once for each pixel of its input.
            pixels = (layer.input if transposed else layer.output).shape[1:3]
            total += int(np.prod(layer.kernel.shape)) * int(np.prod(pixels))
    return total


PARTS: dict[str, Callable[[Path], dict[str, Any]]] = {
    "speed": speed,
    "memory": memory,
    "peak": peak,
}


def main() -> None:
    """Measures what is asked for and keeps it."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", choices=PARTS, action="append")
    parser.add_argument("--memory", nargs=3, metavar=("WAY", "SIZE", "FOLDER"))
    options = parser.parse_args()
    if options.memory:
        way, size, folder = options.memory
        print(memory_of(way, int(size), Path(folder)))
        return
    found = load()
    for name in options.only or PARTS:
        with TemporaryDirectory() as temporary:
            found[name] = PARTS[name](Path(temporary))
        write_text(MEASURED, json.dumps(found, indent=1) + "\n")
    print(json.dumps(found))


def load() -> dict[str, Any]:
    """What was measured so far."""
    return dict(json.loads(MEASURED.read_text())) if MEASURED.is_file() else {}


def summary(found: dict[str, Any]) -> list[str]:
    """What was measured, for docs/results.md; nothing if nothing was."""
    lines: list[str] = []
    if "speed" in found:
        row = found["speed"]
        lines += [
            f"A scene of {SIZE}x{SIZE}x{CHANNELS}, {WIDE}-filter U-Net, float32; "
            f"{row['tiles']} tiles of {' x '.join(map(str, row['tile']))}, "
            f"{row['halo_share']:.1%} of the pixels computed are halos. Seconds are medians, "
            "ratios of the turns.", "",
            "| way | seconds | times as long as `nw.predict` | and with OpenVINO | to reach |",
            "|---|---|---|---|---|",
        ]  # fmt: skip
        for name, way in row["ways"].items():
            ratios = " | ".join(_spread(way["as_long"].get(one)) for one in OURS)
            goal = GOALS.get(name, "")
            lines.append(f"| {WAYS[name]} | {way['seconds']:.1f} | {ratios} | {goal} |")
        if row["agreement"] is not None:
            lines += ["", f"On one window, MONAI's network and Keras' differ by "
                      f"{row['agreement']:.0e} of the largest value."]  # fmt: skip
    if "peak" in found and "speed" in found:
        done = found["peak"]["network_per_pixel"] * SIZE**2 / (1 - found["speed"]["halo_share"])
        rate = done / found["speed"]["ways"]["normwise"]["seconds"] / 1e9
        least = found["peak"]["network_per_pixel"] * SIZE**2 / found["peak"]["matmul"] / 1e9
        monai = found["speed"]["ways"].get("monai")
        half = f"; half of MONAI's time is {monai['seconds'] / 2:.1f} s" if monai else ""
        lines += ["", f"A matrix product runs at {found['peak']['matmul']:.0f} billion operations "
                  f"a second on this machine, normwise's prediction at {rate:.0f}. At the speed of "
                  f"the product the scene takes {least:.1f} s without any halo{half}."]  # fmt: skip
    if "memory" in found:
        lines += ["", f"Peak memory of whole processes in MB, {NARROW}-filter U-Net, "
                  "`--memory 1GB`:", "",
                  f"| way | {SIZE} pixels square | {LARGE} pixels square |",
                  "|---|---|---|"]  # fmt: skip
        for way, sizes in found["memory"].items():
            values = [sizes.get(str(size)) for size in (SIZE, LARGE)]
            texts = ["out of memory" if value is None else f"{value:.0f}" for value in values]
            lines.append(f"| {WAYS[way]} | {' | '.join(texts)} |")
    return lines


def _spread(ratio: dict[str, float] | None) -> str:
    """A ratio with its interval, or nothing."""
    if ratio is None:
        return ""
    return f"{ratio['ratio']:.2f} ({ratio['lowest']:.2f} to {ratio['highest']:.2f})"


OURS = ("normwise", "openvino")
WAYS = {
    "normwise": "`nw.predict`, from file to file",
    "openvino": '`nw.predict` with `engine="openvino"`, conversion included',
    "predict_on_batch": "`predict_on_batch`, the same tiles, already cut",
    "predict": "`model.predict` over the same tiles",
    "monai": "MONAI, roi 256, overlap 0.25, Gaussian, from and to memory",
}
GOALS = {"predict_on_batch": "0.9 at least", "monai": "2 at least"}

if __name__ == "__main__":
    os.environ.setdefault("KERAS_BACKEND", "tensorflow")
    os.environ.setdefault("OMP_WAIT_POLICY", "passive")
    keep_freed_memory()
    main()
