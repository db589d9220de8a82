from pathlib import Path

import numpy as np
import pytest
import tifffile

from pssr.errors import ChoiceNeeded, ReadError
from pssr.io.open import open_stack
from pssr.io.stack import Stack

RNG = np.random.default_rng(0)


def counts(*shape: int, dtype: str = "u2") -> np.ndarray:
    return (1000 * RNG.random(shape)).astype(dtype)


def all_planes(stack: Stack) -> np.ndarray:
    t, c, z = (stack.sizes[axis] for axis in "TCZ")
    return np.array([[[stack.plane(T=i, C=j, Z=k) for k in range(z)] for j in range(c)] for i in range(t)])


def written(path: Path, planes: np.ndarray, **how) -> Stack:
    tifffile.imwrite(path, planes, **{"photometric": "minisblack"} | how)
    return open_stack(path)


@pytest.mark.parametrize("dtype", ["u1", "u2", "u4", "i2", "i4", "f2", "f4", "f8"])
@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("big", [False, True])
def test_types_byte_orders_and_sizes_of_tiff(tmp_path: Path, dtype, order, big):
    planes = counts(4, 7, 9, dtype=dtype)
    stack = written(tmp_path / "a.tif", planes, byteorder=order, bigtiff=big)
    assert stack.dtype == np.dtype(dtype)
    assert stack.plane(T=1).dtype == np.dtype(dtype)
    np.testing.assert_array_equal(all_planes(stack)[:, 0, 0], planes)


@pytest.mark.parametrize(
    "how",
    [{"compression": "zlib"}, {"compression": "lzw", "predictor": True}, {"tile": (16, 16)}, {"rowsperstrip": 3},
     {"compression": "zstd"}, {"contiguous": True}, {"compression": "jpeg2000", "tile": (16, 16)},
     {"compression": "packbits"}, {"compression": "lzma"}],
)  # fmt: skip
def test_ways_of_storing_pixels(tmp_path: Path, how):
    planes = counts(3, 37, 41)
    np.testing.assert_array_equal(all_planes(written(tmp_path / "a.tif", planes, **how))[:, 0, 0], planes)


def test_single_bits_become_bytes(tmp_path: Path):
    stack = written(tmp_path / "a.tif", counts(9, 11) > 500)
    assert stack.dtype == np.uint8
    assert set(np.unique(stack.plane())) == {0, 1}


def test_plain_pages_are_frames_and_it_says_so(tmp_path: Path):
    stack = written(tmp_path / "a.tif", counts(5, 8, 8), metadata=None)
    assert (stack.format, stack.sizes["T"], stack.sizes["Z"]) == ("TIFF", 5, 1)
    assert "5 pages are taken as time points" in stack.notes[0]
    deep = open_stack(stack.path, axes="ZYX")
    assert (deep.sizes["T"], deep.sizes["Z"], deep.notes) == (1, 5, ())


def test_axes_written_by_tifffile_are_believed(tmp_path: Path):
    planes = counts(2, 5, 3, 8, 9)
    stack = written(tmp_path / "a.tif", planes, metadata={"axes": "CTZYX"})
    np.testing.assert_array_equal(all_planes(stack), planes.swapaxes(0, 1))


def test_several_nameless_axes_are_asked_for(tmp_path: Path):
    planes = counts(2, 5, 8, 9)
    with pytest.raises(ChoiceNeeded, match=r"its 10 pages are 2 x 5 .*; choose axes=TCYX, TZYX"):
        written(tmp_path / "a.tif", planes)
    np.testing.assert_array_equal(
        all_planes(open_stack(tmp_path / "a.tif", axes="ctyx"))[:, :, 0], planes.swapaxes(0, 1)
    )
    for wrong in ("TYX", "TZ", "TTYX", "QTYX"):
        with pytest.raises(ChoiceNeeded, match="axes"):
            open_stack(tmp_path / "a.tif", axes=wrong)


def test_imagej_hyperstacks(tmp_path: Path):
    planes = counts(4, 3, 2, 8, 9)
    metadata = {"axes": "TZCYX", "unit": "um", "spacing": 0.3, "finterval": 2.5}
    stack = written(tmp_path / "a.tif", planes, imagej=True, resolution=(20, 10), metadata=metadata)
    assert stack.format == "ImageJ TIFF"
    assert stack.spacing_um == pytest.approx({"X": 0.05, "Y": 0.1, "Z": 0.3})
    assert stack.interval_s == 2.5
    np.testing.assert_array_equal(all_planes(stack), planes.swapaxes(1, 2))


