"""What a comparison was begun with is what it goes on with; nothing is trained here."""

import json
from dataclasses import replace

import pytest

from normwise.comparison.experiment import Experiment, variants_of
from normwise.data.told import Told
from normwise.errors import OutputExistsError, RunError
from normwise.workflows.compare_record import (
    EXPERIMENT_FILE,
    Ground,
    prepare,
    refuse_others,
    refuse_unknown,
)
from tests.comparison.made_up import BASE

EXPERIMENT = Experiment(BASE, variants_of(["none", "batch@skip"]))
GROUND = Ground("0123", Told("4567", {"nodata": None, "mask_values": {"0": 0}}), "tensorflow")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"fingerprint": "89ab"}, "the data have changed"),
        ({"told": replace(GROUND.told, splits="89ab")}, "stand in other splits or groups"),
        (
            {"told": replace(GROUND.told, description={"nodata": 0.0, "mask_values": {"0": 0}})},
            r"dataset\.yaml says otherwise of nodata\.",
        ),
        (
            {"told": replace(GROUND.told, description={"nodata": None, "bands": ["red"]})},
            r"otherwise of mask_values, bands\.",
        ),
        ({"backend": "jax"}, "the backend is jax, was tensorflow"),
    ],
)
def test_other_ground_is_refused(tmp_path, change, message):
    prepare(tmp_path, EXPERIMENT, GROUND, None, overwrite=False)
    refuse_others(tmp_path, EXPERIMENT, GROUND)
    with pytest.raises(RunError, match=f"was begun otherwise: .*{message}"):
        refuse_others(tmp_path, EXPERIMENT, replace(GROUND, **change))


def test_a_record_that_tells_less_is_gone_on_with(tmp_path):
    prepare(tmp_path, EXPERIMENT, GROUND, None, overwrite=False)
    record = tmp_path / EXPERIMENT_FILE
    content = json.loads(record.read_text())
    less = {k: v for k, v in content.items() if k not in {"splits", "description", "backend"}}
    record.write_text(json.dumps(less))
    refuse_others(tmp_path, EXPERIMENT, GROUND)
    for broken in (content | {"description": 3}, {k: v for k, v in content.items() if k != "data"}):
        record.write_text(json.dumps(broken))
        with pytest.raises(RunError, match="no record of a comparison"):
            refuse_others(tmp_path, EXPERIMENT, GROUND)


def test_a_file_is_no_folder_of_a_comparison(tmp_path):
    (tmp_path / "notes").write_text("mine")
    with pytest.raises(OutputExistsError, match="notes is a file, not a folder"):
        refuse_unknown(tmp_path / "notes" / "deeper", overwrite=True)
    refuse_unknown(tmp_path / "new", overwrite=False)
