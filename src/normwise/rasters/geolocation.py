"""Where an image lies: by its transform, by ground control points in its place, and by RPCs."""

from dataclasses import dataclass
from typing import Any

from normwise.rasters.info import RasterInfo


@dataclass(frozen=True)
class Geolocation:
    """What leads from the pixels of an image to places on Earth beside a transform, or without one.

    Attributes:
        points: Of each ground control point its row, column, x, y and z; none beside a transform.
        crs: The coordinate system of the points (a `rasterio.crs.CRS`), or None.
        rpcs: Rational polynomial coefficients (a `rasterio.rpc.RPC`), or None.
    """

    points: tuple[tuple[float, ...], ...] = ()
    crs: Any | None = None
    rpcs: Any | None = None

    def write(self, file: Any) -> None:
        """Tells it in a rasterio dataset that is being written."""
        from rasterio.control import GroundControlPoint  # noqa: PLC0415 - loads GDAL
        from rasterio.crs import CRS  # noqa: PLC0415

        if self.points:
            # Points without a coordinate system are written with an empty one.
            file.gcps = [GroundControlPoint(*point) for point in self.points], self.crs or CRS()
        if self.rpcs is not None:
            file.rpcs = self.rpcs


def place_of(dataset: Any) -> dict[str, Any]:
    """What a file tells of its place, as the `crs`, `transform` and `geolocation` of its info.

    Rational polynomials may stand beside a transform, as in scenes that are placed roughly by it.
    Control points count where there is no transform.

    Args:
        dataset: An open rasterio dataset.
    """
    affine = not dataset.transform.is_identity
    geolocation = _geolocation_of(dataset, affine)
    placed = affine or (dataset.crs is not None and geolocation is None)
    return {
        "crs": dataset.crs,
        "transform": dataset.transform if placed else None,
        "geolocation": geolocation,
    }


def _geolocation_of(dataset: Any, affine: bool) -> Geolocation | None:
    points, crs = ([], None) if affine else dataset.gcps
    if not points and dataset.rpcs is None:
        return None
    told = tuple((point.row, point.col, point.x, point.y, point.z) for point in points)
    return Geolocation(told, crs or None, dataset.rpcs)


def locate(file: Any, like: RasterInfo | None, size: tuple[int, ...]) -> None:
    """Gives a file the geolocation of an image, if that has one and the same pixels.

    Args:
        file: A rasterio dataset that is being written.
        like: The image.
        size: Rows and columns of the file, of a stack with slices before.
    """
    if like is not None and like.geolocation is not None and like.shape == size:
        like.geolocation.write(file)
