import hashlib
import itertools
import struct
import time
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
from pylibCZIrw import czi

from pssr.errors import ChoiceNeeded, ReadError
from pssr.io import czi_library
from pssr.io.open import open_stack

AIRYSCAN = "czi_readers/Airyscan_T3_C2_live_mito_microtubule.czi"


def test_a_live_movie_with_its_metadata(data_folder):
    stack = open_stack(data_folder / AIRYSCAN)
    assert stack.format == "CZI"
    assert dict(stack.sizes) == {"T": 3, "C": 2, "Z": 1, "Y": 480, "X": 480}
    assert stack.channels == ("ChA-T1", "ChA-T2")
    assert stack.pixel_size_um == pytest.approx(0.0439294, rel=1e-5)
    assert stack.interval_s == pytest.approx(0.523)
    assert stack.dtype == np.uint16


def test_planes_are_those_that_were_written(data_folder):
    """The blob of the synthetic movie moves to the right; each channel's frames differ."""
    stack = open_stack(data_folder / "czi_synthetic_fixtures/T5_C2_Z1_u16.czi")
    planes = {(t, c): stack.plane(T=t, C=c) for t in range(5) for c in range(2)}
    assert len({plane.tobytes() for plane in planes.values()}) == 10
    assert all(plane.shape == (96, 128) for plane in planes.values())


def test_time_passes_smoothly_in_a_long_movie(data_folder):
    """Frames in a wrong order would not resemble their neighbours."""
    movie = open_stack(data_folder / "live_mito_airyscan/dev_20240927_cell12_T100.czi").movie("af647-t1")
    frames = [movie[t].astype(float).ravel() for t in range(30)]
    near = np.mean([np.corrcoef(frames[t], frames[t + 1])[0, 1] for t in range(29)])
    far = np.mean([np.corrcoef(frames[t], frames[t + 20])[0, 1] for t in range(9)])
    assert near > 0.85
    assert near > far + 0.1


@pytest.mark.parametrize(
    ("name", "sizes", "dtype"),
    [
        ("czi_readers/CellDivision_T3_Z6_CH1_zstd.czi", (3, 1, 6, 200, 300), "u2"),
        ("czi_readers/DAPI_GFP_8bit_noscale.czi", (1, 2, 1, 640, 640), "u1"),
        ("czi_readers/newCZI_zstd0_kidney.czi", (1, 1, 1, 512, 512), "u2"),
        ("czi_readers/LLS7_small.czi", (2, 2, 3, 64, 64), "u2"),
        ("czi_synthetic_fixtures/T4_C1_Z1_float32.czi", (4, 1, 1, 96, 128), "f4"),
        ("czi_synthetic_fixtures/T3_C1_Z4_u8_zstd1.czi", (3, 1, 4, 96, 128), "u1"),
        ("czi_synthetic_fixtures/no_metadata_T3.czi", (3, 1, 1, 96, 128), "u2"),
    ],
)
def test_kinds_of_files_that_microscopes_write(data_folder, name, sizes, dtype):
    stack = open_stack(data_folder / name)
    assert tuple(stack.sizes.values()) == sizes
    last = stack.plane(T=sizes[0] - 1, C=sizes[1] - 1, Z=sizes[2] - 1)
    assert last.dtype == stack.dtype == np.dtype(dtype)
    assert last.std() > 0


def test_unknown_pixel_size_stays_unknown(data_folder):
    stack = open_stack(data_folder / "czi_readers/DAPI_GFP_8bit_noscale.czi")
    assert stack.spacing_um == {}
    assert stack.pixel_size_um is None
    assert stack.interval_s is None
    assert stack.channels == ("channel 0", "channel 1")


