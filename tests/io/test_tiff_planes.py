"""Planes behind a single page: their pixels become grey as those of pages do."""

from pathlib import Path

import numpy as np
import pytest
import tifffile

from pssr.errors import ReadError
from pssr.io.open import open_stack
from pssr.io.stack import Stack

RNG = np.random.default_rng(0)


def counts(*shape: int) -> np.ndarray:
    return RNG.integers(0, 65535, shape, np.uint16)


def behind_one_page(path: Path, pages: np.ndarray, *, program: str, **how) -> Stack:
    """As tifffile truncates files, or as ImageJ writes more than 4 GB."""
    if program == "tifffile":
        tifffile.imwrite(path, pages, truncate=True, **how)
        return open_stack(path)
    said = f"ImageJ=1.54\nimages={len(pages)}\nframes={len(pages)}\n"
    tifffile.imwrite(path, pages[0], byteorder=">", description=said, metadata=None, **how)
    with path.open("ab") as file:
        file.write(pages[1:].astype(">u2").tobytes())
    return open_stack(path)


def planes(stack: Stack) -> np.ndarray:
    assert type(stack.reader).__name__ == "RunReader"
    return np.array(
        [[stack.plane(T=t, C=c) for c in range(stack.sizes["C"])] for t in range(stack.sizes["T"])]
    )


@pytest.mark.parametrize("program", ["tifffile", "ImageJ"])
def test_white_is_zero_is_turned_back_behind_one_page(tmp_path: Path, program):
    pages = counts(5, 12, 16)
    stack = behind_one_page(tmp_path / "a.tif", pages, program=program, photometric="miniswhite")
    np.testing.assert_array_equal(planes(stack)[:, 0], 65535 - pages)
    assert "stored inverted" in " ".join(stack.notes)


@pytest.mark.parametrize("program", ["tifffile", "ImageJ"])
@pytest.mark.parametrize("planar", ["contig", "separate"])
def test_colours_behind_one_page_are_channels(tmp_path: Path, program, planar):
    pages = counts(5, 3, 12, 16)
    stored = pages if planar == "separate" else np.ascontiguousarray(np.moveaxis(pages, 1, -1))
    how = {"photometric": "rgb", "planarconfig": planar}
    stack = behind_one_page(tmp_path / "a.tif", stored, program=program, **how)
    assert (stack.sizes["T"], stack.channels) == (5, ("red", "green", "blue"))
    np.testing.assert_array_equal(planes(stack), pages)


@pytest.mark.parametrize("program", ["tifffile", "ImageJ"])
def test_grey_stored_as_colours_behind_one_page_is_grey(tmp_path: Path, program):
    pages = np.repeat(counts(5, 12, 16)[..., None], 3, -1)
    stack = behind_one_page(tmp_path / "a.tif", pages, program=program, photometric="rgb")
    np.testing.assert_array_equal(planes(stack)[:, 0], pages[..., 0])
    pages[3, 0, 0, 1] ^= 1
    odd = behind_one_page(tmp_path / "b.tif", pages, program=program, photometric="rgb")
    with pytest.raises(ReadError, match=r"b\.tif.*page 3 has colours where others are grey"):
        odd.plane(T=3)
