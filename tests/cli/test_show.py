"""`normwise show`: what its options add to the table, and what they refuse."""

import json

import pytest

import normwise as nw
from tests.commands import normwise


@pytest.fixture(scope="module")
def network(tmp_path_factory):
    """The architecture of a network for images of any size."""
    path = tmp_path_factory.mktemp("networks") / "net.json"
    path.write_text(nw.build("unet", (None, None, 3), filters=2, depth=1).to_json())
    return path


def test_tiles_as_json(network):
    done = normwise("show", network, "--tiles", "--format", "json")
    assert done.returncode == 0, done.stderr
    told, found = json.loads(done.stdout), nw.tiling_of(network)
    assert told["tiling"]["halo"] == [list(sides) for sides in found.halo]
    assert told["tiling"]["stride"] == told["stride"] == [2, 2] and told["tiling"]["exact"]
    assert [row["tile"] for row in told["tiling"]["table"]] == [size for size, _ in found.table]
    assert "tiling" not in json.loads(normwise("show", network, "--format", "json").stdout)


def test_tiles_as_text(network):
    assert f"Tiles: {nw.tiling_of(network)}" in normwise("show", network, "--tiles").stdout


@pytest.mark.parametrize(("size", "behind"), [("64x32", 64 * 32), ("64,32", 64 * 32), ("8", 64)])
def test_a_size_is_written_as_for_other_verbs(network, size, behind):
    done = normwise("show", network, "--size", size, "-b", "3", "--format", "json")
    assert done.returncode == 0, done.stderr
    counts = [row["elements"] for row in json.loads(done.stdout)["layers"] if row["batch"]]
    assert max(counts) == 3 * behind


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--size", "0x0"), "--size is '0x0'; expected pixels along each axis"),
        (("--size", "big"), "--size is 'big'; expected pixels along each axis"),
        (("--size", "8x8x8"), "has 2 axes over space"),
        (("--no-overwrite",), "No such option: --no-overwrite"),
    ],
)
def test_what_would_do_nothing_is_refused(network, words, said):
    done = normwise("show", network, *words)
    assert done.returncode == 2 and said in " ".join(done.stderr.split())
    assert not done.stdout
