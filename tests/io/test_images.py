from pathlib import Path
from types import SimpleNamespace

import imagecodecs
import numpy as np
import pytest
from PIL import Image

from pssr.errors import ReadError
from pssr.io.memory import COPIES
from pssr.io.open import open_stack

GREY = np.random.default_rng(0).integers(0, 255, (20, 31), np.uint8)


@pytest.mark.parametrize("dtype", ["u1", "u2"])
def test_a_png_is_one_plane(tmp_path: Path, dtype):
    plane = (GREY.astype(dtype) * (1 if dtype == "u1" else 257)).astype(dtype)
    Image.fromarray(plane).save(tmp_path / "a.png")
    stack = open_stack(tmp_path / "a.png")
    assert (stack.format, stack.dtype, dict(stack.sizes)) == (
        "PNG", np.dtype(dtype), {"T": 1, "C": 1, "Z": 1, "Y": 20, "X": 31},
    )  # fmt: skip
    np.testing.assert_array_equal(stack.plane(), plane)


def test_a_jpeg_is_one_plane(tmp_path: Path):
    Image.fromarray(np.full((16, 16), 77, np.uint8)).save(tmp_path / "a.jpg")
    stack = open_stack(tmp_path / "a.jpg")
    assert stack.format == "JPEG"
    assert abs(int(stack.plane().mean()) - 77) <= 1


def test_grey_stored_as_colours_is_grey_and_says_so(tmp_path: Path):
    Image.fromarray(np.stack([GREY] * 3, -1)).save(tmp_path / "a.png")
    stack = open_stack(tmp_path / "a.png")
    np.testing.assert_array_equal(stack.plane(), GREY)
    assert "taken as grey" in stack.notes[0]


