"""Decoded images and open files are kept within limits."""

import numpy as np

from normwise.data.caches import Decoded, DecodedImages, OpenFiles


def test_the_cache_forgets_the_least_recently_used_and_stays_within_its_limit(tmp_path) -> None:
    cache = DecodedImages(100)
    image = Decoded(np.zeros(40, np.uint8), None)
    for name in "abc":
        cache.put(tmp_path / name, image)
        cache.get(tmp_path / "a")
    assert cache.get(tmp_path / "a") is image
    assert cache.get(tmp_path / "b") is None
    assert cache.size == 80
    cache.put(tmp_path / "big", Decoded(np.zeros(101, np.uint8), None))
    assert cache.size == 80
    cache.clear()
    assert cache.size == 0


def test_open_files_are_used_again_closed_in_turn_and_never_shared(folder) -> None:
    paths = [folder.image(f"images/{name}.npy") for name in "abc"]
    files = OpenFiles(limit=2)
    with files.lend(paths[0]) as first, files.lend(paths[0]) as second:
        assert first is not second
    with files.lend(paths[0]) as again:
        assert again in (first, second)
    for path in paths:
        with files.lend(path):
            pass
    assert first._file.closed
    assert second._file.closed
    with files.lend(paths[1]) as kept:
        pass
    files.close()
    assert kept._file.closed
