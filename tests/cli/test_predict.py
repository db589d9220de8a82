from pathlib import Path

import pytest

from pssr.cli.predict import make_folder, targets
from pssr.errors import ConfigError, WriteError


def test_a_single_input_may_name_its_file(tmp_path: Path):
    assert targets([Path("a.czi")], tmp_path / "b.ome.tif") == [(Path("a.czi"), tmp_path / "b.ome.tif")]


def test_inputs_are_named_after_themselves_in_a_folder(tmp_path: Path):
    pairs = targets([Path("x/a.czi"), Path("x/b.OME.TIF"), Path("x/c.d.tiff")], tmp_path / "out")
    assert [target.name for _, target in pairs] == [
        "a_restored.ome.tif", "b_restored.ome.tif", "c.d_restored.ome.tif",
    ]  # fmt: skip
    assert not (tmp_path / "out").exists()


def test_no_two_inputs_share_an_output(tmp_path: Path):
    with pytest.raises(ConfigError, match="two inputs would be written there"):
        targets([Path("x/a.czi"), Path("y/a.tif")], tmp_path)
    with pytest.raises(ConfigError, match="is one file for 2 inputs"):
        targets([Path("x/a.czi"), Path("y/b.tif")], tmp_path / "b.tif")


def test_a_folder_that_cannot_be_made(tmp_path: Path):
    (tmp_path / "file").touch()
    with pytest.raises(WriteError, match="cannot be made"):
        make_folder(tmp_path / "file" / "out")


@pytest.mark.parametrize(
    ("name", "format", "message"),
    [
        ("b.png", None, r"pssr writes no \.png file"),
        ("b.czi", None, r"pssr writes no \.czi file; name a folder"),
        ("b.tif", "png", r"png writes no \.tif file"),
        ("b.mp4", "ome-tiff", r"ome-tiff writes no \.mp4 file"),
        ("b.zarr", "imagej", r"imagej writes no \.zarr file"),
    ],
)
def test_a_name_that_no_output_could_have_is_refused(tmp_path: Path, name, format, message):
    with pytest.raises(ConfigError, match=message):
        targets([Path("a.tif")], tmp_path / name, format)


def test_a_folder_may_have_any_name(tmp_path: Path):
    (tmp_path / "run.png").mkdir()
    assert targets([Path("a.tif")], tmp_path / "run.png")[0][1].parent == tmp_path / "run.png"
    assert targets([Path("a.tif")], tmp_path / "v1.2")[0][1].name == "a_restored.ome.tif"