@pytest.mark.parametrize("dtype", ["u1", "u2"])
def test_colours_are_channels_of_the_full_depth(tmp_path: Path, dtype):
    """Pillow would keep eight of sixteen bits."""
    colours = np.stack([GREY, GREY // 2, GREY // 3], -1).astype(dtype) * (257 if dtype == "u2" else 1)
    (tmp_path / "a.png").write_bytes(imagecodecs.png_encode(colours))
    stack = open_stack(tmp_path / "a.png")
    assert (stack.channels, stack.dtype) == (("red", "green", "blue"), np.dtype(dtype))
    for c in range(3):
        np.testing.assert_array_equal(stack.plane(C=c), colours[..., c])


@pytest.mark.parametrize("colour", [(255, 255, 255), (0, 255, 0), (128, 0, 200)])
@pytest.mark.parametrize("entries", [16, 256])
def test_a_palette_from_black_to_one_colour_leaves_the_intensities(tmp_path: Path, colour, entries):
    indices = np.minimum(GREY, entries - 1)
    ramp = np.rint(np.linspace(0, 1, entries)[:, None] * colour).astype(np.uint8)
    _with_palette(tmp_path / "p.png", indices, ramp)
    stack = open_stack(tmp_path / "p.png")
    np.testing.assert_array_equal(stack.plane(), indices)
    assert any("palette goes from black to one colour" in note for note in stack.notes)


@pytest.mark.parametrize(
    "palette",
    [
        np.random.default_rng(0).integers(0, 255, (256, 3)),
        np.linspace(255, 0, 256)[:, None] * (1, 1, 1),
        [(255, 0, 0), (0, 255, 0)],
        [(0, 0, 0)],
    ],
)
def test_other_palettes_are_refused(tmp_path: Path, palette):
    table = np.rint(palette).astype(np.uint8)
    _with_palette(tmp_path / "p.png", np.minimum(GREY, len(table) - 1), table)
    with pytest.raises(ReadError, match=r"p\.png: has a palette of many colours; convert it to grey"):
        open_stack(tmp_path / "p.png")


def _with_palette(path: Path, indices: np.ndarray, table: np.ndarray) -> None:
    picture = Image.fromarray(indices).convert("P")
    picture.putpalette(table.tobytes())
    picture.save(path)


def test_a_colour_jpeg_is_not_read_as_a_whole_to_learn_that_it_is_no_png(tmp_path: Path, monkeypatch):
    Image.fromarray(np.stack([GREY, GREY // 2, GREY // 3], -1)).save(tmp_path / "a.jpg")
    monkeypatch.setattr(Path, "read_bytes", lambda path: pytest.fail(f"{path} is read"))
    assert open_stack(tmp_path / "a.jpg").channels == ("red", "green", "blue")


@pytest.mark.parametrize(("dtype", "needed_bytes"), [("u1", 20 * 31 * 3), ("u2", 20 * 31 * 6)])
def test_colours_of_16_bits_need_twice_the_memory(tmp_path: Path, monkeypatch, dtype, needed_bytes):
    colours = np.stack([GREY, GREY // 2, GREY // 3], -1).astype(dtype)
    (tmp_path / "a.png").write_bytes(imagecodecs.png_encode(colours))
    free = SimpleNamespace(available=COPIES * needed_bytes)
    monkeypatch.setattr("pssr.io.memory.psutil.virtual_memory", lambda: free)
    assert open_stack(tmp_path / "a.png").sizes["C"] == 3
    free.available -= 1
    with pytest.raises(ReadError, match="are free"):
        open_stack(tmp_path / "a.png")


@pytest.mark.parametrize("kept", [0.1, 0.5, 0.95])
def test_a_cut_picture_is_an_error(tmp_path: Path, kept):
    Image.fromarray(GREY).save(tmp_path / "a.png")
    content = (tmp_path / "a.png").read_bytes()
    (tmp_path / "a.png").write_bytes(content[: int(kept * len(content))])
    with pytest.raises(ReadError, match="cannot be read"):
        open_stack(tmp_path / "a.png")


def test_a_bomb_is_refused(tmp_path: Path):
    Image.new("L", (17_000, 17_000)).save(tmp_path / "a.png")
    with pytest.raises(ReadError, match="announces|exceeds"):
        open_stack(tmp_path / "a.png")


def test_real_electron_micrographs(data_folder):
    for path in sorted((data_folder / "em_sem_spinalcord").glob("*.png")):
        stack = open_stack(path)
        assert stack.dtype == np.uint8
        np.testing.assert_array_equal(stack.plane(), np.asarray(Image.open(path)))


@pytest.mark.parametrize("kind", ["LA", "RGBA"])
@pytest.mark.parametrize("dtype", ["u1", "u2"])
def test_transparency_is_left_out_and_it_says_so(tmp_path: Path, kind, dtype):
    samples = 2 if kind == "LA" else 4
    pixels = np.stack([GREY + k for k in range(samples)], -1).astype(dtype) * (257 if dtype == "u2" else 1)
    (tmp_path / "a.png").write_bytes(imagecodecs.png_encode(pixels))
    stack = open_stack(tmp_path / "a.png")
    assert (stack.sizes["C"], stack.dtype) == (samples - 1, np.dtype(dtype))
    for c in range(samples - 1):
        np.testing.assert_array_equal(stack.plane(C=c), pixels[..., c])
    assert "its transparency is left out" in stack.notes


@pytest.mark.parametrize("ending", ["jpg", "png"])
def test_a_picture_stored_rotated_is_refused(tmp_path: Path, ending):
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(GREY).save(tmp_path / f"a.{ending}", exif=exif)
    with pytest.raises(ReadError, match="stored rotated or mirrored"):
        open_stack(tmp_path / f"a.{ending}")


@pytest.mark.parametrize(("um", "believed"), [(0.1, True), (25400 / 72, False)])
def test_a_resolution_is_believed_where_it_is_no_screens(tmp_path: Path, um, believed):
    Image.fromarray(GREY).save(tmp_path / "a.png", dpi=(25400 / um, 25400 / um))
    stack = open_stack(tmp_path / "a.png")
    assert stack.spacing_um == (pytest.approx({"X": um, "Y": um}, rel=1e-3) if believed else {})
    assert ("its pixel size is that of its resolution" in stack.notes) == believed


def test_a_large_picture_is_read_where_it_is_no_bomb(tmp_path: Path):
    """Pillow refuses more than 179 million pixels, whatever they are."""
    side = 13_500
    noise = np.tile(np.random.default_rng(0).integers(0, 255, (500, 500), np.uint8), (27, 27))
    Image.fromarray(noise).save(tmp_path / "a.png", compress_level=1)
    assert open_stack(tmp_path / "a.png").sizes["Y"] == side


def test_a_bomb_below_pillows_limit_is_refused_too(tmp_path: Path):
    Image.new("RGB", (9_000, 9_000)).save(tmp_path / "a.png", compress_level=9)
    with pytest.raises(ReadError, match="announces 9000 x 9000 px"):
        open_stack(tmp_path / "a.png")
