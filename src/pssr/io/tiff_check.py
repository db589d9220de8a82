"""The pages of a TIFF, found and checked before any pixel is decoded.

Layout of the directory chain: Adobe's TIFF 6.0 specification, and the BigTIFF extension of the libtiff project.
"""

import os
import struct
from pathlib import Path
from typing import BinaryIO

import numpy as np
from tifffile import TiffPage

from pssr.errors import ReadError

GREY, PHOTOMETRIC = (
    1,
    {0: "white is zero", 2: "RGB", 3: "palette", 4: "a mask", 5: "CMYK", 6: "YCbCr", 8: "Lab"},
)
# A page that decodes to more than this from so few bytes is a bomb or damaged.
LARGE_BYTES, LARGEST_RATIO = 1 << 28, 200


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


def check_page(path: Path, number: int, page: TiffPage, end: int) -> None:
    """Refuse a page that is not one grey plane, or whose pixels do not lie in the file.

    Args:
        path: for the message.
        number: of the page, for the message.
        page: as parsed.
        end: size of the file in bytes.

    Raises:
        ReadError: says which page and why.
    """
    why = _not_grey(page) or _not_stored(page, end)
    if why:
        raise ReadError(f"{path}: page {number} {why}")


def _not_grey(page: TiffPage) -> str | None:
    photometric = int(page.photometric) if page.photometric is not None else GREY
    if photometric != GREY or page.samplesperpixel != 1:
        what = PHOTOMETRIC.get(photometric, f"of {page.samplesperpixel} samples per pixel")
        return f"is {what}, not grey; convert it to grey, or split its channels, and save as TIFF"
    if page.dtype is None or page.dtype.kind not in "uifb":
        return f"has pixels of type {page.dtype}; convert it to integers or floats"
    if len(page.shape) != 2:
        return f"is {page.shape}, not one plane; save each plane as a page"
    if "Orientation" in page.tags and page.tags["Orientation"].value != 1:
        return "is stored rotated or mirrored; save it upright"
    return None


def _not_stored(page: TiffPage, end: int) -> str | None:
    offsets, counts = page.dataoffsets, page.databytecounts
    if not offsets or len(offsets) != len(counts) or min(offsets) <= 0 or min(counts) <= 0:
        return "lacks a part of its pixels; copy the file again"
    if any(at + count > end for at, count in zip(offsets, counts, strict=True)):
        return f"has pixels beyond the file's end at byte {end}: the file is cut; copy it again"
    bits = int(page.bitspersample)
    needed, stored = page.shape[0] * ((page.shape[1] * bits + 7) // 8), sum(counts)
    if page.compression == 1 and stored < needed:
        return f"has {stored} bytes of pixels, not {needed}; copy the file again"
    if needed > LARGE_BYTES and needed > LARGEST_RATIO * stored:
        return f"announces {needed} bytes of pixels in {stored}; copy the file again"
    return None


def native(dtype: np.dtype) -> np.dtype:
    """The type that pixels are given in: native byte order, single bits as uint8."""
    return np.dtype("u1") if dtype.kind == "b" else dtype.newbyteorder("=")
