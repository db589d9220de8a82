from pathlib import Path

import numpy as np
import pytest
import tifffile

from pssr.errors import ChoiceNeeded, ReadError
from pssr.io.open import open_stack
from pssr.io.series import stack_files
from pssr.io.write import StackWriter

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


@pytest.mark.parametrize(
    "name",
    ["img_T{t:03d}_C{c}.tif", "t{t}-z0_ch{c}.tif", "C{c}_time{t:02d}.tif", "scan.frame{t}.channel{c}.tif"],
)
def test_names_that_count_along_two_axes_say_where_planes_belong(tmp_path: Path, name):
    planes = PLANES.reshape(6, 2, 6, 7)
    for t, c in np.ndindex(6, 2):
        tifffile.imwrite(tmp_path / name.format(t=t + 1, c=c), planes[t, c], photometric="minisblack")
    stack = open_stack(tmp_path, series="T")
    assert (stack.sizes["T"], stack.sizes["C"]) == (6, 2)
    for c in range(2):
        np.testing.assert_array_equal(np.stack(list(stack.movie(c))), planes[:, c])


def test_names_that_count_twice_without_saying_of_what_are_asked_for(tmp_path: Path):
    for a, b in np.ndindex(3, 2):
        tifffile.imwrite(tmp_path / f"a{a}_b{b}.tif", PLANES[0], photometric="minisblack")
    with pytest.raises(ChoiceNeeded, match=r"count in 2 numbers \(3 x 2\), as a0_b0.tif does"):
        open_stack(tmp_path, series="T")
    assert open_stack(tmp_path / "*_b1.tif", series="T").sizes["T"] == 3


def test_dates_in_names_are_no_axes(tmp_path: Path):
    for k, name in enumerate(("s1_12-30-05", "s2_12-30-35", "s3_12-31-05")):
        tifffile.imwrite(tmp_path / f"{name}.tif", PLANES[k], photometric="minisblack")
    np.testing.assert_array_equal(np.stack(list(open_stack(tmp_path, series="T").movie())), PLANES[:3])


def test_planes_that_pssr_wrote_come_back_with_their_metadata(tmp_path: Path):
    planes, sizes = PLANES.reshape(3, 2, 2, 6, 7), {"T": 3, "C": 2, "Z": 2, "Y": 6, "X": 7}
    about = {"spacing_um": {"X": 0.1, "Y": 0.1, "Z": 0.5}, "interval_s": 2.0, "channels": ["mito", "er"]}
    with StackWriter(tmp_path / "planes", sizes=sizes, dtype=np.uint16, format="png", **about) as writer:
        for t, c, z in np.ndindex(3, 2, 2):
            writer.write(planes[t, c, z], T=t, C=c, Z=z)
    stack = open_stack(tmp_path / "planes", series="T")
    assert dict(stack.sizes) == sizes
    assert stack.channels == ("mito", "er")
    assert stack.interval_s == 2.0
    assert stack.spacing_um == pytest.approx(about["spacing_um"])
    np.testing.assert_array_equal(
        [[[stack.plane(T=t, C=c, Z=z) for z in range(2)] for c in range(2)] for t in range(3)], planes
    )


def test_a_missing_file_among_those_of_two_axes_is_an_error(tmp_path: Path):
    for t, c in [(0, 0), (0, 1), (1, 0), (2, 0), (2, 1)]:
        tifffile.imwrite(tmp_path / f"t{t}_c{c}.tif", PLANES[0], photometric="minisblack")
    with pytest.raises(ReadError, match="holds 5 files of 3 along T x 2 along C"):
        open_stack(tmp_path, series="T")


@pytest.mark.parametrize("lacking", [(0, 1), (2, 0)])
def test_a_grid_without_one_file_is_asked_for_like_a_full_one(tmp_path: Path, lacking):
    for a, b in np.ndindex(3, 2):
        if (a, b) != lacking:
            tifffile.imwrite(tmp_path / f"a_{a}_{b}.tif", PLANES[0], photometric="minisblack")
    with pytest.raises(ChoiceNeeded, match=r"count in 2 numbers \(3 x 2\)"):
        open_stack(tmp_path, series="T")


def test_channels_as_words_are_asked_for_and_taken_by_a_pattern(tmp_path: Path):
    for t, c in np.ndindex(3, 2):
        name = f"img_{t:09d}_{('DAPI', 'GFP')[c]}_000.tif"
        tifffile.imwrite(tmp_path / name, PLANES[2 * t + c], photometric="minisblack")
    with pytest.raises(ChoiceNeeded, match=r"same numbers under 2 words \(img_\*_DAPI_\*\.tif, img_\*_GFP_"):
        open_stack(tmp_path, series="T")
    stack = open_stack(tmp_path / "img_*_GFP_*.tif", series="T")
    np.testing.assert_array_equal(np.stack(list(stack.movie())), PLANES[1:6:2])


def test_files_of_each_channel_name_it(tmp_path: Path):
    planes, names = PLANES.reshape(6, 2, 6, 7), ("GFP", "RFP")
    for t, c in np.ndindex(6, 2):
        about = {"axes": "YX", "Channel": {"Name": [names[c]]}}
        tifffile.imwrite(tmp_path / f"t{t}_c{c}.ome.tif", planes[t, c], metadata=about)
    stack = open_stack(tmp_path, series="T")
    assert stack.channels == names
    np.testing.assert_array_equal(np.stack(list(stack.movie("RFP"))), planes[:, 1])


def test_a_file_that_names_its_channel_unlike_the_others_is_refused(tmp_path: Path):
    for t, c in np.ndindex(3, 2):
        name = "GFP" if (t, c) == (2, 1) else ("GFP", "RFP")[c]
        about = {"axes": "YX", "Channel": {"Name": [name]}}
        tifffile.imwrite(tmp_path / f"t{t}_c{c}.ome.tif", PLANES[0], metadata=about)
    with pytest.raises(ReadError, match=r"t2_c1.*\(GFP\) and t0_c1.ome.tif is .*\(RFP\)"):
        open_stack(tmp_path, series="T")


def test_two_files_of_the_same_place_are_named(tmp_path: Path):
    for name in ("t1_c0", "t01_c0", "t1_c1", "t2_c1"):
        tifffile.imwrite(tmp_path / f"{name}.tif", PLANES[0], photometric="minisblack")
    with pytest.raises(
        ReadError, match=r"(t1_c0.tif and t01_c0|t01_c0.tif and t1_c0).tif have the same numbers"
    ):
        open_stack(tmp_path, series="T")


def test_files_of_a_folder_are_a_series_in_natural_order(tmp_path):
    paths = [tmp_path / f"f{k}.tif" for k in (2, 10, 1)]
    for k, path in enumerate(paths):
        tifffile.imwrite(path, np.full((4, 5), k, np.uint8))
    stack = open_stack(paths, series="T")
    assert stack.sizes["T"] == 3
    assert [int(plane.max()) for plane in stack.movie()] == [2, 0, 1]
    with pytest.raises(ChoiceNeeded, match="series: None is not a way through a stack"):
        open_stack(paths)
    (tmp_path / "other").mkdir()
    tifffile.imwrite(tmp_path / "other" / "f3.tif", np.zeros((4, 5), np.uint8))
    with pytest.raises(ReadError, match="2 files, not all in one folder"):
        open_stack([paths[0], tmp_path / "other" / "f3.tif"], series="T")
