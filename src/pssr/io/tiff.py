"""TIFF (plain, ImageJ, OME) through tifffile, page by page; every page is checked when the file is opened."""

import logging
import math
import struct
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import tifffile
from jaxtyping import Num

from pssr.errors import PssrError, ReadError
from pssr.io.ome import of_ome
from pssr.io.stack import Stack, channel_names
from pssr.io.tiff_check import check_page, native, page_offsets
from pssr.io.tiff_meaning import Meaning, of_imagej, of_pages

# tifffile reports damage by logging and goes on; here every such case is an error of its own.
logging.getLogger("tifffile").setLevel(logging.CRITICAL)


@dataclass(frozen=True)
class PageReader:
    """Planes that are pages.

    Args:
        offsets: of the directory of each plane's page, in (T, C, Z) order.
        count: of C and Z.
        homes: name of the file of each plane, "" for the stack's own; empty where all are in that one.
    """

    offsets: tuple[int, ...]
    count: tuple[int, int]
    homes: tuple[str, ...] = ()

    def read(self, path: Path, *, t: int, c: int, z: int) -> Num[np.ndarray, "y x"]:
        """One plane in native byte order.

        Raises:
            ReadError: it cannot be decoded.
        """
        k = (t * self.count[0] + c) * self.count[1] + z
        path = path.with_name(self.homes[k]) if self.homes and self.homes[k] else path
        with _translated(path), tifffile.TiffFile(path) as tif:
            page = _page(tif, k, self.offsets[k])
            check_page(path, k, page, tif.filehandle.size)
            pixels = page.asarray()
        return np.ascontiguousarray(pixels, dtype=native(pixels.dtype))


@dataclass(frozen=True)
class RunReader:
    """Planes that follow each other as bytes behind a single page, as ImageJ writes large stacks.

    Args:
        offset: of the first byte.
        shape: (Y, X).
        stored: dtype in the file.
        order: position of each plane, in (T, C, Z) order.
        count: of C and Z.
    """

    offset: int
    shape: tuple[int, int]
    stored: np.dtype
    order: tuple[int, ...]
    count: tuple[int, int]

    def read(self, path: Path, *, t: int, c: int, z: int) -> Num[np.ndarray, "y x"]:
        """One plane in native byte order.

        Raises:
            ReadError: the file ends before it.
        """
        place = self.order[(t * self.count[0] + c) * self.count[1] + z]
        pixels = math.prod(self.shape)
        with _translated(path), path.open("rb") as file:
            file.seek(self.offset + place * pixels * self.stored.itemsize)
            data = np.fromfile(file, self.stored, pixels)
        if data.size != pixels:
            raise ReadError(f"{path}: ends inside plane {place}; copy it again")
        return data.reshape(self.shape).astype(native(self.stored), copy=False)


def open_tiff(path: Path, *, scene: str | int | None = None, axes: str | None = None) -> Stack:
    """What a TIFF holds.

    Args:
        path: the file.
        scene: name or number of the image in an OME-TIFF; needed where there are several.
        axes: what the pages are, slowest first; None believes the file.

    Raises:
        ReadError: damaged, incomplete, or not made of grey planes of one size.
        ChoiceNeeded: several scenes and none chosen, or pages of which the file does not say what they are.
    """
    offsets = page_offsets(path)
    with _translated(path), tifffile.TiffFile(path) as tif:
        pages, skipped = _full_pages(path, tif, offsets)
        meaning, run = _meaning(path, tif, [page for _, page in pages], scene, axes)
        used = [pages[0]] if run else _used(path, pages, meaning)
        shape, stored = _common(path, [page for _, page in used], meaning)
        count = meaning.count["C"], meaning.count["Z"]
        reader: PageReader | RunReader = PageReader(tuple(offset for offset, _ in used), count, meaning.homes)
        if run:
            reader = RunReader(
                pages[0][1].dataoffsets[0], shape, stored.newbyteorder(tif.byteorder), meaning.pages, count
            )
    notes = (*meaning.notes, *([f"{skipped} reduced pages (thumbnails) are left out"] if skipped else []))
    return Stack(
        path=path,
        format=meaning.format,
        sizes={**{axis: meaning.count[axis] for axis in "TCZ"}, "Y": shape[0], "X": shape[1]},
        dtype=native(stored),
        channels=channel_names(list(meaning.channels), meaning.count["C"]),
        spacing_um=meaning.spacing_um,
        interval_s=meaning.interval_s,
        reader=reader,
        scene=meaning.scene,
        notes=notes,
    )


