"""What is predicted of an image at once: all of it where there is memory, else a tile."""

import pytest

from normwise.errors import NetworkError
from normwise.inference.members import member_of
from normwise.inference.portions import Portions
from normwise.inference.tile_size import MOST_PIXELS, bytes_of
from normwise.networks import build


def portions(pixels, size=(None, None), **options):
    """With memory for so many pixels."""
    members = [member_of(build("unet", (*size, 2), filters=2, depth=1, **options))]
    return Portions(members, bytes_of(members, (1, pixels)))


def test_an_image_that_fits_is_whole_and_of_a_larger_one_there_is_a_tile():
    found = portions(200 * 100)
    assert found.tile((200, 100)) is None
    assert found.tile((199, 99)) is None  # padded to the stride
    tile = found.tile((201, 100))
    assert tile[0] % 2 == tile[1] % 2 == 0
    assert tile[0] * tile[1] <= 200 * 100
    assert found.tile((201, 100)) is tile
    assert MOST_PIXELS < 5000**2
    assert portions(10**12).tile((5000, 5000)) is not None


def test_a_halo_may_need_more_memory_than_there_is_but_not_any():
    assert portions(1000).tile((150, 150)) == (62, 62)
    with pytest.raises(NetworkError, match="halo leaves no pixels"):
        portions(10).tile((150, 150))


def test_a_model_of_one_size_gets_tiles_of_it():
    assert portions(100, (32, 48)).tile((150, 150)) == (32, 48)