def test_imagej_keeps_many_planes_behind_one_page(tmp_path: Path):
    """Above 4 GB ImageJ writes a single directory and all planes behind it."""
    planes = counts(6, 8, 9)
    path = tmp_path / "a.tif"
    description = "ImageJ=1.54\nimages=6\nframes=6\nfinterval=2\nunit=micron\n"
    tifffile.imwrite(
        path, planes[0], byteorder=">", description=description, metadata=None, photometric="minisblack"
    )
    with tifffile.TiffFile(path) as tif:
        assert tif.pages[0].dataoffsets[0] + planes[0].nbytes == path.stat().st_size
    with path.open("ab") as file:
        file.write(planes[1:].astype(">u2").tobytes())
    stack = open_stack(path)
    assert (stack.sizes["T"], stack.interval_s) == (6, 2)
    np.testing.assert_array_equal(all_planes(stack)[:, 0, 0], planes)
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(ReadError, match="announces 6 planes and holds 5"):
        open_stack(path)
    with pytest.raises(ReadError, match="ends inside plane 5"):
        stack.plane(T=5)


def test_slices_that_may_be_time_points_are_noted(data_folder):
    path = data_folder / "zstack_or_time_drosophila/DSmanila1_T13.tif"
    assert "13 planes are slices in depth" in open_stack(path).notes[0]
    stack = open_stack(path, axes="TYX")
    assert (stack.sizes["T"], stack.sizes["Z"], stack.notes) == (13, 1, ())


def test_ome_with_another_order_of_planes(tmp_path: Path):
    planes = counts(3, 2, 4, 8, 9)
    stack = written(tmp_path / "a.ome.tif", planes, metadata={"axes": "ZCTYX"})
    assert stack.format == "OME-TIFF"
    np.testing.assert_array_equal(all_planes(stack), planes.transpose(2, 1, 0, 3, 4))


def test_a_renamed_ome_file_is_itself(tmp_path: Path):
    path = tmp_path / "a.ome.tif"
    written(path, counts(3, 8, 9), metadata={"axes": "TYX"})
    path.rename(tmp_path / "b.ome.tif")
    assert open_stack(tmp_path / "b.ome.tif").sizes["T"] == 3


def test_images_of_one_ome_file_are_scenes(tmp_path: Path):
    first, second = counts(2, 8, 9), counts(3, 5, 6)
    with tifffile.TiffWriter(tmp_path / "a.ome.tif", ome=True) as tif:
        tif.write(first, metadata={"axes": "TYX", "Name": "left"}, photometric="minisblack")
        tif.write(second, metadata={"axes": "TYX", "Name": "right"}, photometric="minisblack")
    with pytest.raises(ChoiceNeeded, match=r"choose a scene \(left, right\)"):
        open_stack(tmp_path / "a.ome.tif")
    np.testing.assert_array_equal(
        all_planes(open_stack(tmp_path / "a.ome.tif", scene="left"))[:, 0, 0], first
    )
    np.testing.assert_array_equal(all_planes(open_stack(tmp_path / "a.ome.tif", scene=1))[:, 0, 0], second)


def test_planes_in_absent_files_are_an_error_that_names_them(data_folder):
    with pytest.raises(
        ReadError, match=r"240 of 255 planes are missing .* in 48 files that are not here \(mitosis_T03"
    ):
        open_stack(data_folder / "ome_tiff_multifile/mitosis_T00.ome.tif")


def in_files(folder: Path, names: list[str], planes: np.ndarray) -> Path:
    """One OME-TIFF over several files, a time point in each, as Bio-Formats writes it."""
    blocks = "".join(
        f'<TiffData FirstT="{t}" IFD="0" PlaneCount="1"><UUID FileName="{name}">urn:uuid:{t}</UUID></TiffData>'
        for t, name in enumerate(names)
    )
    for t, plane in enumerate(planes):
        xml = (
            f'<?xml version="1.0"?><OME xmlns="http://www.openmicroscopy.org/Schemas/OME/2016-06" UUID="urn:uuid:{t}">'
            f'<Image ID="Image:0"><Pixels DimensionOrder="XYZCT" ID="Pixels:0" SizeX="{plane.shape[1]}" '
            f'SizeY="{plane.shape[0]}" SizeZ="1" SizeC="1" SizeT="{len(names)}" Type="uint16">{blocks}</Pixels></Image></OME>'
        )
        tifffile.imwrite(
            folder / f"t{t}.ome.tif", plane, description=xml, metadata=None, photometric="minisblack"
        )
    return folder / "t1.ome.tif"


