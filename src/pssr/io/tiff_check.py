"""The pages of a TIFF, found and checked before any pixel is decoded.

Layout of the directory chain: Adobe's TIFF 6.0 specification, and the BigTIFF extension of the libtiff project.
"""

import os
import struct
from pathlib import Path
from typing import BinaryIO

import numpy as np
from tifffile import FileHandle, TiffPage

from pssr.errors import ReadError
from pssr.io.picture_size import NAMES, picture_size
from pssr.io.tiff_kind import GREY, PALETTE, RGB, WHITE_IS_ZERO, photometric_of, shown_samples

REFUSED = {4: "a mask", 5: "CMYK", 6: "YCbCr", 8: "Lab"}
MOST_SAMPLES = 64
# Deflate and LZMA carry checksums: damage to pixels shows. In the others, as without compression, it can change pixels
# and not show.
READ = {
    1: "none",
    8: "deflate",
    32946: "deflate",
    5: "LZW",
    50000: "zstd",
    34926: "zstd",
    32773: "PackBits",
    34925: "LZMA",
}
# A page that decodes to more than this from so few bytes is a bomb or damaged.
LARGE_BYTES, LARGEST_RATIO = 1 << 28, 200
PADDING_BYTES = 16


def page_offsets(path: Path) -> list[int]:
    """Where the page directories of a TIFF begin, in order.

    Args:
        path: a file that begins like a TIFF.

    Raises:
        ReadError: the chain of directories is cut or forms a loop.
    """
    with path.open("rb") as file:
        end = os.fstat(file.fileno()).st_size
        order = "<" if file.read(2) == b"II" else ">"
        (version,) = struct.unpack(order + "H", file.read(2))
        big = version == 43
        count = struct.Struct(order + ("Q" if big else "H"))
        link = struct.Struct(order + ("Q" if big else "I"))
        entry_bytes = 20 if big else 12
        at = _number(path, file, link, 8 if big else 4)
        offsets: list[int] = []
        seen: set[int] = set()
        while at:
            if at in seen:
                raise ReadError(f"{path}: its pages form a loop after {len(offsets)}; copy it again")
            if at + count.size > end:
                raise ReadError(f"{path}: is cut after {len(offsets)} pages; copy it again")
            seen.add(at)
            offsets.append(at)
            entries = _number(path, file, count, at)
            at = _number(path, file, link, at + count.size + entries * entry_bytes)
    if not offsets:
        raise ReadError(f"{path}: has no page; copy it again")
    return offsets


def _number(path: Path, file: BinaryIO, layout: struct.Struct, at: int) -> int:
    file.seek(at)
    data = file.read(layout.size)
    if len(data) != layout.size:
        raise ReadError(f"{path}: is cut at byte {at}, inside a page directory; copy it again")
    return int(layout.unpack(data)[0])


def check_page(path: Path, number: int, page: TiffPage, file: FileHandle) -> None:
    """Refuse a page that is not one grey plane, or whose pixels do not lie in the file.

    Args:
        path: for the message.
        number: of the page, for the message.
        page: as parsed.
        file: open for reading.

    Raises:
        ReadError: says which page and why.
    """
    why = _not_grey(page) or _not_stored(page, file.size) or _not_decodable(page, file)
    if why:
        raise ReadError(f"{path}: page {number} {why}")


def _not_grey(page: TiffPage) -> str | None:
    photometric = photometric_of(page)
    if compression_of(page) is None:
        return f"is compressed as {getattr(page.compression, 'name', page.compression)}; save it with deflate or none"
    if photometric not in (WHITE_IS_ZERO, GREY, RGB, PALETTE):
        what = REFUSED.get(photometric, f"of the unknown kind {photometric}")
        return f"is {what}, not grey; convert it to grey, or split its channels, and save as TIFF"
    if page.dtype is None or page.dtype.kind not in "uifb":
        return f"has pixels of type {page.dtype}; convert it to integers or floats"
    if page.axes not in ("YX", "YXS", "SYX") or not 1 <= page.samplesperpixel <= MOST_SAMPLES:
        return f"is {page.shape}, not one plane; save each plane as a page"
    if photometric == PALETTE and not _is_ramp(page):
        return "has a palette of many colours; convert it to grey and save as TIFF"
    if photometric == WHITE_IS_ZERO and page.dtype.kind not in "ub":
        return f"is white where it is zero, with pixels of type {page.dtype}; invert it and save as TIFF"
    if photometric == WHITE_IS_ZERO and len(shown_samples(page)) > 1:
        return f"is white where it is zero, with {page.samplesperpixel} samples; split its channels and save as TIFF"
    if "Orientation" in page.tags and page.tags["Orientation"].value != 1:
        return "is stored rotated or mirrored; save it upright"
    return None


def compression_of(page: TiffPage) -> str | None:
    """In words; None for one that is not read."""
    number = int(page.compression)
    return READ.get(number) or NAMES.get(number)


def _is_ramp(page: TiffPage) -> bool:
    """Whether the palette goes evenly from black to one colour: its indices then are intensities."""
    table = np.asarray(page.colormap, dtype=np.float64)
    if table.ndim != 2 or table.shape[0] != 3 or not table[:, -1].any():
        return False
    even = table[:, -1:] * np.linspace(0, 1, table.shape[1])
    # It is rounded, to 8 bits often.
    return bool(np.abs(table - even).max() <= 2 * 65535 / 256)


def _not_stored(page: TiffPage, end: int) -> str | None:
    offsets, counts = page.dataoffsets, page.databytecounts
    head = 16 if page.parent.is_bigtiff else 8
    if not offsets or len(offsets) != len(counts) or min(offsets) < head or min(counts) <= 0:
        return "lacks a part of its pixels; copy the file again"
    if any(at + count > end for at, count in zip(offsets, counts, strict=True)):
        return f"has pixels beyond the file's end at byte {end}: the file is cut; copy it again"
    bits = int(page.bitspersample)
    needed = page.imagelength * ((page.imagewidth * bits * page.samplesperpixel + 7) // 8)
    stored = sum(counts)
    if page.compression == 1:
        # Strips may end with some bytes of padding, and only the last row of tiles with many.
        spare = stored if page.is_tiled else needed + PADDING_BYTES * len(counts)
        if not needed <= stored <= spare:
            return f"has {stored} bytes of pixels, not {needed}; copy the file again"
    if needed > LARGE_BYTES and needed > LARGEST_RATIO * stored:
        return f"announces {needed} bytes of pixels in {stored}; copy the file again"
    return None


def _not_decodable(page: TiffPage, file: FileHandle) -> str | None:
    """Pictures inside a page say their own size: another one would be cut without a word, or fill the memory."""
    number = int(page.compression)
    if number not in NAMES:
        return None
    for k, (at, count) in enumerate(zip(page.dataoffsets, page.databytecounts, strict=True)):
        file.seek(at)
        size = picture_size(file.read(count))
        if size is None:
            return f"has a damaged {NAMES[number]} in it (part {k}); copy the file again"
        rows = (
            page.tilelength
            if page.is_tiled
            else min(page.rowsperstrip, page.imagelength - k * page.rowsperstrip)
        )
        wide = page.tilewidth if page.is_tiled else page.imagewidth
        if size[1] != wide or not rows <= size[0] <= (rows if page.is_tiled else page.rowsperstrip):
            return f"has a {NAMES[number]} of {size[0]} x {size[1]} px in it (part {k}); copy the file again"
    return None