def _full_pages(
    path: Path, tif: tifffile.TiffFile, offsets: list[int]
) -> tuple[list[tuple[int, tifffile.TiffPage]], int]:
    """Checked pages with their offsets, without those marked as reduced copies; and how many those are."""
    pages, skipped = [], 0
    for number, offset in enumerate(offsets):
        page = _page(tif, number, offset)
        if page.is_reduced and number > 0:
            skipped += 1
            continue
        check_page(path, number, page, tif.filehandle.size)
        pages.append((offset, page))
    return pages, skipped


def _used(
    path: Path, pages: list[tuple[int, tifffile.TiffPage]], meaning: Meaning
) -> list[tuple[int, tifffile.TiffPage]]:
    """The page of each plane, from this file and those beside it."""
    if not meaning.homes:
        return [pages[k] for k in meaning.pages]
    by_file = {"": pages}
    for name in dict.fromkeys(filter(None, meaning.homes)):
        other = path.with_name(name)
        with _translated(other), tifffile.TiffFile(other) as tif:
            by_file[name], _ = _full_pages(other, tif, page_offsets(other))
    for name, k in zip(meaning.homes, meaning.pages, strict=True):
        if k >= len(by_file[name]):
            raise ReadError(
                f"{path.with_name(name)}: has no page {k}, which its OME-XML announces; copy it again"
            )
    return [by_file[name][k] for name, k in zip(meaning.homes, meaning.pages, strict=True)]


def _page(tif: tifffile.TiffFile, number: int, offset: int) -> tifffile.TiffPage:
    tif.filehandle.seek(offset)
    return tifffile.TiffPage(tif, number)


def _meaning(
    path: Path,
    tif: tifffile.TiffFile,
    pages: list[tifffile.TiffPage],
    scene: str | int | None,
    axes: str | None,
) -> tuple[Meaning, bool]:
    """What the planes are, and whether they are a run of bytes behind a single page."""
    if tif.ome_metadata and axes is None:
        return of_ome(path, tif.ome_metadata, len(pages), scene), False
    if scene is not None:
        raise ReadError(f"{path}: has no scenes; leave scene={scene!r} out")
    said = tif.imagej_metadata
    if said is None:
        return of_pages(path, pages[0].description, len(pages), axes), False
    announced = int(said.get("images", 1))
    run = len(pages) == 1 and announced > 1
    held = _in_run(tif, pages[0]) if run else len(pages)
    return of_imagej(path, said, min(held, announced) if run else held, _resolution(pages[0]), axes), run


def _in_run(tif: tifffile.TiffFile, page: tifffile.TiffPage) -> int:
    """How many planes fit between the first pixel and the end of the file."""
    if page.compression != 1 or not page.is_contiguous or page.dtype is None:
        return 1
    return int((tif.filehandle.size - page.dataoffsets[0]) // (math.prod(page.shape) * page.dtype.itemsize))


def _resolution(page: tifffile.TiffPage) -> tuple[float, float] | None:
    """Pixels per unit along X and Y, as ImageJ stores them."""
    if not {"XResolution", "YResolution"} <= {tag.name for tag in page.tags}:
        return None
    x, y = (page.tags[name].value for name in ("XResolution", "YResolution"))
    return (x[0] / x[1], y[0] / y[1]) if x[1] and y[1] else None


def _common(path: Path, pages: list[tifffile.TiffPage], meaning: Meaning) -> tuple[tuple[int, int], np.dtype]:
    """The one shape and stored dtype of all pages."""
    kinds = {((page.shape[0], page.shape[1]), page.dtype) for page in pages if page.dtype is not None}
    if len(kinds) > 1:
        listed = " and ".join(
            f"{shape[0]} x {shape[1]} {dtype}" for shape, dtype in sorted(kinds, key=str)[:2]
        )
        raise ReadError(
            f"{path}: its pages are of different sizes or types ({listed}); save one of them alone"
        )
    ((shape, dtype),) = kinds
    if meaning.plane_shape not in (None, shape):
        raise ReadError(
            f"{path}: announces planes of {meaning.plane_shape} and holds {shape}; export it again"
        )
    return shape, dtype


@contextmanager
def _translated(path: Path) -> Iterator[None]:
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
