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


def lsm(path: Path, pixels: np.ndarray, depths: int, *, scan: int | None = None) -> Path:
    """Zeiss LSM: full pages, of (Y, X) or (samples, Y, X), and thumbnails in turn, what they are in a private tag."""
    about, samples = bytearray(512), pixels.shape[1] if pixels.ndim == 4 else 1
    struct.pack_into("<7i", about, 0, 67127628, 512, 16, 12, depths, samples, len(pixels) // depths)
    struct.pack_into("<3d", about, 40, 1e-7, 1e-7, 3e-7)
    kind = scan if scan is not None else 0 if depths > 1 else 3  # XYZ, or XYT
    struct.pack_into("<H", about, 88, kind)
    pages, at = [], 8
    for number, planes in enumerate(pixels.reshape(len(pixels), samples, 12, 16)):
        tags = page(**({"t34412": (1, 512, bytes(about))} if number == 0 else {}))
        tags |= of_samples(at, planes) if samples > 1 else {}
        behind = b"\x10\0" * samples if samples > 1 else b""  # the bits of each sample
        pages += [(planes.tobytes() + behind, tags), (b"\0" * 16, page(4, 4, 8, t254=(4, 1, 1)))]
        at = handmade_tiff(path, pages).stat().st_size  # of the pixels of the next page
    return path


def of_samples(at: int, planes: np.ndarray) -> dict[int, tuple[int, int, bytes]]:
    """Tags of a page whose samples lie one behind the other from a byte on; Zeiss calls them colours."""
    count, size = len(planes), planes[0].nbytes
    starts, sizes = [at + k * size for k in range(count)], [size] * count
    # Zeiss stores the place of the bits also where two of them would have place in the tag itself.
    bits = struct.pack("<I", at + planes.nbytes) if count == 2 else b"\x10\0" * count
    tags = {258: (3, count, bits), 262: (3, 1, 2), 277: (3, 1, count), 284: (3, 1, 2)}
    return tags | {
        number: (4, count, struct.pack(f"<{count}I", *n)) for number, n in ((273, starts), (279, sizes))
    }


def test_pages_of_an_lsm_are_depths_or_times_as_it_says(tmp_path: Path):
    pixels = counts(3, 12, 16)
    deep, long = (open_stack(lsm(tmp_path / f"{n}.lsm", pixels, n)) for n in (3, 1))
    assert (deep.format, deep.sizes["Z"], long.sizes["T"]) == ("LSM", 3, 3)
    np.testing.assert_array_equal(planes(deep)[0, 0], pixels)
    np.testing.assert_array_equal(planes(long)[:, 0, 0], pixels)
    assert deep.spacing_um == pytest.approx({"X": 0.1, "Y": 0.1, "Z": 0.3})


@pytest.mark.parametrize("samples", [1, 2, 3, 4])
@pytest.mark.parametrize(("depths", "times"), [(1, 3), (3, 1), (3, 2), (1, 1)])
def test_channels_of_an_lsm_are_samples_of_its_pages(tmp_path: Path, samples, depths, times):
    pixels = counts(times * depths, samples, 12, 16)
    scan = 6 if depths > 1 and times > 1 else None  # XYZT
    stack = open_stack(lsm(tmp_path / "a.lsm", pixels, depths, scan=scan))
    assert tuple(stack.sizes.values()) == (times, samples, depths, 12, 16)
    expected = pixels.reshape(times, depths, samples, 12, 16).swapaxes(1, 2)
    np.testing.assert_array_equal(planes(stack), expected)
    names = {1: ("channel 0",), 2: ("channel 0", "channel 1"), 3: ("red", "green", "blue")}
    assert stack.channels == names.get(samples, ("red", "green", "blue", "channel 3"))


def test_an_lsm_of_other_channels_than_it_says_is_refused(tmp_path: Path):
    path = lsm(tmp_path / "a.lsm", counts(3, 2, 12, 16), 3)
    content = path.read_bytes()
    at = content.index(struct.pack("<2i", 67127628, 512)) + 20
    path.write_bytes(content[:at] + struct.pack("<i", 4) + content[at + 4 :])
    with pytest.raises(ReadError, match="its LSM metadata announce"):
        open_stack(path)


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


@pytest.mark.parametrize(
    "tag",
    [
        (11, 1, struct.pack("<f", 0.1)),
        (3, 1, 72),
        (3, 2, struct.pack("<2H", 72, 1)),
        (2, 3, b"72\0"),
        (5, 2, struct.pack("<4I", 1, 10, 1, 10)),
        (5, 1, struct.pack("<2I", 0, 1)),
        (5, 1, struct.pack("<2I", 1, 0)),
        (10, 1, struct.pack("<2i", -1, 10)),
    ],
)
@pytest.mark.parametrize("description", ["", "ImageJ=1.54\nimages=1\nunit=micron\n"])
def test_a_resolution_that_is_no_fraction_is_unknown_and_the_pixels_are_read(
    tmp_path: Path, tag, description
):
    pixels = counts(12, 16)
    tags = page(t282=tag, t283=tag, t296=(3, 1, 3))
    if description:
        tags[270] = text(description.encode())
    stack = open_stack(handmade_tiff(tmp_path / "a.tif", [(pixels.tobytes(), tags)]))
    np.testing.assert_array_equal(stack.plane(), pixels)
    assert stack.spacing_um == {}


@pytest.mark.parametrize(
    "unit", [(2, 3, b"cm\0"), (3, 2, struct.pack("<2H", 3, 3)), (11, 1, struct.pack("<f", 3.5))]
)
def test_a_unit_of_resolution_that_is_none_is_unknown(tmp_path: Path, unit):
    fraction = (5, 1, struct.pack("<2I", 100_000, 1))
    tags = page(t282=fraction, t283=fraction, t296=unit)
    assert open_stack(handmade_tiff(tmp_path / "a.tif", [(counts(12, 16).tobytes(), tags)])).spacing_um == {}
