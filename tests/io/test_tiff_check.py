import resource
import struct
import time
import zlib
from pathlib import Path

import numpy as np
import pytest
import tifffile

from pssr.errors import ReadError
from pssr.io.open import open_stack
from pssr.io.tiff_check import page_offsets


@pytest.mark.parametrize("big", [False, True])
@pytest.mark.parametrize("order", ["<", ">"])
def test_pages_are_found_in_order(tmp_path: Path, big, order):
    path = tmp_path / "a.tif"
    with tifffile.TiffWriter(path, bigtiff=big, byteorder=order) as tif:
        for k in range(5):
            tif.write(np.full((4, 4), k, np.uint8), metadata=None)
    with tifffile.TiffFile(path) as tif:
        assert page_offsets(path) == [page.offset for page in tif.pages]


@pytest.mark.parametrize("pages", [1, 3, 150])
def test_a_loop_of_pages_ends(tmp_path: Path, pages):
    path = tmp_path / "a.tif"
    with tifffile.TiffWriter(path) as tif:
        for _ in range(pages):
            tif.write(np.zeros((4, 4), np.uint8), metadata=None)
    offsets, content = page_offsets(path), bytearray(path.read_bytes())
    (entries,) = struct.unpack_from("<H", content, offsets[-1])
    struct.pack_into("<I", content, offsets[-1] + 2 + 12 * entries, offsets[0])
    path.write_bytes(content)
    start = time.perf_counter()
    with pytest.raises(ReadError, match=f"form a loop after {pages}"):
        open_stack(path)
    assert time.perf_counter() - start < 5


def test_no_page_at_all(tmp_path: Path):
    (tmp_path / "a.tif").write_bytes(b"II*\0\0\0\0\0")
    with pytest.raises(ReadError, match="has no page"):
        open_stack(tmp_path / "a.tif")


def patched(path: Path, tag: str, value: int) -> None:
    """Change one number in the first page's directory."""
    with tifffile.TiffFile(path) as tif:
        found = tif.pages[0].tags[tag]
        at, dtype = found.valueoffset, found.dtype
    content = bytearray(path.read_bytes())
    struct.pack_into("<H" if dtype == 3 else "<I", content, at, value)
    path.write_bytes(content)


@pytest.mark.parametrize(
    ("tag", "value", "message"),
    [("StripOffsets", 0, "lacks a part"), ("StripByteCounts", 0, "lacks a part"), ("StripByteCounts", 60, "has 60 bytes"),
     ("StripOffsets", 10_000, "beyond the file's end"), ("ImageWidth", 1_000_000, "has 64 bytes of pixels")],
)  # fmt: skip
def test_pixels_must_lie_in_the_file(tmp_path: Path, tag, value, message):
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, np.ones((8, 8), np.uint8), metadata=None)
    patched(path, tag, value)
    with pytest.raises(ReadError, match=message):
        open_stack(path)


def test_a_bomb_is_refused_before_it_is_unpacked(tmp_path: Path):
    path, side = tmp_path / "a.tif", 30_000
    packed = zlib.compress(bytes(1000 * 1000))
    tifffile.imwrite(path, np.zeros((1000, 1000), np.uint8), compression="zlib", metadata=None)
    for tag in ("ImageWidth", "ImageLength", "RowsPerStrip"):
        patched(path, tag, side)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(ReadError, match="announces 900000000 bytes"):
        open_stack(path)
    assert len(packed) < 2000
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 200_000
