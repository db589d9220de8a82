"""Formats in and out of the commands."""

import json
from pathlib import Path

import numpy as np
import pytest
import tifffile
from typer.testing import CliRunner

from pssr.cli.main import app
from pssr.errors import PssrError
from pssr.io.open import open_stack


def pssr(*words: str | Path) -> tuple[int, str]:
    found = CliRunner().invoke(app, [str(word) for word in words])
    told = str(found.exception) if isinstance(found.exception, PssrError) else ""
    return found.exit_code, found.output + told


@pytest.fixture
def low(tmp_path: Path, good_movie) -> Path:
    metadata = {"axes": "TYX", "PhysicalSizeX": 0.1, "PhysicalSizeY": 0.1, "TimeIncrement": 0.5}
    path = tmp_path / "low.ome.tif"
    tifffile.imwrite(path, good_movie[:4, ::2, ::2], metadata=metadata, photometric="minisblack")
    return path


@pytest.mark.parametrize(
    ("words", "name", "format"),
    [
        (["--imagej"], "a.tif", "ImageJ TIFF"),
        (["--compression", "zstd"], "a.ome.tif", "OME-TIFF"),
        ([], "a.ome.zarr", "OME-Zarr"),
        ([], "a.mp4", "MP4"),
    ],
)
def test_a_movie_is_restored_into_the_format_asked_for(run_folder, low, words, name, format):
    target = low.with_name(name)
    code, said = pssr("predict", run_folder, low, "-o", target, *words)
    assert code == 0, said
    plain = low.with_name("plain.ome.tif")
    assert pssr("predict", run_folder, low, "-o", plain)[0] == 0
    stack = open_stack(target)
    assert stack.format == format
    assert (stack.sizes["T"], stack.sizes["Y"]) == (4, 96)
    if format != "MP4":
        np.testing.assert_array_equal(list(stack.movie()), list(open_stack(plain).movie()))
        assert (stack.pixel_size_um, stack.interval_s) == (pytest.approx(0.05), 0.5)


def test_a_folder_of_pictures(run_folder, low):
    code, said = pssr("predict", run_folder, low, "-o", low.parent / "out", "--format", "png")
    assert code == 0, said
    frames = low.parent / "out" / "low_restored"
    assert sorted(p.name for p in frames.iterdir()) == ["T0.png", "T1.png", "T2.png", "T3.png"]
    assert open_stack(frames, series="T").sizes["T"] == 4


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--format", "gif"], "'gif' is not one; choose one of"),
        (["--compression", "rar"], "has no compression 'rar'"),
    ],
)
def test_what_is_not_there_is_told_with_what_is(run_folder, low, words, message):
    code, said = pssr("predict", run_folder, low, "-o", low.with_name("a.ome.tif"), *words)
    assert code != 0
    assert message in " ".join(said.split())


def test_info_tells_every_scene(data_folder):
    code, said = pssr("info", "--json", data_folder / "czi_readers/WellD6-7_two_scenes_far_apart.czi")
    assert code == 0
    told = [json.loads(line) for line in said.splitlines()]
    assert [about["scene"] for about in told] == ["D6", "D7"]
    assert {about["compression"] for about in told} == {"none"}


def test_info_tells_what_is_missing(data_folder):
    path = data_folder / "czi_synthetic_fixtures/ragged_T4_C2_missing_T2C1.czi"
    code, said = pssr("info", "--json", path)
    about = json.loads(said)
    assert (code, about["missing"]) == (0, [{"T": 2, "C": 1, "Z": 0}])
    assert "1 of 8 planes are missing (T 2 C 1 Z 0)" in pssr("info", path)[1]


def test_info_goes_on_after_a_file_that_cannot_be_read(data_folder):
    folder = data_folder / "czi_synthetic_fixtures"
    code, said = pssr("info", folder / "bad_random.czi", folder / "T2_only.czi")
    assert code == 1
    assert "bad_random.czi" in said
    assert "T 2" in said
