import json
import struct
from pathlib import Path

import numpy as np
import pytest
import tifffile
from handmade import handmade_tiff, page

from pssr.errors import ChoiceNeeded, ReadError
from pssr.io.open import open_stack
from pssr.io.stack import Stack

RNG = np.random.default_rng(0)


def counts(*shape: int) -> np.ndarray:
    return RNG.integers(0, 65535, shape, np.uint16)


def planes(stack: Stack) -> np.ndarray:
    t, c, z = (stack.sizes[axis] for axis in "TCZ")
    return np.array([[[stack.plane(T=i, C=j, Z=k) for k in range(z)] for j in range(c)] for i in range(t)])


def text(words: bytes) -> tuple[int, int, bytes]:
    return 2, len(words) + 1, words + b"\0"


def micromanager(path: Path, pixels: np.ndarray, **about) -> Path:
    """Pages in the order C, then T, as many write them."""
    pages = []
    for t, c in np.ndindex(pixels.shape[:2]):
        said = {
            "FrameIndex": t,
            "ChannelIndex": c,
            "SliceIndex": 0,
            "Channel": f"dye {c}",
            "PixelSizeUm": 0.1,
        }
        pages.append((pixels[t, c].tobytes(), page(t51123=text(json.dumps(said | about).encode()))))
    return handmade_tiff(path, pages)


def test_pages_of_micro_manager_say_where_they_belong(tmp_path: Path):
    pixels = counts(3, 2, 12, 16)
    stack = open_stack(micromanager(tmp_path / "a.tif", pixels))
    assert stack.format == "Micro-Manager TIFF"
    np.testing.assert_array_equal(planes(stack)[:, :, 0], pixels)
    assert stack.channels == ("dye 0", "dye 1")
    assert stack.spacing_um == {"X": 0.1, "Y": 0.1}


def test_pages_that_do_not_say_it_rightly_are_asked_for(tmp_path: Path):
    path = micromanager(tmp_path / "a.tif", counts(3, 2, 12, 16), FrameIndex=0)
    with pytest.raises(ChoiceNeeded, match="is a Micro-Manager TIFF of 6 pages and nothing says of what"):
        open_stack(path)
    assert open_stack(path, axes="ZYX").sizes["Z"] == 6


def lsm(path: Path, pixels: np.ndarray, depths: int) -> Path:
    """Zeiss LSM: full pages and thumbnails in turn, times and depths in a private tag."""
    about = bytearray(512)
    struct.pack_into("<7i", about, 0, 67127628, 512, 16, 12, depths, 1, len(pixels) // depths)
    struct.pack_into("<3d", about, 40, 1e-7, 1e-7, 3e-7)
    struct.pack_into("<H", about, 88, 0 if depths > 1 else 3)  # kind of scan: XYZ, or XYT
    pages = []
    for number, plane in enumerate(pixels):
        first = {"t34412": (1, 512, bytes(about))} if number == 0 else {}
        pages += [(plane.tobytes(), page(**first)), (b"\0" * 16, page(4, 4, 8, t254=(4, 1, 1)))]
    return handmade_tiff(path, pages)


def test_pages_of_an_lsm_are_depths_or_times_as_it_says(tmp_path: Path):
    pixels = counts(3, 12, 16)
    deep, long = (open_stack(lsm(tmp_path / f"{n}.lsm", pixels, n)) for n in (3, 1))
    assert (deep.format, deep.sizes["Z"], long.sizes["T"]) == ("LSM", 3, 3)
    np.testing.assert_array_equal(planes(deep)[0, 0], pixels)
    np.testing.assert_array_equal(planes(long)[:, 0, 0], pixels)
    assert deep.spacing_um == pytest.approx({"X": 0.1, "Y": 0.1, "Z": 0.3})


def test_an_lsm_of_other_pages_than_it_says_is_refused(tmp_path: Path):
    with pytest.raises(ReadError, match=r"its LSM metadata announce .* and it holds 6 pages"):
        open_stack(lsm(tmp_path / "a.lsm", counts(6, 12, 16), 3))


def metamorph(path: Path, pixels: np.ndarray, *, kept: int, depth: int, ms: int) -> Path:
    """Planes behind one page: of each its distance in um, and day and milliseconds twice."""
    about = b"".join(
        struct.pack("<6I", depth * (k + 1), 1, 2455000, ms * k, 2455000, ms * k) for k in range(len(pixels))
    )
    tags = page(
        t33628=(4, 1, struct.pack("<II", 0, 0)), t33629=(5, len(pixels), about), t279=(4, 1, pixels[0].nbytes)
    )
    return handmade_tiff(path, [(pixels[:kept].tobytes(), tags)])


@pytest.mark.parametrize(("depth", "ms", "axis"), [(1, 0, "Z"), (0, 100, "T"), (0, 0, "T")])
def test_all_planes_of_a_metamorph_stack_are_read(tmp_path: Path, depth, ms, axis):
    pixels = counts(6, 12, 16)
    stack = open_stack(metamorph(tmp_path / "a.stk", pixels, kept=6, depth=depth, ms=ms))
    assert stack.sizes[axis] == 6
    np.testing.assert_array_equal(planes(stack).reshape(6, 12, 16), pixels)
    assert stack.interval_s == (pytest.approx(0.1) if ms else None)
    assert any("taken as time points" in note for note in stack.notes) == (depth + ms == 0)
    with pytest.raises(ReadError, match=r"announces 6 planes and holds \d"):
        open_stack(metamorph(tmp_path / "b.stk", pixels, kept=3, depth=depth, ms=ms))


@pytest.mark.parametrize(
    ("tag", "words", "what"),
    [
        ("t34682", b"[Scan]\r\nPixelWidth=5e-009\r\nPixelHeight=5e-009\r\n", "FEI"),
        ("t34118", b"\r\nAP_IMAGE_PIXEL_SIZE\r\nImage Pixel Size = 5.0 nm\r\n", "Zeiss SEM"),
    ],
)
def test_electron_microscopes_say_their_pixel_size_in_tags_of_their_own(tmp_path: Path, tag, words, what):
    pixels = counts(12, 16)
    stack = open_stack(handmade_tiff(tmp_path / "a.tif", [(pixels.tobytes(), page(**{tag: text(words)}))]))
    assert stack.spacing_um == pytest.approx({"X": 0.005, "Y": 0.005})
    assert f"its pixel size is that of its {what} tag" in stack.notes


@pytest.mark.parametrize(
    ("per_unit", "unit", "um"),
    [
        (100_000, "CENTIMETER", 0.1),
        (254_000, "INCH", 0.1),
        (72, "INCH", None),
        (1200, "INCH", None),
        (50_000, "NONE", None),
    ],
)
def test_a_resolution_is_believed_where_it_is_no_printers(tmp_path: Path, per_unit, unit, um):
    tifffile.imwrite(tmp_path / "a.tif", counts(8, 9), resolution=(per_unit, per_unit), resolutionunit=unit)
    stack = open_stack(tmp_path / "a.tif")
    assert stack.spacing_um == ({} if um is None else pytest.approx({"X": um, "Y": um}))
    assert any("resolution per" in note for note in stack.notes) == (um is not None)