def test_planes_in_files_beside_it_are_read_from_there(tmp_path: Path):
    planes = counts(4, 8, 9)
    stack = open_stack(in_files(tmp_path, [f"t{t}.ome.tif" for t in range(4)], planes))
    assert stack.sizes["T"] == 4
    np.testing.assert_array_equal(all_planes(stack)[:, 0, 0], planes)
    (tmp_path / "t3.ome.tif").unlink()
    with pytest.raises(ReadError, match="cannot be read"):
        stack.plane(T=3)
    with pytest.raises(
        ReadError, match=r"1 of 4 planes are missing .* in 1 files that are not here \(t3.ome.tif\)"
    ):
        open_stack(stack.path)


def test_files_in_other_folders_are_not_followed(tmp_path: Path):
    (tmp_path / "in").mkdir()
    tifffile.imwrite(tmp_path / "secret.ome.tif", counts(8, 9), photometric="minisblack")
    path = in_files(tmp_path / "in", ["t0.ome.tif", "t1.ome.tif", "../secret.ome.tif"], counts(2, 8, 9))
    with pytest.raises(ReadError, match="names a file in another folder"):
        open_stack(path)


@pytest.mark.parametrize(
    ("name", "sizes", "dtype"),
    [
        ("mitosis_movie/C2-MAX_mitosis_T51_tubulin.tif", (51, 1, 1, 196, 171), "u2"),
        ("zstack_nuclear_envelope/xyz_nuclear_envelope_drosophila.tif", (1, 1, 14, 224, 305), "u1"),
        ("confocal_timelapse_membrane/frap_dt2s_0003.tif", (1, 1, 1, 512, 512), "u2"),
        ("organelles_cbmi/dev_mito/001t01_h272_w387.tif", (1, 1, 1, 256, 256), "u2"),
    ],
)
def test_real_files(data_folder, name, sizes, dtype):
    stack = open_stack(data_folder / name)
    assert tuple(stack.sizes.values()) == sizes
    assert stack.dtype == np.dtype(dtype)
    np.testing.assert_array_equal(np.squeeze(all_planes(stack)), tifffile.imread(data_folder / name))


def test_what_labs_write_about_pixels_and_time(data_folder):
    stack = open_stack(data_folder / "confocal_timelapse_membrane/frap_dt2s_0000.tif")
    assert stack.pixel_size_um == pytest.approx(0.10566, rel=1e-4)
    assert stack.interval_s == pytest.approx(2.044)


def test_colours_are_channels_and_never_frames(data_folder):
    path = data_folder / "tiff_oddities/hela_rgb48_composite.tif"
    stack = open_stack(path)
    assert tuple(stack.sizes.values()) == (1, 3, 1, 512, 672)
    assert stack.channels == ("red", "green", "blue")
    assert stack.colours == ("#FF0000", "#00FF00", "#0000FF")
    np.testing.assert_array_equal(np.moveaxis(all_planes(stack)[0, :, 0], 0, -1), tifffile.imread(path))


def test_grey_stored_as_colours_is_recognised(tmp_path: Path):
    planes = np.repeat(counts(5, 8, 9)[..., None], 3, -1)
    stack = written(tmp_path / "grey.tif", planes, photometric="rgb", metadata=None)
    assert stack.sizes["C"] == 1
    assert "taken as grey" in " ".join(stack.notes)
    np.testing.assert_array_equal(all_planes(stack)[:, 0, 0], planes[..., 0])
    planes[3, 0, 0, 1] += 1
    odd = written(tmp_path / "a.tif", planes, photometric="rgb", metadata=None)
    with pytest.raises(ReadError, match=r"a.tif.*page 3 has colours where others are grey"):
        odd.plane(T=3)


