"""The demo on its own sample, with a tiny budget."""

import json

import numpy as np
import pytest

from normwise.data import open_dataset
from normwise.errors import OutputExistsError
from normwise.samples import sample_folder
from normwise.workflows.demo import AS_ASKED, MENDED, asked_findings, asked_network, demo


@pytest.fixture(scope="module")
def found(tmp_path_factory, no_pictures):
    said = []
    out = tmp_path_factory.mktemp("demo") / "out"
    return demo(out, epochs=1, steps=1, progress=False, say=said.append), said


def test_the_sample_is_the_task_of_the_question():
    data = open_dataset(sample_folder())
    assert (data.task, data.channels, data.outputs) == ("regression", 9, 1)
    assert data.target_names == ("DAPI",)
    sizes = {item.split: (item.height, item.width) for item in data.items}
    assert sizes == {"train": (384, 384), "val": (128, 384), "test": (512, 128)}
    assert (sample_folder() / "NOTICE").read_text().count("Apache License") == 1


def test_the_table_says_what_is_wrong():
    table = asked_network()
    assert table.parameters == 3_151_121
    skips = [row.skip for row in table.rows if row.skip]
    assert len(skips) == 2
    assert all(skip.endswith("UN-NORMALIZED") for skip in skips)
    elements = {row.name: row.elements for row in table.rows if row.batch}
    assert elements["conv1_norm"] == 8 * 256 * 256
    assert elements["conv5_norm"] == 8 * 16 * 16


def test_the_check_names_the_faults_of_the_network_as_asked():
    assert [finding.name for finding in asked_findings()] == [
        "affine-chain", "unnormalized-skip", "unnormalized-skip",
    ]  # fmt: skip


def test_both_runs_and_the_picture(found):
    result, said = found
    assert len(said) == 2
    # After a single step the moving statistics are cold in both.
    assert result.warnings == {AS_ASKED: 3 + 1, MENDED: 0 + 1}
    for name in (AS_ASKED, MENDED):
        test = json.loads((result.folder / name / "test.json").read_text())
        assert test["values"]["correlation"] == result.metrics[name].values["correlation"]
        assert "<svg" in (result.folder / f"network-{name}.svg").read_text()
    expected = np.subtract(*(result.metrics[n].values["rmse"] for n in (MENDED, AS_ASKED)))
    assert result.difference("rmse") == expected
    assert result.picture.read_bytes().startswith(b"\x89PNG")


def test_an_earlier_demo_is_kept(found):
    result, _ = found
    with pytest.raises(OutputExistsError, match="--overwrite"):
        demo(result.folder, epochs=1, steps=1, progress=False)
