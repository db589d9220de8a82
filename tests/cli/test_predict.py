from pathlib import Path

import pytest

from pssr.cli.predict import targets
from pssr.errors import ConfigError, WriteError


def test_a_single_input_may_name_its_file(tmp_path: Path):
    assert targets([Path("a.czi")], tmp_path / "b.ome.tif") == [(Path("a.czi"), tmp_path / "b.ome.tif")]


def test_inputs_are_named_after_themselves_in_a_folder(tmp_path: Path):
    pairs = targets([Path("x/a.czi"), Path("x/b.OME.TIF"), Path("x/c.d.tiff")], tmp_path / "out")
    assert [target.name for _, target in pairs] == [
        "a_restored.ome.tif", "b_restored.ome.tif", "c.d_restored.ome.tif",
    ]  # fmt: skip
    assert (tmp_path / "out").is_dir()


def test_no_two_inputs_share_an_output(tmp_path: Path):
    with pytest.raises(ConfigError, match="two inputs would be written there"):
        targets([Path("x/a.czi"), Path("y/a.tif")], tmp_path)
    with pytest.raises(ConfigError, match="is one file for 2 inputs"):
        targets([Path("x/a.czi"), Path("y/b.tif")], tmp_path / "b.tif")


def test_a_folder_that_cannot_be_made(tmp_path: Path):
    (tmp_path / "file").touch()
    with pytest.raises(WriteError, match="cannot be made"):
        targets([Path("a.czi")], tmp_path / "file" / "out")