@pytest.mark.parametrize("planar", ["contig", "separate"])
@pytest.mark.parametrize("metadata", [None, {}, {"axes": "TYXS"}])
def test_colours_over_time(tmp_path: Path, planar, metadata):
    planes = counts(4, 8, 9, 3)
    stored = planes if planar == "contig" else np.moveaxis(planes, -1, 1)
    if metadata and planar == "separate":
        metadata = {"axes": "TSYX"}
    stack = written(tmp_path / "a.tif", stored, photometric="rgb", planarconfig=planar, metadata=metadata)
    assert tuple(stack.sizes.values()) == (4, 3, 1, 8, 9)
    np.testing.assert_array_equal(np.moveaxis(all_planes(stack)[:, :, 0], 1, -1), planes)


def test_transparency_is_left_out(tmp_path: Path):
    planes = counts(8, 9, 4)
    stack = written(tmp_path / "a.tif", planes, photometric="rgb", extrasamples=["unassalpha"])
    np.testing.assert_array_equal(np.moveaxis(all_planes(stack)[0, :, 0], 0, -1), planes[..., :3])


@pytest.mark.parametrize("dtype", ["u1", "u2", bool])
def test_white_is_zero_is_turned_back(tmp_path: Path, dtype):
    planes = counts(8, 9, dtype="u2") % (2 if dtype is bool else 256)
    stored = (~planes.astype(bool)) if dtype is bool else np.iinfo(dtype).max - planes.astype(dtype)
    stack = written(tmp_path / "a.tif", stored, photometric="miniswhite")
    np.testing.assert_array_equal(stack.plane(), planes)
    assert "stored inverted" in stack.notes[0]


def test_a_palette_of_one_hue_leaves_intensities(tmp_path: Path):
    green = np.zeros((3, 256), np.uint16)
    green[1] = np.arange(256) * 257
    planes = counts(8, 9, dtype="u1")
    stack = written(tmp_path / "a.tif", planes, photometric="palette", colormap=green)
    np.testing.assert_array_equal(stack.plane(), planes)


def test_a_pyramid_is_read_at_full_size(tmp_path: Path):
    planes = counts(3, 64, 64)
    with tifffile.TiffWriter(tmp_path / "a.ome.tif", ome=True) as tif:
        tif.write(planes, subifds=1, tile=(16, 16), photometric="minisblack", metadata={"axes": "TYX"})
        tif.write(planes[:, ::2, ::2], subfiletype=1, tile=(16, 16), photometric="minisblack")
    stack = open_stack(tmp_path / "a.ome.tif")
    assert tuple(stack.sizes.values()) == (3, 1, 1, 64, 64)
    np.testing.assert_array_equal(all_planes(stack)[:, 0, 0], planes)


def test_an_old_pyramid_of_pages_is_read_at_full_size(tmp_path: Path):
    planes = counts(64, 64)
    with tifffile.TiffWriter(tmp_path / "a.tif") as tif:
        tif.write(planes, photometric="minisblack", metadata=None)
        for step in (2, 4):
            tif.write(planes[::step, ::step], subfiletype=1, photometric="minisblack", metadata=None)
    stack = open_stack(tmp_path / "a.tif")
    np.testing.assert_array_equal(all_planes(stack)[0, 0, 0], planes)
    assert "2 reduced pages" in stack.notes[-1]


def test_twelve_bits_packed_tightly(tmp_path: Path):
    """Two pixels in three bytes, the first one's high bits first, as TIFF 6.0 has it."""
    planes = counts(6, 8) % 4096
    a, b = planes[:, ::2], planes[:, 1::2]
    packed = np.stack([a >> 4, (a & 15) << 4 | b >> 8, b & 255], -1).astype(np.uint8).reshape(6, 12)
    tifffile.imwrite(tmp_path / "a.tif", packed, photometric="minisblack", metadata=None, rowsperstrip=6)
    with tifffile.TiffFile(tmp_path / "a.tif", mode="r+b") as tif:
        tif.pages[0].tags["BitsPerSample"].overwrite(12)
        tif.pages[0].tags["ImageWidth"].overwrite(8)
    stack = open_stack(tmp_path / "a.tif")
    assert stack.dtype == np.uint16
    np.testing.assert_array_equal(stack.plane(), planes)


def test_metadata_that_contradict_the_pixels_are_told(tmp_path: Path):
    tifffile.imwrite(
        tmp_path / "a.ome.tif", counts(3, 8, 9), metadata={"axes": "TYX"}, photometric="minisblack"
    )
    content = (tmp_path / "a.ome.tif").read_bytes().replace(b'Type="uint16"', b'Type="uint8" ')
    (tmp_path / "a.ome.tif").write_bytes(content)
    assert "metadata say uint8; its pixels are uint16" in " ".join(open_stack(tmp_path / "a.ome.tif").notes)


