"""What the file readers hand over, and what they refuse before anything is parsed."""

from pathlib import Path

import pytest

from normwise.errors import ModelReadError
from normwise.keras_format.archive import READERS, read_config
from tests.zoo import built


@pytest.mark.filterwarnings("ignore:You are saving your model as an HDF5")
def test_every_reader_hands_over_the_configuration(tmp_path: Path) -> None:
    model = built("residual_pre")
    (tmp_path / "m.json").write_text(model.to_json())
    for suffix in (".keras", ".h5", ".hdf5"):
        model.save(tmp_path / f"m{suffix}")
    for suffix in READERS:
        config = read_config(tmp_path / f"m{suffix}")
        assert config["class_name"] == "Functional"
        assert len(config["config"]["layers"]) == len(model.operations)


def test_suffixes_in_capitals_are_known(tmp_path: Path) -> None:
    path = tmp_path / "M.JSON"
    path.write_text(built("residual_pre").to_json())
    assert read_config(path)["class_name"] == "Functional"


def test_a_missing_file(tmp_path: Path) -> None:
    with pytest.raises(ModelReadError, match=r"gone\.h5: no such file"):
        read_config(tmp_path / "gone.h5")
