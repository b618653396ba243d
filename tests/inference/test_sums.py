"""Sums of tiles: the same in memory and on the disk, which may be full."""

from io import BytesIO

import numpy as np
import pytest

from normwise.errors import RasterError
from normwise.inference import sums as module
from normwise.inference.sums import Sums


@pytest.fixture(params=["memory", "disk"])
def folder(request, tmp_path):
    return None if request.param == "memory" else tmp_path


@pytest.mark.parametrize("size", [(6, 7), (6, 4, 5)])
def test_what_is_written_is_read_and_rows_go_round(folder, size):
    rng = np.random.default_rng(0)
    sums, wanted = Sums((*size, 3), folder), np.zeros((*size, 3), np.float32)
    for _ in range(20):
        counts = [int(rng.integers(1, side + 1)) for side in size]
        starts = [int(rng.integers(0, 100)), *(rng.integers(0, side - count + 1)
                  for side, count in zip(size[1:], counts[1:], strict=True))]  # fmt: skip
        region = tuple(slice(a, a + n) for a, n in zip(starts, counts, strict=True))
        first, *rest = (np.arange(span.start, span.stop) for span in region)
        places = np.ix_(first % 6, *rest)
        np.testing.assert_array_equal(sums.read(region), wanted[places])
        values = rng.normal(size=(*counts, 3)).astype(np.float32)
        values.flat[0] = np.nan
        sums.write(region, values)
        wanted[places] = values
    sums.close()


def test_the_file_has_no_name(tmp_path):
    sums = Sums((4, 5, 1), tmp_path)
    sums.write((slice(0, 4), slice(0, 5)), np.ones((4, 5, 1)))
    sums.close()
    assert not list(tmp_path.iterdir())


class FullDisk(BytesIO):
    """It takes a byte at a time, and only the first ten."""

    def write(self, data):
        if self.tell() == 10:
            raise OSError(28, "No space left on device")
        return super().write(data[:1])


def test_a_full_disk_is_said(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "TemporaryFile", lambda **_: FullDisk())
    sums = Sums((4, 5, 1), tmp_path)
    with pytest.raises(RasterError, match=r"No space left on device.* 8e-08 GB .*--resume"):
        sums.write((slice(0, 4), slice(0, 5)), np.ones((4, 5, 1)))
    monkeypatch.undo()
    with pytest.raises(RasterError, match=r"gone: can't be written \(No such file or directory\)"):
        Sums((4, 5, 1), tmp_path / "gone")
