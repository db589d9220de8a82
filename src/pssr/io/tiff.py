"""TIFF (plain, ImageJ, OME) through tifffile, page by page; every page is checked when the file is opened."""

import json
import logging
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import tifffile

from pssr.errors import ReadError
from pssr.io.gaps import settle
from pssr.io.ome import of_ome
from pssr.io.stack import RGB, Stack, channel_names, names_of_samples
from pssr.io.tiff_check import compression_of, page_offsets
from pssr.io.tiff_kind import Kind, kind_of, native
from pssr.io.tiff_meaning import Meaning, as_named, of_imagej, of_pages, shaped
from pssr.io.tiff_pages import full_pages, used_pages
from pssr.io.tiff_planes import PageReader, RunReader, pieces_of, stamp_of, translated
from pssr.io.tiff_vendor import of_stk, of_vendor, resolution_of, spacing_of

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
    with translated(path):
        stamp, offsets = stamp_of(path), page_offsets(path)
        with tifffile.TiffFile(path) as tif:
            return _opened(path, tif, offsets, stamp, (scene, axes, missing))


def _opened(
    path: Path,
    tif: tifffile.TiffFile,
    offsets: list[int],
    stamp: tuple[int, int],
    choices: tuple[str | int | None, str | None, str],
) -> Stack:
    scene, axes, missing = choices
    pages = full_pages(path, tif, offsets)
    full = {number: page for number, (_, page) in pages.items()}
    meaning, run = _meaning(path, tif, full, len(offsets), scene, axes)
    if not meaning.by_number:
        pages = dict(enumerate(pages.values()))
    used = {0: pages[0]} if run else used_pages(path, pages, meaning)
    every = [page for _, page in used.values()]
    shape, stored = _common(path, every, meaning)
    kind = kind_of(every)
    count = meaning.count["C"], meaning.count["Z"]
    if run:
        page, order = every[0], stored.newbyteorder(tif.byteorder)
        reader: PageReader | RunReader = RunReader(
            page.dataoffsets[0], page.shape, page.axes, order, meaning.pages, count, kind
        )
    else:
        inside = tuple(used[k].offset if k in used else 0 for k in range(len(meaning.pages)))
        pieces = () if meaning.homes or meaning.missing else pieces_of(every)
        reader = PageReader(inside, count, kind, meaning.homes, pieces, stamp)
    skipped = len(offsets) - len(full)
    skips = (f"{skipped} reduced pages (thumbnails, pyramids) are left out",) if skipped else ()
    spacing, told = (meaning.spacing_um, ()) if meaning.spacing_um else spacing_of(tif, every[0])
    notes = (*meaning.notes, *kind.notes, *skips, *told, *_contradictions(meaning, stored))
    looks = Looks(shape, native(stored), kind, compression_of(every[0]), spacing, notes)
    return _stack(path, meaning, looks, reader, missing)


@dataclass(frozen=True)
class Looks:
    """What the pages are like, whatever they mean: as in `Stack`."""

    shape: tuple[int, int]
    dtype: np.dtype
    kind: Kind
    compression: str | None
    spacing_um: Mapping[str, float]
    notes: tuple[str, ...]


def _stack(path: Path, meaning: Meaning, looks: Looks, reader: PageReader | RunReader, missing: str) -> Stack:
    kind, count = looks.kind, meaning.count
    names = channel_names(list(meaning.channels), count["C"])
    stack = Stack(
        path=path,
        format=meaning.format,
        sizes={**count, "C": count["C"] * kind.channels, "Y": looks.shape[0], "X": looks.shape[1]},
        dtype=looks.dtype,
        channels=names_of_samples(names, kind.names),
        spacing_um=looks.spacing_um,
        interval_s=meaning.interval_s,
        reader=reader,
        scene=meaning.scene,
        notes=looks.notes,
        colours=_colours(meaning, kind),
        compression=looks.compression,
        companions=tuple(path.with_name(name) for name in dict.fromkeys(meaning.homes) if name),
        origin_um=meaning.origin_um,
    )
    gaps = [(t, c * kind.channels + k, z) for t, c, z in meaning.missing for k in range(kind.channels)]
    return settle(stack, gaps, missing, meaning.advice)