@pytest.mark.parametrize(
    ("how", "message"),
    [({"photometric": "palette", "colormap": np.arange(768).reshape(3, 256).astype(np.uint16)}, "palette"),
     ({"extratags": [(274, "H", 1, 6, True)]}, "rotated")],
)  # fmt: skip
def test_greys_that_are_not_upright_greys_are_refused(tmp_path: Path, how, message):
    with pytest.raises(ReadError, match=message):
        written(tmp_path / "a.tif", counts(9, 9, dtype="u1") // 4, **how)


def test_complex_numbers_are_refused(tmp_path: Path):
    with pytest.raises(ReadError, match="complex64"):
        written(tmp_path / "a.tif", np.ones((9, 9), np.complex64))


def test_pages_of_another_size_are_an_error_and_thumbnails_are_left_out(tmp_path: Path):
    path, planes = tmp_path / "a.tif", counts(3, 16, 16)
    with tifffile.TiffWriter(path) as tif:
        tif.write(planes[0], photometric="minisblack", metadata=None)
        tif.write(planes[1, ::2, ::2], photometric="minisblack", metadata=None, subfiletype=1)
        tif.write(planes[2], photometric="minisblack", metadata=None)
    stack = open_stack(path)
    assert "1 reduced pages" in stack.notes[-1]
    np.testing.assert_array_equal(all_planes(stack)[:, 0, 0], planes[::2])
    with tifffile.TiffWriter(path) as tif:
        for plane in (planes[0], planes[1, :8]):
            tif.write(plane, photometric="minisblack", metadata=None)
    with pytest.raises(ReadError, match="different sizes or types"):
        open_stack(path)


@pytest.mark.parametrize("kept", [0.02, 0.1, 0.5, 0.9, 0.99])
@pytest.mark.parametrize("late_directories", [True, False])
def test_a_cut_file_is_an_error_never_a_shorter_stack(tmp_path: Path, kept, late_directories):
    path, planes = tmp_path / "a.tif", counts(6, 40, 40)
    with tifffile.TiffWriter(path) as tif:
        for plane in [planes] if late_directories else planes:
            tif.write(plane, photometric="minisblack", metadata=None)
    content = path.read_bytes()
    path.write_bytes(content[: int(kept * len(content))])
    with pytest.raises(ReadError):
        all_planes(open_stack(path))


def test_fewer_planes_than_announced_are_an_error(tmp_path: Path):
    description = "ImageJ=1.54\nimages=9\nframes=9\n"
    with pytest.raises(ReadError, match="announces 9 planes and holds 3"):
        written(tmp_path / "a.tif", counts(3, 8, 8), description=description, metadata=None)
    stack = written(tmp_path / "b.ome.tif", counts(3, 8, 8), metadata={"axes": "TYX"})
    stack.path.write_bytes(
        stack.path.read_bytes().replace(b'SizeT="3"', b'SizeT="9"').replace(b'Count="3"', b'Count="9"')
    )
    with pytest.raises(ReadError, match="6 of 9 planes are missing"):
        open_stack(stack.path)


def test_changed_bytes_give_right_pixels_or_an_error(tmp_path: Path):
    """The directories of an uncompressed file are damaged one byte at a time."""
    path, planes = tmp_path / "a.tif", counts(4, 24, 24)
    with tifffile.TiffWriter(path) as tif:
        for plane in planes:
            tif.write(plane, photometric="minisblack", metadata=None, rowsperstrip=6)
    content, rng = path.read_bytes(), np.random.default_rng(1)
    with tifffile.TiffFile(path) as tif:
        starts = [page.offset for page in tif.pages]
    outcomes = {"right": 0, "refused": 0, "other": 0}
    for _ in range(300):
        mutant = bytearray(content)
        mutant[int(rng.choice(starts)) + int(rng.integers(0, 150))] ^= int(rng.integers(1, 256))
        path.write_bytes(mutant)
        try:
            same = np.array_equal(all_planes(open_stack(path))[:, 0, 0], planes)
        except (ReadError, ChoiceNeeded):
            outcomes["refused"] += 1
        else:
            outcomes["right" if same else "other"] += 1
    # A changed offset that still lies in the file, or a changed sign of the numbers, cannot be seen.
    assert outcomes["other"] < 0.1 * 300, outcomes
    assert outcomes["refused"] > 50, outcomes
