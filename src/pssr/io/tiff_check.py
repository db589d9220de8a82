"""The pages of a TIFF, found and checked before any pixel is decoded.

Layout of the directory chain: Adobe's TIFF 6.0 specification, and the BigTIFF extension of the libtiff project.
"""

import os
import struct
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import numpy as np
from tifffile import FileHandle, TiffPage

from pssr.errors import ReadError
from pssr.io.picture_size import NAMES, picture_size
from pssr.io.stack import RGB as COLOURS

WHITE_IS_ZERO, GREY, RGB, PALETTE = range(4)
YCBCR, JPEG, TRANSPARENT = 6, 7, (1, 2)
REFUSED = {4: "a mask", 5: "CMYK", 6: "YCbCr", 8: "Lab"}
MOST_SAMPLES = 64
PHOTOMETRIC, COMPRESSION = 262, 259  # tags
# Of these, damage shows: they are checked, or decode to the number of bytes that is asked for and no more.
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
    photometric = _photometric(page)
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
    if "Orientation" in page.tags and page.tags["Orientation"].value != 1:
        return "is stored rotated or mirrored; save it upright"
    return None


def _photometric(page: TiffPage) -> int:
    """What the page says of its values; one that does not say is grey, and what JPEG decodes to is red, green, blue."""
    if PHOTOMETRIC not in page.tags or page.photometric is None:
        return GREY
    photometric = int(page.photometric)
    return RGB if photometric == YCBCR and int(page.compression) == JPEG else photometric


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
    return bool(np.abs(table - even).max() <= 2 * 65535 / table.shape[1])


@dataclass(frozen=True)
class Kind:
    """How the pixels of a page become grey planes.

    Args:
        photometric: what the page says of its values.
        samples: stored for each pixel.
        channels: planes that a page gives: 1, or 3 for colours, or one for each sample.
    """

    photometric: int
    samples: int
    channels: int

    @property
    def names(self) -> tuple[str, ...]:
        """Of the channels of one page; empty where it has only one."""
        if self.channels == 1:
            return ()
        if self.photometric == RGB:
            return tuple(COLOURS)
        return tuple(f"channel {k}" for k in range(self.channels))

    @property
    def notes(self) -> tuple[str, ...]:
        """What a person should know."""
        if self.photometric == RGB and self.channels == 1:
            return ("its colours are equal in every page looked at, and taken as grey",)
        if self.samples == 2 and self.channels == 1:
            return ("its transparency is left out",)
        if self.channels > 1:
            return (f"each page holds {self.channels} samples, taken as channels",)
        said = {
            WHITE_IS_ZERO: "its pixels are stored inverted, and turned back",
            PALETTE: "its palette goes from black to one colour; the indices are taken as intensities",
        }
        return (said[self.photometric],) if self.photometric in said else ()

    def plane(self, page: TiffPage, channel: int) -> np.ndarray:
        """One grey plane (Y, X) of a page.

        Raises:
            ValueError: the page has colours, and those before it had not.
        """
        if self.samples > 1:
            return self._sample(_by_sample(page), page.index, channel)
        pixels = page.asarray()
        if self.photometric == WHITE_IS_ZERO:
            white = 1 if pixels.dtype.kind == "b" else 2 ** int(page.bitspersample) - 1
            pixels = (white - pixels.astype(native(pixels.dtype))).astype(native(pixels.dtype))
        return pixels

    def _sample(self, each: np.ndarray, page: int, channel: int) -> np.ndarray:
        if self.photometric == RGB and self.channels == 1 and not _equal(each):
            raise ValueError(f"page {page} has colours where others are grey: convert the stack to grey")
        plane: np.ndarray = each[channel]
        return plane


def kind_of(pages: list[TiffPage]) -> Kind:
    """The kind of all pages, from the first; colours that are equal in the first, middle and last page are grey.

    Args:
        pages: checked, and all of one kind.
    """
    first, samples = pages[0], int(pages[0].samplesperpixel)
    photometric = _photometric(first)
    if photometric != RGB:
        transparent = samples == 2 and set(first.extrasamples) <= set(TRANSPARENT)
        return Kind(photometric, samples, 1 if transparent else samples)
    looked_at = {0, len(pages) // 2, len(pages) - 1}
    grey = all(_equal(_by_sample(pages[k])) for k in looked_at)
    return Kind(photometric, samples, 1 if grey else 3)


def _by_sample(page: TiffPage) -> np.ndarray:
    """(samples, Y, X)."""
    return page.asarray() if page.axes == "SYX" else np.moveaxis(page.asarray(), -1, 0)


def _equal(samples: np.ndarray) -> bool:
    return all(np.array_equal(samples[0], samples[k]) for k in range(1, min(len(samples), 3)))


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


def native(dtype: np.dtype) -> np.dtype:
    """The type that pixels are given in: native byte order, single bits as uint8."""
    return np.dtype("u1") if dtype.kind == "b" else dtype.newbyteorder("=")
