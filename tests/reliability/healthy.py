"""Healthy input files, one of each kind, and a network that takes them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]

SIZE: Final = (40, 56)
CHANNELS: Final = 3
MEAN, VARIANCE = (90.0, 110.0, 100.0), (400.0, 900.0, 600.0)
NODATA: Final = 7


def write_all(folder: Path) -> dict[str, Path]:
    """Writes every kind of input; files that are there are kept.

    Args:
        folder: Where.

    Returns:
        The files, Zarr folders among them, by their names.
    """
    folder.mkdir(parents=True, exist_ok=True)
    for place, (name, write) in enumerate(WRITERS.items()):
        if not (folder / name).exists():
            write(folder / name, np.random.default_rng(place))
    return {name: folder / name for name in WRITERS}


def network(seed: int = 0) -> Any:
    """A small network of any size; its statistics and weights are random, its halo is 2 pixels."""
    import keras

    keras.utils.set_random_seed(seed)
    inputs = keras.Input((None, None, CHANNELS))
    x = keras.layers.Normalization(mean=MEAN, variance=VARIANCE, name="scale")(inputs)
    x = keras.layers.Conv2D(4, 3, padding="same", activation="relu", name="one")(x)
    x = keras.layers.Conv2D(2, 3, padding="same", name="two")(x)
    model = keras.Model(inputs, x, name="small")
    rng = np.random.default_rng(seed)
    for name in ("one", "two"):
        layer = model.get_layer(name)
        layer.set_weights([rng.normal(0, 0.5, weight.shape) for weight in layer.get_weights()])
    return model


def magnitudes(model: Any) -> Any:
    """The same network of absolute values: how large the numbers are that its sums are made of."""
    import keras

    inputs = keras.Input((None, None, CHANNELS))
    x = keras.ops.abs(keras.layers.Normalization(mean=MEAN, variance=VARIANCE)(inputs))
    for name in ("one", "two"):
        kernel, bias = model.get_layer(name).get_weights()
        layer = keras.layers.Conv2D(kernel.shape[-1], 3, padding="same")
        x = layer(x)
        layer.set_weights([np.abs(kernel), np.abs(bias)])
    return keras.Model(inputs, x)


def pixels_of(rng: np.random.Generator, dtype: str, size: tuple[int, int] = SIZE) -> Array:
    """A smooth image with noise, shape (rows, columns, channels); with a corner without data."""
    rows, columns = (np.linspace(0, 3, side) for side in size)
    smooth = 100 + 30 * np.sin(rows)[:, None, None] * np.cos(columns)[None, :, None]
    pixels = (smooth + rng.normal(0, 5, (*size, CHANNELS))).astype(dtype)
    missing = np.nan if pixels.dtype.kind == "f" else NODATA
    pixels[:9, :20] = missing
    pixels[20, 30, 1] = missing
    return pixels


def _tiff(path: Path, pixels: Array, mask: Array | None = None, **options: Any) -> None:
    import rasterio

    rows, columns, channels = pixels.shape
    profile = {"height": rows, "width": columns, "count": channels, "dtype": pixels.dtype.name}
    with (
        rasterio.Env(GDAL_TIFF_INTERNAL_MASK=True),
        rasterio.open(path, "w", driver="GTiff", **profile, **options) as file,
    ):
        file.write(np.moveaxis(pixels, -1, 0))
        if mask is not None:
            file.write_mask(mask)


_TILED: Final = {"tiled": True, "blockxsize": 16, "blockysize": 16}


def _deflated(path: Path, rng: np.random.Generator) -> None:
    _tiff(path, pixels_of(rng, "int16"), nodata=NODATA, compress="deflate", **_TILED)


def _strips(path: Path, rng: np.random.Generator) -> None:
    _tiff(path, pixels_of(rng, "float32"), nodata=float("nan"))


def _masked(path: Path, rng: np.random.Generator) -> None:
    mask = np.full(SIZE, 255, np.uint8)
    mask[30:, 40:] = 0
    _tiff(path, pixels_of(rng, "uint8"), mask, nodata=NODATA, compress="lzw", **_TILED)


def _big(path: Path, rng: np.random.Generator) -> None:
    options = {"compress": "deflate", "predictor": 2, "interleave": "band", "bigtiff": "yes"}
    _tiff(path, pixels_of(rng, "uint16"), **options, **_TILED)


def _png(path: Path, rng: np.random.Generator) -> None:
    from PIL import Image

    Image.fromarray(pixels_of(rng, "uint8")).save(path)


def _deep_png(path: Path, rng: np.random.Generator) -> None:
    import rasterio

    pixels = pixels_of(rng, "uint16") * 9
    size = {"height": SIZE[0], "width": SIZE[1], "count": CHANNELS, "dtype": "uint16"}
    with rasterio.open(path, "w", driver="PNG", **size) as file:
        file.write(np.moveaxis(pixels, -1, 0))


def _npy(path: Path, rng: np.random.Generator) -> None:
    np.save(path, pixels_of(rng, "float32"))


def _fortran(path: Path, rng: np.random.Generator) -> None:
    np.save(path, np.asfortranarray(pixels_of(rng, "uint16")))


def _archive(path: Path, rng: np.random.Generator) -> None:
    np.savez_compressed(path, image=pixels_of(rng, "int32"))


def _zarr(path: Path, rng: np.random.Generator, version: int = 3) -> None:
    import zarr

    pixels = pixels_of(rng, "float32" if version == 3 else "int16")
    array = zarr.create_array(
        path, shape=pixels.shape, chunks=(16, 16, CHANNELS), dtype=pixels.dtype,
        zarr_format=version, fill_value=0,
        dimension_names=["y", "x", "c"] if version == 3 else None,
    )  # fmt: skip
    array[...] = pixels


def _old_zarr(path: Path, rng: np.random.Generator) -> None:
    _zarr(path, rng, version=2)


WRITERS: Final[dict[str, Callable[[Path, np.random.Generator], None]]] = {
    "deflated.tif": _deflated,
    "strips.tif": _strips,
    "masked.tif": _masked,
    "big.tif": _big,
    "bytes.png": _png,
    "deep.png": _deep_png,
    "floats.npy": _npy,
    "fortran.npy": _fortran,
    "packed.npz": _archive,
    "three.zarr": _zarr,
    "two.zarr": _old_zarr,
}
"""Each kind of input, by the name of its file."""
