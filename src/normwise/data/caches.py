"""What is kept between two reads, in bounded memory: decoded images, and open files."""

from collections import OrderedDict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from threading import Lock

from normwise.data.pixels import Pixels
from normwise.rasters import Dimensions, ImageFiles, Raster, Window, open_raster

_OPEN_FILES = 24


@dataclass(frozen=True)
class Decoded:
    """A whole image in memory, and the value that marks its missing pixels."""

    pixels: Pixels
    nodata: float | None

    def window(self, spans: Window, channels: Sequence[int] | None) -> tuple[Pixels, float | None]:
        """A view of the window if all channels are wanted, and the value of missing pixels."""
        window = self.pixels[spans]
        return (window if channels is None else window[..., list(channels)]), self.nodata


class DecodedImages:
    """Whole decoded images, the least recently used forgotten first."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._size = 0
        self._images: OrderedDict[ImageFiles, Decoded] = OrderedDict()
        self._lock = Lock()

    @property
    def size(self) -> int:
        """Bytes that are held."""
        return self._size

    def get(self, path: ImageFiles) -> Decoded | None:
        """The decoded image, or None if it is not held."""
        with self._lock:
            if path in self._images:
                self._images.move_to_end(path)
            return self._images.get(path)

    def put(self, path: ImageFiles, image: Decoded) -> None:
        """Holds an image if it fits at all."""
        with self._lock:
            if image.pixels.nbytes > self._limit or path in self._images:
                return
            self._images[path] = image
            self._size += image.pixels.nbytes
            while self._size > self._limit:
                _, oldest = self._images.popitem(last=False)
                self._size -= oldest.pixels.nbytes

    def clear(self) -> None:
        """Forgets every image."""
        with self._lock:
            self._images.clear()
            self._size = 0


class OpenFiles:
    """Open files that wait for their next reader; each is lent to one thread at a time."""

    def __init__(self, dimensions: Dimensions | None = None, limit: int = _OPEN_FILES) -> None:
        self._dimensions = dimensions
        self._limit = limit
        self._idle: OrderedDict[int, Raster] = OrderedDict()
        self._lock = Lock()

    @contextmanager
    def lend(self, path: ImageFiles) -> Iterator[Raster]:
        """An open raster, taken back afterwards and kept for later if it reads by windows."""
        raster = self._take(path) or open_raster(path, self._dimensions)
        try:
            yield raster
        except BaseException:
            raster.close()
            raise
        self._take_back(raster)

    def close(self) -> None:
        """Closes every file that waits."""
        with self._lock:
            while self._idle:
                self._idle.popitem()[1].close()

    def _take(self, path: ImageFiles) -> Raster | None:
        with self._lock:
            # The newest first: its blocks are the likeliest to be still in GDAL's cache.
            for key in reversed(self._idle):
                if self._idle[key].files == path:
                    return self._idle.pop(key)
        return None

    def _take_back(self, raster: Raster) -> None:
        if not raster.windowed:
            # It holds its whole decoded image, which is the business of `DecodedImages`.
            raster.close()
            return
        with self._lock:
            self._idle[id(raster)] = raster
            while len(self._idle) > self._limit:
                self._idle.popitem(last=False)[1].close()
