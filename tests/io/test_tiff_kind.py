from pathlib import Path

import numpy as np
import pytest
import tifffile
from handmade import handmade_tiff, page

from pssr.errors import ReadError
from pssr.io.open import open_stack
from pssr.io.stack import Stack
from pssr.io.tiff_kind import native, sample_first

RNG = np.random.default_rng(0)
UNSAID, ALPHA, STRAIGHT_ALPHA = range(3)  # of the tag ExtraSamples
LEFT_OUT = "its transparency is left out"


def counts(*shape: int) -> np.ndarray:
    return RNG.integers(0, 65535, shape, np.uint16)


def channels(stack: Stack) -> np.ndarray:
    return np.array([stack.plane(C=c) for c in range(stack.sizes["C"])])


def samples(path: Path, pixels: np.ndarray, *, photometric: int, extra: tuple[int, ...]) -> Stack:
    """One page of (Y, X, samples); the tag ExtraSamples is left out where it says nothing."""
    count = pixels.shape[-1]
    tags = page(
        t258=(3, count, np.full(count, 16, "<u2").tobytes()), t262=(3, 1, photometric), t277=(3, 1, count)
    )
    if extra:
        tags[338] = (3, len(extra), np.array(extra, "<u2").tobytes())
    return open_stack(handmade_tiff(path, [(pixels.tobytes(), tags)]))


@pytest.mark.parametrize(
    ("photometric", "count", "extra", "shown"),
    [
        (1, 2, (), (0, 1)),
        (1, 2, (UNSAID,), (0, 1)),
        (1, 2, (ALPHA,), (0,)),
        (1, 2, (STRAIGHT_ALPHA,), (0,)),
        (1, 3, (UNSAID, STRAIGHT_ALPHA), (0, 1)),
        (2, 2, (), (0, 1)),
        (2, 3, (), (0, 1, 2)),
        (2, 4, (), (0, 1, 2, 3)),
        (2, 4, (UNSAID,), (0, 1, 2, 3)),
        (2, 4, (ALPHA,), (0, 1, 2)),
        (2, 5, (UNSAID, UNSAID), (0, 1, 2, 3, 4)),
        (2, 5, (STRAIGHT_ALPHA, UNSAID), (0, 1, 2, 4)),
    ],
)
def test_only_samples_said_to_be_transparency_are_left_out(tmp_path: Path, photometric, count, extra, shown):
    pixels = counts(12, 16, count)
    stack = samples(tmp_path / "a.tif", pixels, photometric=photometric, extra=extra)
    np.testing.assert_array_equal(channels(stack), np.moveaxis(pixels[..., list(shown)], -1, 0))
    assert (LEFT_OUT in stack.notes) == (len(shown) < count)
    told = {1: (), count: (f"each page holds {count} samples, taken as channels",)}
    part = (f"each page holds {count} samples, {len(shown)} of them taken as channels",)
    assert stack.notes == ((LEFT_OUT,) if len(shown) < count else ()) + told.get(len(shown), part)


def test_channels_beside_colours_have_names_of_their_own(tmp_path: Path):
    stack = samples(tmp_path / "a.tif", counts(12, 16, 5), photometric=2, extra=(UNSAID, UNSAID))
    assert stack.channels == ("red", "green", "blue", "channel 3", "channel 4")
    assert stack.colours == ("#FF0000", "#00FF00", "#0000FF", None, None)


def test_equal_colours_are_grey_unless_there_are_channels_beside_them(tmp_path: Path):
    grey = np.repeat(counts(12, 16, 1), 4, -1)
    alone = samples(tmp_path / "a.tif", grey, photometric=2, extra=(ALPHA,))
    assert (alone.sizes["C"], alone.notes[0]) == (1, LEFT_OUT)
    assert "taken as grey" in alone.notes[1]
    beside = samples(tmp_path / "b.tif", grey, photometric=2, extra=(UNSAID,))
    np.testing.assert_array_equal(channels(beside), np.moveaxis(grey, -1, 0))


def test_white_is_zero_is_turned_back_beside_transparency_and_refused_for_several_channels(tmp_path: Path):
    pixels = counts(12, 16, 2)
    stack = samples(tmp_path / "a.tif", pixels, photometric=0, extra=(ALPHA,))
    np.testing.assert_array_equal(stack.plane(), 65535 - pixels[..., 0])
    assert stack.notes == (LEFT_OUT, "its pixels are stored inverted, and turned back")
    with pytest.raises(ReadError, match="page 0 is white where it is zero, with 2 samples"):
        samples(tmp_path / "b.tif", pixels, photometric=0, extra=())


def test_pages_of_which_only_some_are_transparent_are_refused(tmp_path: Path):
    with tifffile.TiffWriter(tmp_path / "a.tif") as tif:
        for extra in ("unassalpha", "unspecified"):
            tif.write(counts(12, 16, 4), photometric="rgb", extrasamples=[extra], metadata=None)
    with pytest.raises(ReadError, match="some of its pages are grey and some are not"):
        open_stack(tmp_path / "a.tif")


def test_samples_come_first():
    pixels = counts(5, 7, 3)
    assert [sample_first(pixels, axes).shape for axes in ("YXS", "SYX")] == [(3, 5, 7), (5, 7, 3)]
    assert sample_first(pixels[..., 0], "YX").shape == (1, 5, 7)


def test_types_become_native():
    assert native(np.dtype(">u2")) == np.dtype("=u2")
    assert native(np.dtype(bool)) == np.uint8
