"""TIFF (plain, ImageJ, OME) through tifffile, page by page; every page is checked when the file is opened."""

import json
import logging
import math
from pathlib import Path

import numpy as np
import tifffile

from pssr.errors import ReadError
from pssr.io.gaps import settle
from pssr.io.ome import of_ome
from pssr.io.stack import RGB, Stack, channel_names, names_of_samples
from pssr.io.tiff_check import Kind, check_page, kind_of, native, page_offsets
from pssr.io.tiff_meaning import Meaning, of_imagej, of_pages
from pssr.io.tiff_planes import PageReader, RunReader, page_at, pieces_of, stamp_of, translated

# tifffile reports damage by logging and goes on; here every such case is an error of its own.
logging.getLogger("tifffile").setLevel(logging.CRITICAL)


def open_tiff(
    path: Path, *, scene: str | int | None = None, axes: str | None = None, missing: str = "error"
) -> Stack:
    """What a TIFF holds.

    Args:
        path: the file.
        scene: name or number of the image in an OME-TIFF; needed where there are several.
        axes: what the pages are, slowest first; None believes the file.
        missing: as for `settle`.

    Raises:
        ReadError: damaged, incomplete, or not made of planes of one size.
        ChoiceNeeded: several scenes and none chosen, or pages of which the file does not say what they are.
    """
    stamp, offsets = stamp_of(path), page_offsets(path)
    with translated(path), tifffile.TiffFile(path) as tif:
        pages, skipped = _full_pages(path, tif, offsets)
        meaning, run = _meaning(path, tif, [page for _, page in pages], scene, axes)
        used = {0: pages[0]} if run else _used(path, pages, meaning)
        every = [page for _, page in used.values()]
        shape, stored = _common(path, every, meaning)
        kind = kind_of(every)
        start = every[0].dataoffsets[0]
        inside = tuple(used[k][0] if k in used else 0 for k in range(len(meaning.pages)))
        pieces = () if meaning.homes or meaning.missing else pieces_of(every)
    count = meaning.count["C"], meaning.count["Z"]
    reader: PageReader | RunReader = PageReader(inside, count, kind, meaning.homes, pieces, stamp)
    if run:
        reader = RunReader(start, shape, stored.newbyteorder(tif.byteorder), meaning.pages, count)
    skips = [f"{skipped} reduced pages (thumbnails, pyramids) are left out"] if skipped else []
    names = channel_names(list(meaning.channels), meaning.count["C"])
    stack = Stack(
        path=path,
        format=meaning.format,
        sizes={
            "T": meaning.count["T"],
            "C": meaning.count["C"] * kind.channels,
            "Z": meaning.count["Z"],
            "Y": shape[0],
            "X": shape[1],
        },
        dtype=native(stored),
        channels=names_of_samples(names, kind.names),
        spacing_um=meaning.spacing_um,
        interval_s=meaning.interval_s,
        reader=reader,
        scene=meaning.scene,
        notes=(*meaning.notes, *kind.notes, *skips, *_contradictions(meaning, stored)),
        colours=_colours(meaning, kind),
        compression=_compression(every[0]),
    )
    gaps = [(t, c * kind.channels + k, z) for t, c, z in meaning.missing for k in range(kind.channels)]
    return settle(stack, gaps, missing, meaning.advice)


def _colours(meaning: Meaning, kind: Kind) -> tuple[str | None, ...]:
    if kind.channels > 1:
        return tuple(RGB.get(name) for name in kind.names) * meaning.count["C"]
    return (*meaning.colours, *[None] * meaning.count["C"])[: meaning.count["C"]]


def _compression(page: tifffile.TiffPage) -> str:
    words = {
        1: "none",
        8: "deflate",
        32946: "deflate",
        5: "LZW",
        50000: "zstd",
        34712: "JPEG 2000",
        7: "JPEG",
    }
    return words.get(int(page.compression), str(getattr(page.compression, "name", page.compression)))


def _contradictions(meaning: Meaning, stored: np.dtype) -> tuple[str, ...]:
    """Where the metadata say something else than the pixels, the pixels are right; a person should know."""
    said = {"float": "float32", "double": "float64", "bit": "bool"}.get(meaning.said, meaning.said)
    if not said or said == stored.name:
        return ()
    return (f"its metadata say {said}; its pixels are {stored.name} and are taken as such",)


def _full_pages(
    path: Path, tif: tifffile.TiffFile, offsets: list[int]
) -> tuple[list[tuple[int, tifffile.TiffPage]], int]:
    """Checked pages with their offsets, without those marked as reduced copies; and how many those are."""
    pages, skipped = [], 0
    for number, offset in enumerate(offsets):
        page = page_at(tif, number, offset)
        if page.is_reduced and number > 0:
            skipped += 1
            continue
        check_page(path, number, page, tif.filehandle.size)
        pages.append((offset, page))
    return pages, skipped


def _used(
    path: Path, pages: list[tuple[int, tifffile.TiffPage]], meaning: Meaning
) -> dict[int, tuple[int, tifffile.TiffPage]]:
    """The page of each plane that is there, from this file and those beside it."""
    there = {k: page for k, page in enumerate(meaning.pages) if page >= 0}
    if not there:
        raise ReadError(f"{path}: holds none of the planes that it announces; copy it again")
    if not meaning.homes:
        return {k: pages[page] for k, page in there.items()}
    by_file = {"": pages}
    for name in dict.fromkeys(filter(None, meaning.homes)):
        other = path.with_name(name)
        with translated(other), tifffile.TiffFile(other) as tif:
            by_file[name], _ = _full_pages(other, tif, page_offsets(other))
    for k, page in there.items():
        if page >= len(by_file[meaning.homes[k]]):
            raise ReadError(
                f"{path.with_name(meaning.homes[k])}: has no page {page}, which its OME-XML announces; copy it again"
            )
    return {k: by_file[meaning.homes[k]][page] for k, page in there.items()}


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
        return of_pages(path, _without_samples(pages[0]), len(pages), axes), False
    announced = int(said.get("images", 1))
    run = len(pages) == 1 and announced > 1
    held = _in_run(tif, pages[0]) if run else len(pages)
    if not run and pages[0].samplesperpixel == said.get("channels"):
        # A composite of colours in one page: its channels are the page's samples.
        said = {**said, "channels": 1}
    return of_imagej(path, said, min(held, announced) if run else held, _resolution(pages[0]), axes), run


def _without_samples(page: tifffile.TiffPage) -> str:
    """What tifffile wrote about shape and axes, without those inside a page."""
    if "S" not in page.axes:
        return str(page.description)
    try:
        said = json.loads(page.description)
        shape, axes = list(said["shape"]), str(said.get("axes") or "")
    except (ValueError, TypeError, KeyError):
        return ""
    at = -1 if page.axes == "YXS" else -3
    del shape[at]
    return json.dumps({"shape": shape, "axes": axes.replace("S", "")} if axes else {"shape": shape})


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
    """The one shape and stored dtype of all pages, which also store their samples alike."""
    kinds = {((page.imagelength, page.imagewidth), page.dtype) for page in pages if page.dtype is not None}
    if len({(page.photometric, page.samplesperpixel) for page in pages}) > 1:
        raise ReadError(f"{path}: some of its pages are grey and some are not; save one of them alone")
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
