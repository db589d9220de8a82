from pathlib import Path

import numpy as np
import pytest
import tifffile

from pssr.errors import ChoiceNeeded, ReadError
from pssr.io.open import open_stack
from pssr.io.series import stack_files

PLANES = np.random.default_rng(0).integers(0, 999, (12, 6, 7), np.uint16)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for t, plane in enumerate(PLANES):
        tifffile.imwrite(tmp_path / f"f{t}.tif", plane, photometric="minisblack")
    (tmp_path / "notes.txt").touch()
    return tmp_path


@pytest.mark.parametrize("axis", ["T", "Z"])
def test_files_in_natural_order_are_frames_or_depths(folder, axis):
    stack = open_stack(folder, series=axis)
    assert stack.sizes[axis] == 12
    assert stack.sizes["Z" if axis == "T" else "T"] == 1
    np.testing.assert_array_equal(np.stack(list(stack.movie(axis=axis))), PLANES)
    assert "12 files in a row, from f0.tif to f11.tif" in stack.notes[0]
    assert stack.movie(axis=axis).name.startswith(folder.name)


def test_natural_order(tmp_path: Path):
    for name in ("t10.tif", "T2.tif", "t1_z10.tif", "t1_z9.tif"):
        (tmp_path / name).touch()
    assert [path.name for path in stack_files(tmp_path)] == ["t1_z9.tif", "t1_z10.tif", "T2.tif", "t10.tif"]


def test_a_folder_is_not_guessed_to_be_a_series(folder):
    with pytest.raises(ReadError, match="say series=T if its files are frames"):
        open_stack(folder)
    with pytest.raises(ChoiceNeeded, match="choose T or Z"):
        open_stack(folder, series="C")
    with pytest.raises(ReadError, match="is not a folder"):
        open_stack(folder / "f0.tif", series="T")


def test_frames_of_another_kind_are_refused(folder):
    tifffile.imwrite(folder / "f12.tif", PLANES[0].astype(np.uint8), photometric="minisblack")
    with pytest.raises(ReadError, match=r"f12.tif: is 6 x 7 uint8 .* and f0.tif is 6 x 7 uint16"):
        open_stack(folder, series="T")
    tifffile.imwrite(folder / "f12.tif", PLANES[:2], photometric="minisblack")
    with pytest.raises(ReadError, match=r"f12.tif: has several frames itself"):
        open_stack(folder, series="T")


def test_an_empty_folder_is_named(tmp_path: Path):
    with pytest.raises(ReadError, match="holds no .czi"):
        open_stack(tmp_path, series="T")


def test_real_series(data_folder):
    movie = open_stack(data_folder / "confocal_timelapse_membrane", series="T")
    assert (movie.sizes["T"], movie.interval_s) == (18, pytest.approx(2.044))
    neighbours = np.corrcoef(movie.plane(T=0).ravel(), movie.plane(T=1).ravel())[0, 1]
    assert neighbours > 0.8
    sections = open_stack(data_folder / "em_fibsem_medulla/dev_training_sample1", series="Z")
    assert (sections.sizes["Z"], sections.dtype) == (30, np.uint8)
