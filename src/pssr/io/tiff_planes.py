"""Planes of a TIFF, decoded page by page; a page is checked each time before it is decoded."""

import math
import struct
import zlib
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

import numpy as np
import tifffile

from pssr.errors import PssrError, ReadError
from pssr.io.stack import Place, ReadPlane
from pssr.io.tiff_check import check_page
from pssr.io.tiff_kind import GREY, Kind, native, sample_first

Pieces: TypeAlias = tuple[tuple[int, ...], tuple[int, ...]]


@dataclass(frozen=True)
class PageReader:
    """Planes that are pages, or samples of pages.

    Args:
        offsets: of the directory of each page, in (T, C, Z) order.
        count: of C and Z among pages.
        kind: how pixels become grey.
        homes: name of the file of each page, "" for the stack's own; empty where all are in that one.
        pieces: first bytes and lengths of the strips or tiles of each page, where all pages are alike and grey in one
            file: then only the first page is parsed again.
        stamp: size and time of change of that file when it was opened.
    """

    offsets: tuple[int, ...]
    count: tuple[int, int]
    kind: Kind
    homes: tuple[str, ...] = ()
    pieces: tuple[Pieces, ...] = ()
    stamp: tuple[int, int] = (0, 0)

    @contextmanager
    def opened(self, path: Path) -> Iterator[ReadPlane]:
        """Reads planes in native byte order.

        Raises:
            ReadError: the file cannot be opened, or a page cannot be decoded.
        """
        with self._alike(path) if self.pieces else self._one_by_one(path) as read:
            yield read

    @contextmanager
    def _alike(self, path: Path) -> Iterator[ReadPlane]:
        """Pages of a file that were checked when it was opened, and are like the first one."""
        with translated(path), tifffile.TiffFile(path) as tif:
            if stamp_of(path) != self.stamp:
                raise ReadError(f"{path}: has changed since it was opened; open it again")
            key = page_at(tif, 0, self.offsets[0])

            def read(place: Place) -> np.ndarray:
                k = (place[0] * self.count[0] + place[1]) * self.count[1] + place[2]
                starts, lengths = self.pieces[k]
                with translated(path):
                    page = tifffile.TiffFrame(
                        tif, k, keyframe=key, dataoffsets=starts, databytecounts=lengths
                    )
                    pixels = page.asarray()
                return np.ascontiguousarray(pixels, dtype=native(pixels.dtype))

            yield read

    @contextmanager
    def _one_by_one(self, path: Path) -> Iterator[ReadPlane]:
        """Pages that are each of a kind, or of several files."""
        with ExitStack() as files:
            held: dict[str, tifffile.TiffFile] = {}

            def read(place: Place) -> np.ndarray:
                t, c, z = place
                k = (t * self.count[0] + c // self.kind.channels) * self.count[1] + z
                home = self.homes[k] if self.homes else ""
                source = path.with_name(home) if home else path
                with translated(source):
                    if home not in held:
                        # One at a time: a stack of a thousand files must not need a thousand descriptors.
                        files.close()
                        held.clear()
                        held[home] = files.enter_context(tifffile.TiffFile(source))
                    page = page_at(held[home], k, self.offsets[k])
                    check_page(source, k, page, held[home].filehandle)
                    pixels = self.kind.plane(page, c % self.kind.channels)
                return np.ascontiguousarray(pixels, dtype=native(pixels.dtype))

            yield read


@dataclass(frozen=True)
class RunReader:
    """Planes that follow each other as bytes behind a single page, as ImageJ writes large stacks.

    Args:
        offset: of the first byte.
        shape: of the page: (Y, X), with its samples before or behind.
        axes: of the page: YX, YXS or SYX.
        stored: dtype in the file.
        order: position of each page, in (T, C, Z) order.
        count: of C and Z among pages.
        kind: how pixels become grey.
    """

    offset: int
    shape: tuple[int, ...]
    axes: str
    stored: np.dtype
    order: tuple[int, ...]
    count: tuple[int, int]
    kind: Kind

    @contextmanager
    def opened(self, path: Path) -> Iterator[ReadPlane]:
        """Reads planes in native byte order.

        Raises:
            ReadError: the file cannot be opened, ends before a plane, or has colours where the first plane has none.
        """
        pixels = math.prod(self.shape)
        with translated(path), path.open("rb") as file:

            def read(place: Place) -> np.ndarray:
                t, c, z = place
                inside = self.kind.channels
                number = self.order[(t * self.count[0] + c // inside) * self.count[1] + z]
                file.seek(self.offset + number * pixels * self.stored.itemsize)
                data = np.fromfile(file, self.stored, pixels)
                if data.size != pixels:
                    raise ReadError(f"{path}: ends inside plane {number}; copy it again")
                each = sample_first(
                    data.reshape(self.shape).astype(native(self.stored), copy=False), self.axes
                )
                plane = self.kind.grey(each, number, c % inside, 8 * self.stored.itemsize)
                return np.ascontiguousarray(plane)

            yield read


def pieces_of(pages: list[tifffile.TiffPage]) -> tuple[Pieces, ...]:
    """Where the pixels of each page are; empty where pages cannot be read like the first one."""
    alike = len({page.hash for page in pages}) == 1
    if not alike or int(pages[0].photometric) != GREY or pages[0].samplesperpixel > 1 or pages[0].jpegtables:
        return ()
    return tuple((tuple(page.dataoffsets), tuple(page.databytecounts)) for page in pages)


def stamp_of(path: Path) -> tuple[int, int]:
    """Size and time of change."""
    about = path.stat()
    return about.st_size, about.st_mtime_ns


def page_at(tif: tifffile.TiffFile, number: int, offset: int) -> tifffile.TiffPage:
    """The page whose directory begins at a byte of the file."""
    tif.filehandle.seek(offset)
    return tifffile.TiffPage(tif, number)


@contextmanager
def translated(path: Path) -> Iterator[None]:
    """Whatever a damaged file makes the libraries raise becomes one error that names the file."""
    try:
        yield
    except PssrError:
        raise
    except (
        tifffile.TiffFileError,
        OSError,
        ValueError,
        TypeError,
        LookupError,
        ArithmeticError,
        RuntimeError,
        MemoryError,
        AttributeError,
        AssertionError,
        struct.error,
        zlib.error,
    ) as error:
        raise ReadError(
            f"{path}: cannot be read ({error}); copy it again, or export it as OME-TIFF"
        ) from error