def test_scenes_are_chosen_by_name_or_number(data_folder):
    path = data_folder / "czi_readers/WellD6-7_two_scenes_far_apart.czi"
    with pytest.raises(ChoiceNeeded, match=r"choose a scene \(D6, D7\)"):
        open_stack(path)
    with pytest.raises(ChoiceNeeded, match="has no scene 'D8'; choose one of D6, D7"):
        open_stack(path, scene="D8")
    first, second = open_stack(path, scene=0), open_stack(path, scene="D7")
    assert (first.scene, second.scene) == ("D6", "D7")
    assert first.plane().shape == (440, 544)
    assert not np.array_equal(first.plane(), second.plane())
    assert second.movie().name.endswith("scene D7]")


def test_a_scene_that_is_not_there(data_folder):
    with pytest.raises(ChoiceNeeded, match="has only one"):
        open_stack(data_folder / AIRYSCAN, scene=4)


def test_one_tile_of_a_scene_is_a_plane(data_folder):
    stack = open_stack(data_folder / "czi_readers/S3_1Pos_2Mosaic_zstd.czi", scene="P1")
    assert stack.plane().shape == (64, 64)


@pytest.mark.parametrize(
    ("name", "scene", "message"),
    [
        (
            "czi_synthetic_fixtures/ragged_T4_C2_missing_T2C1.czi",
            None,
            r"1 of 8 planes are missing \(T 2 C 1 Z 0\)",
        ),
        ("czi_synthetic_fixtures/aborted_T5_C2_last_half_frame.czi", None, r"missing \(T 4 C 1 Z 0\)"),
    ],
)
def test_what_cannot_be_read_rightly_is_refused_by_name(data_folder, name, scene, message):
    with pytest.raises(ReadError, match=message):
        open_stack(data_folder / name, scene=scene)


def test_phases_are_chosen_by_number(data_folder):
    path = data_folder / "czi_readers/LSM880_AiryScan_ragged_32phase.czi"
    with pytest.raises(ChoiceNeeded, match="choose one of its 32 phases") as error:
        open_stack(path)
    assert error.value.choices == tuple(map(str, range(32)))
    with pytest.raises(ChoiceNeeded, match="has no phase 32"):
        open_stack(path, phase=32)
    stack = open_stack(path, phase=0)
    assert tuple(stack.sizes.values()) == (1, 8, 1, 36, 38)
    with czi.open_czi(str(path)) as independent:
        for c in range(8):
            expected = independent.read(plane={"C": c, "T": 0, "Z": 0, "H": 0})[..., 0]
            np.testing.assert_array_equal(stack.plane(C=c), expected)


def test_colours_come_in_the_order_red_green_blue(data_folder):
    path = data_folder / "czi_readers/RGB-multichannel.czi"
    stack = open_stack(path)
    assert (stack.sizes["C"], stack.channels[0][-3:], stack.channels[5][-4:]) == (21, "red", "blue")
    assert stack.colours[:4] == ("#FF0000", "#00FF00", "#0000FF", "#FF0000")
    with czi.open_czi(str(path)) as independent:
        for c in range(7):
            blue_green_red = independent.read(plane={"C": c})
            for k in range(3):
                np.testing.assert_array_equal(stack.plane(C=3 * c + k), blue_green_red[..., 2 - k])


RAGGED = "czi_synthetic_fixtures/ragged_T4_C2_missing_T2C1.czi"


@pytest.mark.parametrize(("how", "value"), [("zero", 0), ("nan", np.nan)])
def test_missing_planes_are_filled_as_chosen(data_folder, how, value):
    stack = open_stack(data_folder / RAGGED, missing=how)
    assert stack.missing == ((2, 1, 0),)
    assert stack.dtype == (np.float32 if how == "nan" else np.uint16)
    assert "1 of 8 planes are missing (T 2 C 1 Z 0) and filled" in stack.notes[-1]
    np.testing.assert_array_equal(stack.plane(T=2, C=1), np.full((96, 128), value))
    assert stack.plane(T=2, C=0).std() > 0