def _colours(meaning: Meaning, kind: Kind) -> tuple[str | None, ...]:
    if kind.channels > 1:
        return tuple(RGB.get(name) for name in kind.names) * meaning.count["C"]
    return (*meaning.colours, *[None] * meaning.count["C"])[: meaning.count["C"]]


def _contradictions(meaning: Meaning, stored: np.dtype) -> tuple[str, ...]:
    """Where the metadata say something else than the pixels, the pixels are right; a person should know."""
    said = {"float": "float32", "double": "float64", "bit": "bool"}.get(meaning.said, meaning.said)
    if not said or said == stored.name:
        return ()
    return (f"its metadata say {said}; its pixels are {stored.name} and are taken as such",)


def _meaning(
    path: Path,
    tif: tifffile.TiffFile,
    full: Mapping[int, tifffile.TiffPage],
    total: int,
    scene: str | int | None,
    axes: str | None,
) -> tuple[Meaning, bool]:
    """What the planes are, and whether they are a run of bytes behind a single page."""
    pages = list(full.values())
    if tif.ome_metadata:
        samples = {number: int(page.samplesperpixel) for number, page in full.items()}
        meaning = of_ome(path, tif.ome_metadata, total, scene, samples)
        return (meaning if axes is None else as_named(path, meaning, axes)), False
    if scene is not None:
        raise ReadError(f"{path}: has no scenes; leave scene={scene!r} out")
    if tif.imagej_metadata is not None:
        return _of_imagej(path, tif, pages, tif.imagej_metadata, axes)
    found = of_vendor(path, tif, pages, axes)
    if found is not None:
        return found, False
    begins = [k for k, page in enumerate(pages) if shaped(_without_samples(page))[0]]
    if len(pages) > 1 and begins[1:]:
        raise ReadError(f"{path}: holds {len(begins)} stacks one after the other; save each of them alone")
    description, behind = _without_samples(pages[0]), of_stk(path, tif, axes)
    announced = math.prod(shaped(description)[0]) if len(pages) == 1 else 1
    announced = math.prod(behind.count.values()) if behind else announced
    if announced == 1:
        return of_pages(path, description, len(pages), axes), False
    held = _in_run(tif, pages[0])
    if held < announced:
        raise ReadError(f"{path}: announces {announced} planes and holds {held}; copy it again")
    return behind or of_pages(path, description, announced, axes), True


def _of_imagej(
    path: Path,
    tif: tifffile.TiffFile,
    pages: list[tifffile.TiffPage],
    said: Mapping[str, Any],
    axes: str | None,
) -> tuple[Meaning, bool]:
    announced = int(said.get("images", 1))
    run = len(pages) == 1 and announced > 1
    held = min(_in_run(tif, pages[0]), announced) if run else len(pages)
    counts = math.prod(max(int(said.get(name, 1)), 1) for name in ("frames", "channels", "slices"))
    if not run and pages[0].samplesperpixel == said.get("channels") and counts != held:
        # A composite of colours in one page: its channels are the page's samples.
        said = {**said, "channels": 1}
    return of_imagej(path, said, held, resolution_of(pages[0]), axes), run


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
    if page.compression != 1 or page.fillorder != 1 or not page.is_contiguous or page.dtype is None:
        return 1
    return int((tif.filehandle.size - page.dataoffsets[0]) // (math.prod(page.shape) * page.dtype.itemsize))


def _common(path: Path, pages: list[tifffile.TiffPage], meaning: Meaning) -> tuple[tuple[int, int], np.dtype]:
    """The one shape and stored dtype of all pages, which also store their samples alike."""
    kinds = {((page.imagelength, page.imagewidth), page.dtype) for page in pages if page.dtype is not None}
    if len({(page.photometric, page.samplesperpixel, tuple(page.extrasamples)) for page in pages}) > 1:
        raise ReadError(f"{path}: some of its pages are grey and some are not; save one of them alone")
    _refuse_other_predictors(path, pages)
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


def _refuse_other_predictors(path: Path, pages: list[tifffile.TiffPage]) -> None:
    """Pages of one compression of which only some are differences: no program writes that, and one changed byte does."""
    ways = {(int(page.compression), int(page.predictor)) for page in pages}
    if len(ways) > len({compression for compression, _ in ways}):
        raise ReadError(
            f"{path}: only some of its pages of one compression are stored as differences (predictors "
            f"{sorted({predictor for _, predictor in ways})}); copy it again, or save it anew as one stack"
        )