def test_a_missing_plane_may_repeat_the_one_before(data_folder):
    stack = open_stack(data_folder / RAGGED, missing="previous")
    np.testing.assert_array_equal(stack.plane(T=2, C=1), stack.plane(T=1, C=1))
    with pytest.raises(ChoiceNeeded, match="choose one of nan, zero, previous"):
        open_stack(data_folder / RAGGED, missing="guess")


def test_channels_have_the_colours_they_are_shown_in(data_folder):
    assert open_stack(data_folder / AIRYSCAN).colours == ("#FF0000", "#00FF00")
    assert open_stack(data_folder / "czi_readers/tiny_10x10.czi").compression == "none"


def hashes(path: Path) -> list[str]:
    try:
        stack = open_stack(path, missing="zero")
    except ChoiceNeeded:
        return []
    places = itertools.product(*(range(stack.sizes[axis]) for axis in "TCZ"))
    return [hashlib.sha256(plane.tobytes()).hexdigest() for plane in stack.planes(places)]


@pytest.mark.skipif(not find_spec("czifile"), reason="czifile that reads all CZI needs Python 3.12")
def test_without_the_native_library_czifile_gives_the_same_planes(data_folder, monkeypatch):
    names = [*sorted((data_folder / "czi_readers").glob("*.czi")), data_folder / RAGGED]
    monkeypatch.setattr(czi_library, "installed", lambda path: czi_library.with_czifile)
    for path in names:
        with pytest.MonkeyPatch.context() as native:
            native.setattr(czi_library, "installed", lambda path: czi_library.with_libczi)
            expected = hashes(path)
        assert hashes(path) == expected, path


def test_a_file_that_vanished_is_a_read_error(data_folder, tmp_path: Path):
    copy = tmp_path / "a.czi"
    copy.write_bytes((data_folder / "czi_synthetic_fixtures/T2_only.czi").read_bytes())
    stack = open_stack(copy)
    copy.unlink()
    with pytest.raises(ReadError, match="cannot be opened"):
        stack.plane(T=1)


def made(path: Path, planes: list[tuple[dict[str, int], int | None]]) -> Path:
    """A CZI of planes at places such as {"T": 1, "C": 0, "Z": 0}, in scenes or none."""
    metadata = {0: "zero", 1: "one"}
    with czi.create_czi(str(path)) as document:
        for number, (place, scene) in enumerate(planes):
            pixels = np.full((16, 20, 1), 10 * number + 1, np.uint16)
            where = {} if scene is None else {"scene": scene, "location": (300 * scene, 0)}
            document.write(pixels, plane=place, **where)
        document.write_metadata(channel_names=metadata)
    return path


def test_a_scene_of_some_of_the_channels_names_them_rightly(tmp_path: Path):
    here = {"T": 0, "Z": 0}
    path = made(tmp_path / "a.czi", [(here | {"C": 0}, 0), (here | {"C": 1}, 0), (here | {"C": 1}, 1)])
    assert open_stack(path, scene=0).channels == ("zero", "one")
    assert open_stack(path, scene=1).channels == ("one",)


@pytest.mark.parametrize("axes", ["T", "TZ"])
def test_an_index_damaged_to_millions_is_refused_at_once(tmp_path: Path, axes):
    """In the directory and in the plane alike, so that nothing contradicts it."""
    places = [{"T": 0, "C": 0, "Z": 0}, {"T": 1, "C": 0, "Z": 1 if "Z" in axes else 0}]
    content = bytearray(made(tmp_path / "a.czi", [(place, None) for place in places]).read_bytes())
    changed = 0
    for axis in axes:
        at = -1
        while (at := content.find(axis.encode() + b"\0\0\0" + struct.pack("<i", 1), at + 1)) >= 0:
            struct.pack_into("<i", content, at + 4, 10_000_000)
            changed += 1
    assert changed >= 2 * len(axes)
    (tmp_path / "b.czi").write_bytes(content)
    start = time.perf_counter()
    with pytest.raises(ReadError, match=r"announces \d+ planes and holds 2 parts of planes"):
        open_stack(tmp_path / "b.czi")
    assert time.perf_counter() - start < 2
